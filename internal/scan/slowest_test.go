package scan_test

import (
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// A scan that takes longer than the interval is reported, the longest if there are
// several, and no first scan.
func TestSlowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "f", "g")
		d := newDriver(t, ff, scan.Options{}, "f", "g")
		ff.Slow(2 * d.interval)
		d.begin()
		ff.Slow(0)
		r := d.record()
		time.Sleep(4500 * time.Millisecond)
		check.Equal(t, "before calls are slow", []scan.Slowest(nil), d.late)
		ff.Slow(900 * time.Millisecond)
		time.Sleep(2400 * time.Millisecond)
		r.stop()
		check.Equal(t, "late", []scan.Slowest{{Target: 1, Files: 1, Took: 1800 * time.Millisecond}}, d.late)
		time.Sleep(time.Minute)
	})
}

// A late scan is reported once, even if quick scans end before it is collected.
func TestSlowestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "f", "g")
		d := newDriver(t, ff, scan.Options{}, "f", "g")
		d.begin()
		d.interval = scan.HungAfter / 2
		ff.Hang("f")
		d.scanner.Start()
		time.Sleep(scan.HungAfter)
		ff.Release("f")
		synctest.Wait()
		d.scanner.Start()
		synctest.Wait()
		d.collect()
		d.scan()
		check.Equal(t, "late", []scan.Slowest{{Target: 0, Files: 1, Took: scan.HungAfter}}, d.late)
	})
}

// A scan ends with the last call of its helpers.
func TestSlowestHelper(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 10, 0)
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		d := newDriver(t, ff, scan.Options{}, "d")
		d.begin()
		ff.SlowFunc(func(name string) time.Duration {
			if name == "d/dir0009" { // a helper has it
				return 2 * d.interval
			}
			return time.Millisecond
		})
		begin := time.Now()
		d.scan()
		took := time.Since(begin)
		check.Equal(t, "late", []scan.Slowest{{Target: 0, Files: 11, Took: took}}, d.late)
	})
}
