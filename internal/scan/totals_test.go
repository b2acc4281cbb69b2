package scan_test

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// Totals add up what the scans were, and have the files of the last ones.
func TestTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "f", "d/a", "d/sub/b")
		d := newDriver(t, ff, scan.Options{LateAfter: time.Second}, "f", "d")
		d.begin()
		check.Equal(t, "after the first scans", scan.Totals{Scans: 2, Files: 5}, d.scanner.Totals())

		d = newDriver(t, ff, scan.Options{LateAfter: time.Second}, "f")
		d.begin()
		for _, took := range []time.Duration{time.Second, time.Second + 1, 0} {
			ff.SlowFunc(func(name string) time.Duration {
				if name == "f" {
					return took
				}
				return 0
			})
			d.scan()
			check.Equal(t, "the last scan took", took, d.scanner.Totals().Last)
		}
		check.Equal(t, "after scans that took a second, a little longer, and no time",
			scan.Totals{Scans: 4, Time: 2*time.Second + 1, Late: 1, Files: 1}, d.scanner.Totals())
	})
}

// What is overdue has the reason why no scan of it ends.
func TestOverdueWhy(t *testing.T) {
	hang := func(names ...string) func(ff *faults.FS) func() {
		return func(ff *faults.FS) func() {
			for _, name := range names {
				ff.Hang(name)
			}
			return func() {
				for _, name := range names {
					ff.Release(name)
				}
			}
		}
	}
	slow := func(d time.Duration) func(ff *faults.FS) func() {
		return func(ff *faults.FS) func() { ff.Slow(d); return func() {} }
	}
	const (
		hung  = "a file system call has not been answered for 4s"
		waits = "it waits for file system calls that are hung"
	)
	short := check.Errno(syscall.EMFILE, 10024)
	for name, test := range map[string]struct {
		paths []string
		begin func(ff *faults.FS) (end func())
		want  map[string]string // by path
	}{
		"no time passes in calls": {[]string{"f"}, slow(0), nil},
		"a call hangs":            {[]string{"f", "1/f"}, hang("1/"), map[string]string{"1/f": hung}},
		"calls are slow": {[]string{"f", "d"}, slow(900 * time.Millisecond),
			map[string]string{"d": "a scan has been under way for 4s"}},
		"a call tells nothing": {[]string{"f", "1/f"},
			func(ff *faults.FS) func() {
				ff.Fail("stat", "1/f", short)
				return func() {}
			}, map[string]string{"1/f": scan.Cause(short).Error()}},
		"calls hang in the same directory": {[]string{"1/f", "1/g", "1/h", "1/i", "1/j", "1/k"}, hang("1/"),
			map[string]string{
				"1/f": hung,
				"1/g": "a file system call has not been answered for 3s",
				"1/h": "a file system call has not been answered for 2s",
				"1/i": waits, "1/j": waits, "1/k": waits,
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := faults.Made()
				putAll(ff, "f", "1/f", "1/g", "1/h", "1/i", "1/j", "1/k")
				putAll(ff, numbered("d", 10)...)
				d := newDriver(t, ff, scan.Options{MaxCalls: 4}, test.paths...)
				d.begin()
				r := d.record()
				time.Sleep(500 * time.Millisecond)
				end := test.begin(ff)
				time.Sleep(4637 * time.Millisecond) // when no retry is under way
				var got map[string]string
				for _, o := range d.scanner.Overdue(3 * time.Second) {
					if got == nil {
						got = make(map[string]string)
					}
					got[d.paths[o.Target]] = o.Why
				}
				check.Equal(t, "overdue", test.want, got)
				end()
				r.stop()
				time.Sleep(time.Minute) // which ends the calls under way
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, numbered("d", 10)...)
		d := newDriver(t, ff, scan.Options{}, numbered("d", 10)...)
		d.begin()
		r := d.record()
		end := hang("d/")(ff)
		time.Sleep(2500 * time.Millisecond) // the second call has waited for half a second
		all := d.scanner.Overdue(time.Second)
		check.Equal(t, "when a call hangs", "d/9: "+waits, d.paths[all[9].Target]+": "+all[9].Why)
		check.Equal(t, "calls that hang", 1, d.scanner.Totals().Hung)
		end()
		r.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, numbered("d", 10)...)
		d := newDriver(t, ff, scan.Options{MaxCalls: 4}, numbered("d", 10)...)
		d.begin()
		time.Sleep(3 * time.Second)
		check.Equal(t, "after 3 s", []scan.Overdue(nil), d.scanner.Overdue(3*time.Second))
		time.Sleep(time.Nanosecond)
		check.Equal(t, "when nobody scans", scan.Overdue{Target: 9, For: 3*time.Second + 1, Why: "no scan was begun"}, d.scanner.Overdue(3 * time.Second)[9])
		ff.Slow(time.Second)
		d.scanner.Start()
		time.Sleep(1500 * time.Millisecond)
		all := d.scanner.Overdue(3 * time.Second)
		check.Equal(t, "when others are scanned", "it waits for the scans of other targets", all[len(all)-1].Why)
		d.scan()
	})
}
