package scan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// A file is read up to its size, since it may grow faster than it is read; but those
// of /proc say that they are empty, and are not.
func TestContentSize(t *testing.T) {
	const most = 1 << 20 // of a file that says it is empty
	large := strings.Repeat("x", 100_000)
	for _, test := range []struct {
		name    string
		content string
		size    int64  // that it says it has
		next    string // the content, before the next scan
		watch   string
		want    []string
	}{
		{"as it says", "abc", 3, "abd", "watching f, 3 bytes", []string{"modified f, 3 bytes"}},
		{"the same", "abc", 3, "abc", "watching f, 3 bytes", nil},
		{"more than it says", "abcdef", 3, "abcxyz1", "watching f, 3 bytes", nil},
		{"less than it says", "abc", 10, "ab", "watching f, 3 bytes", []string{"modified f, 2 bytes"}},
		{"it says nothing", "abc", 0, "abd", "watching f, 3 bytes", []string{"modified f, 3 bytes"}},
		{"it says nothing, and is empty", "", 0, "a", "watching f, 0 bytes", []string{"modified f, 1 bytes"}},
		{"the last of many bytes", large + "a", 100_001, large + "b", "watching f, 100001 bytes", []string{"modified f, 100001 bytes"}},
		{"it says nothing, and is endless", strings.Repeat("x", most+9), 0, strings.Repeat("x", most+99), "watching f, 1048576 bytes", nil},
	} {
		ff := faults.Made()
		ff.Put("f", 0, check.Day1)
		contain := func(content string) {
			ff.Tree.Edit("f", func(f *faults.Inode) { f.Content, f.Size = content, test.size })
		}
		contain(test.content)
		d := newDriver(t, ff, scan.Options{Content: true}, "f")
		check.Equal(t, test.name+": first scan", []string{test.watch}, d.begin())
		contain(test.next)
		check.Equal(t, test.name, test.want, d.scan())
	}
}

// changed is the options for -content=changed.
var changed = scan.Options{Content: true, SkipSame: true}

// With SkipSame, a file is read again only if its size or mtime differ, in whatever order
// it is listed; and the sums are those of without.
func TestSkipSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fresh := range []bool{false, true} {
			ff := faults.Made()
			putAll(ff, "d/a", "d/b", "d/e/c", "f")
			check.Must(t, ff.Tree.Symlink("e/c", "d/l"))
			o := changed
			o.Fresh = fresh
			d := newDriver(t, ff, o, "d", "f")
			d.begin()
			read := func(what string, want ...string) {
				t.Helper()
				var names []string
				for _, name := range ff.Calls("read") {
					if !slices.Contains(names, name) { // each takes two calls
						names = append(names, name)
					}
				}
				slices.Sort(names)
				check.Equal(t, fmt.Sprintf("read (fresh is %v): %s", fresh, what), want, names)
			}
			read("at first", "d/a", "d/b", "d/e/c", "d/l", "f")
			check.Equal(t, "steps", []string(nil), d.scan())
			read("nothing was changed")

			check.Must(t, ff.Tree.Chtimes("d/a", check.Day2))
			check.Must(t, ff.Tree.Chtimes("f", check.Day1.Add(-1))) // as by cp -p
			check.Equal(t, "a touch", []string(nil), d.scan())
			read("a touch", "d/a", "f")
			check.Equal(t, "after a touch", []string(nil), d.scan())
			read("after a touch")

			putAll(ff, "d/0")
			ff.Entries(func(_ string, entries []scan.Entry) []scan.Entry {
				slices.Reverse(entries)
				return entries
			})
			check.Equal(t, "a new file, and another order", []string{"created d/0, 1 bytes"}, d.scan())
			read("a new file, and another order", "d/0")

			ff.Listed("d/a", 0) // it is there all the same, as on tmpfs
			check.Equal(t, "steps", []string(nil), d.scan())
			read("a listing lacks a file")
			ff.Heal()

			content := o
			content.SkipSame = false
			other := newDriver(t, ff, content, "d", "f")
			other.begin()
			check.Equal(t, "sums, beside those with every file read", other.sum, d.sum)
			d.stop()
			other.stop()
		}
	})
}

// What is changed so soon after it was read that its mtime stays the same is found all the
// same: where times are whole seconds, even ones, or those of the kernel's ticks.
func TestSkipSameYoung(t *testing.T) {
	for name, test := range map[string]struct {
		grain  time.Duration // of times
		offset time.Duration // of what grains begin with
	}{
		"seconds":      {time.Second, 0},
		"even seconds": {2 * time.Second, 0},
		"ticks":        {10 * time.Millisecond, 3 * time.Millisecond},
	} {
		for _, target := range []string{"d", "d/f"} {
			for at := time.Duration(0); at < test.grain; at += test.grain / 5 {
				synctest.Test(t, func(t *testing.T) {
					ff := faults.Made()
					write := func(content string) {
						check.Must(t, ff.Tree.MkdirAll("d"))
						check.Must(t, ff.Tree.Write("d/f", content))
						now := time.Now().Add(-test.offset)
						check.Must(t, ff.Tree.Chtimes("d/f", now.Truncate(test.grain).Add(test.offset)))
					}
					time.Sleep(test.offset + at)
					write("1")
					d := newDriver(t, ff, changed, target)
					d.begin()
					// The last moment at which a change has the same mtime.
					time.Sleep(test.grain - at - 1)
					write("2")
					check.Equal(t, name+": at once", []string{"modified d/f, 1 bytes"}, d.scan())
					write("3") // and once more, in no time
					time.Sleep(10 * time.Second)
					check.Equal(t, name+": later", []string{"modified d/f, 1 bytes"}, d.scan())
					ff.Calls("")
					d.expect()
					if calls := ff.Calls("read"); len(calls) > 2 { // of the new scanner
						t.Errorf("%s: old contents are read once more: %q", name, calls)
					}
					d.stop()
				})
			}
		}
	}
}

// An edit that keeps size and mtime is not seen, later than that; and what has an mtime to
// come is read once.
func TestSkipSameOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, mtime := range []time.Time{time.Now().Add(-2 * time.Second), time.Now().Add(time.Hour)} {
			ff := faults.Made()
			ff.Put("f", 1, mtime)
			d := newDriver(t, ff, changed, "f")
			d.begin()
			check.Must(t, ff.Tree.Edit("f", func(f *faults.Inode) { f.Content = "y" }))
			ff.Calls("")
			check.Equal(t, "steps", []string(nil), d.scan())
			check.Equal(t, "read", []string(nil), ff.Calls("read"))
			d.stop()
		}
	})
}
