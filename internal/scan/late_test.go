package scan_test

import (
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// The first scan of a target that takes longer than the interval is reported, and the
// first after it that takes no more than half of that; and nothing of the scans that it
// is known by.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "f", "g")
		d := newDriver(t, ff, scan.Options{}, "f", "g")
		ff.Slow(2 * d.interval)
		d.begin()
		ff.Slow(0)
		r := d.record()
		time.Sleep(4500 * time.Millisecond)
		check.Equal(t, "before calls are slow", []scan.Late(nil), r.lates())
		for _, delay := range []time.Duration{900, 900, 400, 300, 200, 900} { // of which g waits for f
			ff.Slow(delay * time.Millisecond)
			time.Sleep(3 * time.Second)
		}
		r.stop()
		check.Equal(t, "late", []scan.Late{
			{Target: 1, Files: 1, Took: 1800 * time.Millisecond},
			{Target: 1, Files: 1, Took: 400 * time.Millisecond, Over: true},
			{Target: 1, Files: 1, Took: 1800 * time.Millisecond},
		}, d.late)
		time.Sleep(time.Minute)
	})
}

// A late scan is reported once, even if quick scans end before it is collected.
func TestLateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "a/f", "b/g")
		d := newDriver(t, ff, scan.Options{LateAfter: scan.HungAfter / 2}, "a/f", "b/g")
		d.begin()
		ff.Hang("a/f")
		d.scanner.Start()
		time.Sleep(scan.SpawnDelay)
		d.collect() // which starts a worker for the other one
		time.Sleep(scan.HungAfter - scan.SpawnDelay)
		ff.Release("a/f")
		synctest.Wait()
		d.scanner.Start()
		synctest.Wait()
		d.collect()
		d.scan()
		check.Equal(t, "late", []scan.Late{
			{Target: 0, Files: 1, Took: scan.HungAfter},
			{Target: 0, Files: 1, Over: true},
		}, d.late)
	})
}

// A scan ends with the last call of its helpers.
func TestLateHelper(t *testing.T) {
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
		check.Equal(t, "late", []scan.Late{{Target: 0, Files: 11, Took: took}}, d.late)
	})
}
