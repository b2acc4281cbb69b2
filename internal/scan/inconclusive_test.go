package scan_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// What tells nothing is repeated at once and is no change. After 5 s, what it is about is
// unreadable for that reason, and nothing else is; and then it is readable again.
func TestInconclusive(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	names := []string{"f", "d/a", "d/sub/b", "d/other"}
	for _, name := range names {
		check.Write(t, name, "1", check.Day1)
	}
	os.Symlink("a", "d/link") // where the system lets a user do that
	for _, test := range []struct {
		content       bool
		op, name, who string // who is unreadable
	}{
		{false, "stat", "f", "f"},
		{false, "stat", "d", "d"},
		{false, "stat", "d/link", "d/link"},
		{false, "lstat", "d/a", "d/a"},
		{false, "open", "d", "d"},
		{false, "open", "d/sub", "d/sub/"},
		{false, "readdir", "d", "d"},
		{false, "readdir", "d/sub", "d/sub/"},
		{true, "open", "f", "f"},
		{true, "open", "d/a", "d/a"},
		{true, "read", "d/sub/b", "d/sub/b"},
	} {
		for _, name := range []string{"emfile", "enfile", "enomem", "eintr", "leased"} {
			t.Run(fmt.Sprintf("%s,%s,%s", test.op, test.name, name), func(t *testing.T) {
				if _, err := os.Lstat(test.name); err != nil && test.name == "d/link" {
					t.Skip("no symbolic links here")
				}
				synctest.Test(t, func(t *testing.T) {
					for _, name := range names {
						check.Write(t, name, "1", check.Day1)
					}
					ff := faults.Real()
					err := scriptErrors[name]
					d := newDriver(t, ff, scan.Options{Content: test.content}, "f", "d")
					d.begin()
					r := d.record()
					defer r.stop()

					time.Sleep(d.interval / 2)
					ff.Fail(test.op, test.name, err)
					ff.Calls("stat")
					time.Sleep(4 * time.Second)
					check.Equal(t, "for 4 s", []reported(nil), r.take())
					// Ten scans a second, each with one or two calls for each target.
					if calls := len(ff.Calls("stat")); calls < 40 || calls > 160 {
						t.Errorf("%d calls in 4 s", calls)
					}
					time.Sleep(237 * time.Millisecond) // when nothing is under way
					ff.Fail(test.op, test.name, nil)
					changed := "d/sub/b"
					if test.name == "f" {
						changed = "f"
					}
					check.Write(t, changed, "22", check.Day2)
					time.Sleep(200 * time.Millisecond) // and no tick comes
					check.Equal(t, "at once", []string{"modified " + changed + ", 2 bytes"}, r.takeLines())

					ff.Calls("stat")
					time.Sleep(10 * d.interval)
					if calls := len(ff.Calls("stat")); calls > 60 || d.scanner.CollectWithin() != 0 {
						t.Errorf("afterwards, %d calls in ten scans, and Collect is wanted within %v", calls, d.scanner.CollectWithin())
					}
					ff.Fail(test.op, test.name, err)
					r.restart()
					time.Sleep(7 * time.Second)
					got := r.take()
					if calls := len(ff.Calls("stat")); calls < 50 {
						t.Errorf("%d calls in 7 s", calls)
					}
					if len(got) != 1 || got[0].Line != "unreadable "+test.who+": "+check.Message(scan.Cause(err)) {
						t.Fatalf("for 7 s: %v", got)
					}
					if got[0].After < 5*time.Second || got[0].After > 5300*time.Millisecond+d.interval {
						t.Errorf("it was reported after %v", got[0].After)
					}
					if test.who != "f" && test.who != "d" {
						check.Write(t, "d/other", "22", check.Day2)
						time.Sleep(d.interval)
						check.Equal(t, "beside it", []string{"modified d/other, 2 bytes"}, r.takeLines())
					}
					ff.Calls("stat")
					time.Sleep(10 * time.Second)
					if calls := len(ff.Calls("stat")); calls > 60 {
						t.Errorf("%d calls in ten scans of what is unreadable", calls)
					}
					ff.Heal()
					time.Sleep(d.interval)
					if got := r.take(); len(got) != 1 || got[0].Line[:len("readable "+test.who)] != "readable "+test.who {
						t.Errorf("when it succeeds: %v", got)
					}
				})
			})
		}
	}
}

// Each of many files is leased for a time, one after the other. None of them has been for
// long, and so none is unreadable.
func TestInconclusiveInTurns(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("d", 0o777))
	names := numbered("d", 10)
	for _, name := range names {
		check.Write(t, name, "1", check.Day1)
	}
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		d := newDriver(t, ff, scan.Options{Content: true}, "d")
		d.begin()
		r := d.record()
		defer r.stop()
		for range 3 {
			for _, name := range names {
				ff.Fail("open", name, scriptErrors["leased"])
				time.Sleep(1700 * time.Millisecond)
				ff.Fail("open", name, nil)
			}
		}
		check.Equal(t, "in a minute", []reported(nil), r.take())
	})
}

// With few descriptors, few calls are made at a time, and each holds one at most.
func TestMaxCalls(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 60, 20)
	for _, content := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Real()
			ff.Slow(2 * time.Millisecond)
			d := newDriver(t, ff, scan.Options{MaxCalls: 8, Content: content}, "d")
			d.begin()
			check.Equal(t, "steps", []string(nil), d.scan())
			if n := ff.Running().Most; n < 2 || n > 4 {
				t.Errorf("%d calls at a time, want at most half of 8", n)
			}
			if n := ff.Opened(); n.Most > 4 || n.Now != 0 {
				t.Errorf("descriptors: %+v", n)
			}
			ff.Hang("d/")
			d.scan()
			if n := ff.Hanging().Now; n > 8 {
				t.Errorf("%d calls hang", n)
			}
			ff.Release("d/")
			time.Sleep(time.Minute)
		})
	}
}

// Where a link leads to counts for a file of 1970. That it cannot be found out for a moment
// is no change.
func TestFrozenLink(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a", "b"} {
		check.Write(t, name, "1", time.Unix(1, 0))
	}
	check.Symlink(t, "a", "link")
	ff := faults.Real()
	d := newDriver(t, ff, scan.Options{}, "link")
	d.begin()
	ff.Fail("evalsymlinks", "link", check.PathError(syscall.EMFILE))
	check.Equal(t, "steps", []string(nil), d.scan())
	ff.Heal()
	d.expect()
	check.Must(t, os.Remove("link"))
	check.Symlink(t, "b", "link")
	d.expect("modified link, 1 bytes")
}
