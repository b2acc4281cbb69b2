package scan_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// While the program itself is stopped no file system is to blame, whatever comes
// first when it goes on.
func TestStopped(t *testing.T) {
	for _, tick := range []bool{false, true} {
		t.Run(fmt.Sprintf("tick=%v", tick), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := faults.Made()
				putAll(ff, "f")
				d := newDriver(t, ff, scan.Options{}, "f")
				d.begin()
				ff.Hang("f")
				d.scanner.Start()
				time.Sleep(time.Hour) // and nobody calls Collect
				begin := time.Now()
				if tick {
					d.scanner.Start()
				}
				check.Equal(t, "at once", []string(nil), d.collect())
				var lines []string
				for d.scanner.Outstanding() {
					lines = append(lines, d.wait(nil, nil)...)
				}
				check.Equal(t, "then", []string{hung("f")}, lines)
				if took := time.Since(begin); took < scan.UnreadableAfter-2*scan.HungAfter {
					t.Errorf("it was given %v", took)
				}
				ff.Release("f")
			})
		})
	}
}

// Close waits for calls that are answered soon, and for no longer, after the first
// scan and during it. No further call is made.
func TestClose(t *testing.T) {
	const after = 10 * time.Millisecond // of the call
	for call, want := range map[time.Duration]time.Duration{
		50 * time.Millisecond: 40 * time.Millisecond,
		time.Minute:           100 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Made()
			putAll(ff, "f", "g")
			d := newDriver(t, ff, scan.Options{}, "f", "g")
			d.begin()
			ff.Slow(call)
			ff.Calls("stat")
			r := d.record()
			time.Sleep(d.interval + after)
			begin := time.Now()
			r.stop()
			check.Equal(t, fmt.Sprintf("the end, with a call of %v,", call), want, time.Since(begin))
			time.Sleep(time.Minute)
			check.Equal(t, "calls", []string{"f"}, ff.Calls("stat"))

			d = newDriver(t, ff, scan.Options{}, "f", "g")
			d.scanner.Start()
			time.Sleep(after)
			begin = time.Now()
			d.stop()
			d.scanner.Close()
			check.Equal(t, fmt.Sprintf("the end of the start, with a call of %v,", call), want, time.Since(begin))
			time.Sleep(time.Minute)
			check.Equal(t, "calls", []string{"f"}, ff.Calls("stat"))
		})
	}
}

// Ready has a value as soon as a scan has ended, also one on demand, even if nobody
// waited for it then.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "f")
		d := newDriver(t, ff, scan.Options{}, "f")
		for name, begin := range map[string]func(){"Start": d.scanner.Start, "Demand": d.scanner.Demand} {
			begin()
			synctest.Wait()
			select {
			case <-d.scanner.Ready():
			default:
				t.Errorf("after %s: no value", name)
			}
			d.collect()
		}
	})
}

// Collect may be put off as long as nothing has happened, and no worker is to be
// started.
func TestCollectWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		names := numbered("nfs", scan.MaxProbesPerDir+1)
		putAll(ff, names...)
		for _, name := range names {
			ff.Hang(name)
		}
		d := newDriver(t, ff, scan.Options{}, names...)
		expect := func(when string, want time.Duration) {
			t.Helper()
			check.Equal(t, when, want, d.scanner.CollectWithin())
		}
		expect("before the first scan", 0)
		d.scanner.Start()
		expect("during a scan", scan.SpawnDelay)
		for d.scanner.Outstanding() {
			d.wait(nil, nil)
		}
		expect("while all hang, and one waits", scan.HungAfter)
		ff.Release(names[0])
		synctest.Wait()
		expect("when one has answered, and its worker hangs with the last", scan.SpawnDelay)
		d.collect()
		expect("when that is collected", 0)
		for _, name := range names[1:] {
			ff.Release(name)
		}
	})
}

// All calls hang from a second after the last one began, until no more than half of them
// do.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		names := []string{"a/f", "b/f", "c/f", "d/f"}
		putAll(ff, names...)
		for _, name := range names {
			ff.Hang(name)
		}
		s := scan.New(t.Context(), names, scan.Options{FileSystem: ff, MaxCalls: len(names)})
		s.Start()
		for range names[1:] {
			time.Sleep(scan.SpawnDelay)
			s.Collect() // which starts a worker
		}
		for _, test := range []struct {
			when string
			do   func()
			want bool
		}{
			{"in less than a second", func() { time.Sleep(scan.HungAfter - 1) }, false},
			{"in a second", func() { time.Sleep(time.Nanosecond) }, true},
			{"when one is answered", func() { ff.Release(names[0]) }, true},
			{"when half are answered", func() { ff.Release(names[1]) }, false},
			{"when one of them hangs again", func() { ff.Hang(names[0]); s.Start(); time.Sleep(scan.HungAfter) }, false},
		} {
			test.do()
			synctest.Wait()
			check.Equal(t, test.when+", all hang", test.want, s.Collect().Full)
		}
		for _, name := range []string{names[0], names[2], names[3]} {
			ff.Release(name)
		}
	})
}

// Only what was inconclusive is scanned again at once.
func TestRetryAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "f", "g")
		d := newDriver(t, ff, scan.Options{}, "f", "g")
		d.begin()
		noDescriptors.put(ff, "f")
		ff.Asked()
		d.scanner.Start()
		for begin := time.Now(); time.Since(begin) < time.Second; {
			d.wait(nil, nil)
		}
		check.Equal(t, "scans of the other one", 1, ff.Asked("g"))
	})
}
