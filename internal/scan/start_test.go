package scan_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// A tag is that of the file, whatever happened to it, on every machine.
func TestStateReturns(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "f", "1", time.Unix(1, 0)) // as of a read-only image
	d := newDriver(t, faults.Real(), scan.Options{}, "f")
	d.begin()
	first := d.sum[0]
	check.Must(t, os.Rename("f", "g"))
	d = newDriver(t, faults.Real(), scan.Options{}, "g")
	if d.begin(); d.sum[0] != first {
		t.Error("in 1970, the tag depends on the target's own name")
	}
	check.Must(t, os.Rename("g", "f"))
	check.Write(t, "f", "1", check.Day1)
	d = newDriver(t, faults.Real(), scan.Options{}, "f")
	d.begin()
	first = d.sum[0]
	check.Write(t, "f", "2", check.Day2)
	if d.scan(); d.sum[0] == first {
		t.Error("another mtime, the same tag")
	}
	check.Write(t, "f", "3", check.Day1)
	if d.scan(); d.sum[0] != first {
		t.Error("the same mtime and size again, another tag")
	}
	check.Must(t, os.Rename("f", "g"))
	d = newDriver(t, faults.Real(), scan.Options{}, "g")
	if d.begin(); d.sum[0] != first {
		t.Error("the tag depends on the target's own name")
	}
}

// A first scan that is inconclusive is repeated, whoever was without descriptors: where
// calls are slow, several directories are listed at a time. If that lasts, what they
// were wanted for is unreadable, and all else is known.
func TestNoDescriptorsAtStart(t *testing.T) {
	t.Chdir(t.TempDir())
	failing := []struct{ op, name, unreadable string }{{"stat", "d", "d"}, {"open", "d", "d"}}
	for i := range 6 {
		dir := fmt.Sprint("d/", i)
		check.Must(t, os.MkdirAll(dir, 0o777))
		check.Write(t, dir+"/a", "1", check.Day1)
		failing = append(failing, struct{ op, name, unreadable string }{"open", dir, dir + "/"},
			struct{ op, name, unreadable string }{"lstat", dir + "/a", dir + "/a"})
	}
	emfile := check.PathError(scriptErrors["emfile"])
	for _, slow := range []time.Duration{0, time.Millisecond} {
		for _, f := range failing {
			synctest.Test(t, func(t *testing.T) {
				ff := faults.Real()
				fresh := newDriver(t, ff, scan.Options{}, "d")
				fresh.begin()

				ff.Slow(slow)
				ff.Fail(f.op, f.name, emfile)
				time.AfterFunc(3*time.Second, ff.Heal)
				d := newDriver(t, ff, scan.Options{}, "none", "d")
				begin := time.Now()
				d.begin()
				if took := time.Since(begin); took < 3*time.Second || took > 3*time.Second+300*time.Millisecond {
					t.Errorf("%+v fails for 3s: the start took %v", f, took)
				}
				check.Equal(t, fmt.Sprintf("%+v fails for 3s: sum", f), fresh.sum[0], d.sum[1])

				ff.Slow(slow)
				ff.Fail(f.op, f.name, emfile)
				d = newDriver(t, ff, scan.Options{}, "none", "d")
				begin = time.Now()
				lines := d.begin()
				if took := time.Since(begin); took > scan.UnreadableAfter+300*time.Millisecond {
					t.Errorf("%+v fails: the start took %v", f, took)
				}
				got := []string{lines[1]}
				for name, reason := range d.scanner.Unreadable(1) {
					got = append(got, "unreadable d/"+name+": "+reason)
				}
				const reason = ": too many open files"
				want := []string{"watching d", "unreadable " + f.unreadable + reason}
				if f.unreadable == "d" {
					want = []string{"watching d" + reason}
				}
				check.Equal(t, fmt.Sprintf("%+v fails", f), want, got)
				ff.Heal()
				if got := d.scan(); len(got) == 0 || !strings.HasPrefix(got[0], "readable "+f.unreadable) {
					t.Errorf("%+v fails no more: %q", f, got)
				}
				check.Equal(t, fmt.Sprintf("%+v fails no more: sum", f), fresh.sum[0], d.sum[1])
			})
		}
	}
}

// What the first scans could not examine, because calls told nothing, is created if its
// directory was unreadable when the first one was complete.
func TestDoubtsOfUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "d/sub/a")
		ff.Fail("lstat", "d/sub/a", check.PathError(scriptErrors["leased"]))
		go func() {
			time.Sleep(50 * time.Millisecond) // then the scan is repeated
			ff.Fail("open", "d/sub", check.PathError(errors.New("stale file handle")))
		}()
		d := newDriver(t, ff, scan.Options{}, "d")
		check.Equal(t, "first scan", []string{"watching d"}, d.begin())
		ff.Heal()
		d.expect("readable d/sub/", "created d/sub/a, 1 bytes")
		d.checkTree()
	})
}

// A target whose first scan is inconclusive, and then hangs, is not unreadable for what
// was inconclusive below it.
func TestDoubtThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "d/a")
		ff.Fail("lstat", "d/a", check.PathError(scriptErrors["leased"]))
		go func() {
			time.Sleep(2 * time.Second)
			ff.Hang("d")
		}()
		d := newDriver(t, ff, scan.Options{}, "d")
		check.Equal(t, "first scan", []string{"watching d: initial scan not finished after 5s"}, d.begin())
		ff.Release("d")
		time.Sleep(time.Second)
	})
}

// The steps of a collect are in the order of the targets, in whatever order these were
// scanned; and a target that hung is what its last step says.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "a/f", "b/f", "c/f")
		d := newDriver(t, ff, scan.Options{}, "a/f", "b/f", "c/f")
		d.begin()
		ff.Hang("a/f")
		check.Equal(t, "while one hangs", []string{hung("a/f")}, d.scan())
		ff.Put("b/f", 2, check.Day1)
		ff.Put("c/f", 2, check.Day1)
		d.scanner.Start()
		synctest.Wait()
		ff.Release("a/f")
		synctest.Wait()
		check.Equal(t, "when it answers", []string{"readable a/f, 1 bytes", "modified b/f, 2 bytes", "modified c/f, 2 bytes"}, d.collect())
		if err := d.scanner.State(0).Stat.Err(); err != "" {
			t.Errorf("its state is unreadable: %s", err)
		}
	})
}

// What could not be examined at first, and could be before all targets were known, is not
// among what cannot be.
func TestUnreadableHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "d/a", "d/b", "nfs/f")
		ff.Fail("lstat", "d/a", denied.err)
		ff.Hang("nfs/f")
		s := scan.New(t.Context(), []string{"d", "nfs/f"}, scan.Options{FileSystem: ff})
		for range 2 {
			s.Start()
			for range 3 {
				time.Sleep(scan.SpawnDelay)
				s.Collect()
			}
			ff.Heal()
		}
		check.Equal(t, "what cannot be examined", map[string]string(nil), s.Unreadable(0))
		ff.Release("nfs/f")
	})
}
