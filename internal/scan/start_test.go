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

// A tag is that of the file, whatever happened to it, on every machine.
func TestStateReturns(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "f", "1", check.Day1)
	d := newDriver(t, faults.Real(), scan.Options{}, "f")
	d.begin()
	first := d.tag[0]
	check.Write(t, "f", "2", check.Day2)
	if d.scan(); d.tag[0] == first {
		t.Error("another mtime, the same tag")
	}
	check.Write(t, "f", "3", check.Day1)
	if d.scan(); d.tag[0] != first {
		t.Error("the same mtime and size again, another tag")
	}
	check.Must(t, os.Rename("f", "g"))
	d = newDriver(t, faults.Real(), scan.Options{}, "g")
	if d.begin(); d.tag[0] != first {
		t.Error("the tag depends on the target's own name")
	}
}

// Without descriptors at the start, there is an error and no wrong beginning, whoever
// is without: where calls are slow, several directories are listed at a time.
func TestNoDescriptorsAtStart(t *testing.T) {
	t.Chdir(t.TempDir())
	failing := []struct{ op, name string }{{"stat", "d"}, {"open", "d"}}
	for i := range 6 {
		dir := fmt.Sprint("d/", i)
		check.Must(t, os.MkdirAll(dir, 0o777))
		check.Write(t, dir+"/a", "1", check.Day1)
		for _, op := range []string{"open", "lstat"} {
			failing = append(failing, struct{ op, name string }{op, dir})
		}
		failing = append(failing, struct{ op, name string }{"lstat", dir + "/a"})
	}
	for _, slow := range []time.Duration{0, time.Millisecond} {
		for _, f := range failing {
			synctest.Test(t, func(t *testing.T) {
				ff := faults.Real()
				ff.Slow(slow)
				ff.Fail(f.op, f.name, check.Errno(syscall.EMFILE, 4))
				d := newDriver(t, ff, scan.Options{}, "none", "d")
				d.scan()
				if _, err := d.scanner.State(1); err != scan.ErrNoDescriptors {
					t.Errorf("%+v fails: %v", f, err)
				}
				ff.Heal()
				check.Equal(t, fmt.Sprintf("%+v fails: steps of the first scan that is complete", f), []string(nil), d.scan())
				state, err := d.scanner.State(1)
				check.Must(t, err)
				fresh := newDriver(t, ff, scan.Options{}, "d")
				fresh.begin()
				check.Equal(t, "tag", fresh.tag[0], state.Tag)
			})
		}
	}
}
