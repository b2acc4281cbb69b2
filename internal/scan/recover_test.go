package scan_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// outcome is what Stat answers.
type outcome struct {
	size  int64
	mtime time.Time
	err   error
}

var (
	small         = outcome{size: 1, mtime: check.Day1}
	touched       = outcome{size: 1, mtime: check.Day2}
	big           = outcome{size: 2, mtime: check.Day1}
	missing       = outcome{err: check.Errno(syscall.ENOENT, 2)}
	parentFile    = outcome{err: check.Errno(syscall.ENOTDIR, 3)}
	noDescriptors = outcome{err: check.Errno(syscall.EMFILE, 4)}
	noFiles       = outcome{err: check.Errno(syscall.ENFILE, 10024)}
	denied        = outcome{err: check.PathError(errors.New("permission denied"))}
	stale         = outcome{err: check.PathError(errors.New("stale file handle"))}
	wordless      = outcome{err: check.PathError(errors.New(""))}
)

// put makes o what Stat answers for name.
func (o outcome) put(ff *faults.FS, name string) {
	ff.Fail("stat", name, o.err)
	if o.err == nil {
		ff.Put(name, o.size, o.mtime)
	}
}

// An error is not a deletion. It comes, changes and goes.
func TestErrors(t *testing.T) {
	type step struct {
		is   outcome
		want string // a line, or "" for none
	}
	for name, steps := range map[string][]step{
		"comes, changes, goes": {
			{small, "watching f, 1 bytes"},
			{denied, "unreadable f: permission denied"},
			{stale, ""},
			{denied, ""},
			{small, "readable f, 1 bytes"},
			{small, ""},
		},
		"hides a change": {
			{small, "watching f, 1 bytes"},
			{denied, "unreadable f: permission denied"},
			{big, "modified f, 2 bytes"},
		},
		"hides a removal": {
			{small, "watching f, 1 bytes"},
			{denied, "unreadable f: permission denied"},
			{missing, "removed f"},
			{parentFile, ""},
			{denied, "unreadable f: permission denied"},
			{small, "created f, 1 bytes"},
		},
		"no descriptors": {
			{small, "watching f, 1 bytes"},
			{noDescriptors, ""},
			{noFiles, ""},
			{small, ""},
			{missing, "removed f"},
			{noDescriptors, ""},
			{missing, ""},
			{denied, "unreadable f: permission denied"},
			{noDescriptors, ""},
			{small, "created f, 1 bytes"},
		},
		"without words": {
			{small, "watching f, 1 bytes"},
			{wordless, "unreadable f: unknown error"},
			{small, "readable f, 1 bytes"},
		},
		"at the start": {
			{denied, "watching f: permission denied"},
			{small, "readable f, 1 bytes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ff := faults.Made()
			d := newDriver(t, ff, scan.Options{}, "f")
			for i, step := range steps {
				step.is.put(ff, "f")
				scan := d.scan
				if i == 0 {
					scan = d.begin
				}
				var want []string
				if step.want != "" {
					want = []string{step.want}
				}
				check.Equal(t, fmt.Sprintf("scan %d", i+1), want, scan())
				if step.is != noDescriptors && step.is != noFiles {
					d.checkStates()
				}
			}
		})
	}
}

// The steps of a target that hangs are those of the table of transitions, whatever
// it is before and after.
func TestHungTransitions(t *testing.T) {
	const never = "-" // no line
	after := []outcome{small, big, missing, denied, noDescriptors}
	for _, test := range []struct {
		name   string
		before outcome
		hung   string
		want   [5]string // by after
	}{
		{"small", small, hung("f"), [...]string{"readable f, 1 bytes", "modified f, 2 bytes", "removed f", never, never}},
		{"big", big, hung("f"), [...]string{"modified f, 1 bytes", "readable f, 2 bytes", "removed f", never, never}},
		{"missing", missing, hung("f"), [...]string{"created f, 1 bytes", "created f, 2 bytes", "removed f", never, never}},
		{"denied", denied, never, [...]string{"readable f, 1 bytes", "readable f, 2 bytes", "removed f", never, never}},
	} {
		for i, is := range after {
			t.Run(fmt.Sprintf("%s,%d", test.name, i), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					lines := func(line string) []string {
						if line == never {
							return nil
						}
						return []string{line}
					}
					ff := faults.Made()
					test.before.put(ff, "f")
					d := newDriver(t, ff, scan.Options{}, "f")
					d.begin()
					ff.Hang("f")
					check.Equal(t, "while it hangs", lines(test.hung), d.scan())
					is.put(ff, "f")
					ff.Release("f")
					synctest.Wait()
					if !d.scanner.Outstanding() {
						t.Error("its result is not outstanding")
					}
					check.Equal(t, "when it answers", lines(test.want[i]), d.collect())
					if is != noDescriptors {
						d.checkStates()
					}
					check.Equal(t, "at the next scan", []string(nil), d.scan())
				})
			})
		}
	}
}

// A target hangs, no descriptors are left when its call is answered, and it hangs
// again. It is unreadable once, and readable once.
func TestHungNoDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		small.put(ff, "f")
		d := newDriver(t, ff, scan.Options{}, "f")
		d.begin()
		r := d.record()
		defer r.stop()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			check.Equal(t, "steps", want, r.takeLines())
		}
		for range 2 {
			ff.Hang("f")
			expect(10*time.Second, hung("f"))
			noDescriptors.put(ff, "f")
			ff.Release("f")
			expect(3 * time.Second)
			ff.Hang("f")
			expect(10 * time.Second)
			ff.Release("f")
			expect(3 * time.Second)
			small.put(ff, "f")
			expect(2*time.Second, "readable f, 1 bytes")
		}
	})
}

// A call in the middle of a tree hangs: the target is unreadable. When the call is
// answered, all that has changed meanwhile follows "readable".
func TestHungTree(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/b", 0o777))
	check.Write(t, "d/a", "1", check.Day1)
	check.Write(t, "d/b/c", "1", check.Day1)
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		d := newDriver(t, ff, scan.Options{}, "d")
		d.begin()
		ff.Hang("d/b")
		check.Write(t, "d/a", "22", check.Day1)
		check.Write(t, "d/b/d", "1", check.Day1)
		check.Must(t, os.Remove("d/b/c"))
		check.Equal(t, "while it hangs", []string{hung("d")}, d.scan())
		ff.Release("d/b")
		synctest.Wait()
		d.expect("readable d", "removed d/b/c", "modified d/a, 2 bytes", "created d/b/d, 1 bytes")
	})
}

// A call in the middle of a tree hangs, and then fails for lack of descriptors. The
// target is readable as soon as a change is reported. If it was never seen, no
// change is, before all of it was.
func TestHungTreeNoDescriptors(t *testing.T) {
	for name, test := range map[string]struct {
		seen      bool
		then, all []string
	}{
		"seen":  {true, []string{"readable d", "unreadable d/a: permission denied"}, []string{"modified d/b/c, 2 bytes"}},
		"never": {false, nil, []string{"readable d"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			check.Must(t, os.MkdirAll("d/b", 0o777))
			check.Write(t, "d/a", "1", check.Day1)
			check.Write(t, "d/b/c", "1", check.Day1)
			synctest.Test(t, func(t *testing.T) {
				ff := faults.Real()
				d := newDriver(t, ff, scan.Options{Content: true}, "d")
				if test.seen {
					d.begin()
				}
				ff.Fail("open", "d/a", check.PathError(fs.ErrPermission))
				ff.Fail("open", "d/b", noDescriptors.err)
				ff.Hang("d/b")
				if test.seen {
					check.Equal(t, "while it hangs", []string{hung("d")}, d.scan())
				} else {
					check.Equal(t, "while it hangs", []string{"watching d: file system not responding for 5s"}, d.begin())
				}
				ff.Release("d/b")
				synctest.Wait()
				check.Equal(t, "without descriptors", test.then, d.scan())
				ff.Fail("open", "d/b", nil)
				check.Write(t, "d/b/c", "22", check.Day1)
				d.expect(test.all...)
			})
		})
	}
}
