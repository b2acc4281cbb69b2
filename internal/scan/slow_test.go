package scan_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// Where a call takes 1 ms, many are made at a time: 10,000 files are scanned in
// less than 0.7 s.
func TestSlow(t *testing.T) {
	const files = 10_000
	test := func(t *testing.T, ff *faults.FS, paths ...string) *driver {
		d := newDriver(t, ff, scan.Options{LateAfter: 1}, paths...)
		ff.Slow(time.Millisecond)
		begin := time.Now()
		d.begin()
		first := time.Since(begin)
		ff.Asked()
		begin = time.Now()
		check.Equal(t, "steps", []string(nil), d.scan())
		if next := time.Since(begin); first > 700*time.Millisecond || next > 700*time.Millisecond {
			t.Errorf("the first scan took %v, the next %v", first, next)
		}
		if n := ff.Running().Most; n > scan.MaxHelpers {
			t.Errorf("%d calls at a time", n)
		}
		return d
	}
	for _, dirs := range []int{1, 1000} {
		t.Run(fmt.Sprintf("tree,directories=%d", dirs), func(t *testing.T) {
			t.Chdir(t.TempDir())
			check.MakeTree(t, "d", dirs, files/dirs)
			synctest.Test(t, func(t *testing.T) {
				d := test(t, faults.Real(), "d")
				if len(d.late) != 1 || d.late[0].Files != files+dirs+1 {
					t.Errorf("scans: %+v, want one of %d files and directories", d.late, files+dirs+1)
				}
			})
		})
		t.Run(fmt.Sprintf("targets,directories=%d", dirs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := faults.Made()
				var names []string
				for i := range files {
					names = append(names, fmt.Sprintf("%d/%d", i%dirs, i))
				}
				putAll(ff, names...)
				test(t, ff, names...)
				check.Equal(t, "files in the last scan", files, ff.Asked(names...))
			})
		})
	}
}

// Where calls are fast, one is made at a time, even of so many files that scans
// take longer than the interval.
func TestFast(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 100, 1)
	names, err := filepath.Glob("d/*/*")
	check.Must(t, err)
	one := faults.Level{Now: 0, Most: 1}
	for _, content := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Real()
			ff.Slow(2 * time.Microsecond)
			d := newDriver(t, ff, scan.Options{Content: content}, append(names, "d")...)
			d.begin()
			d.expect()
			check.Equal(t, "calls at a time", one, ff.Running())
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		ff.Slow(2 * time.Microsecond)
		var names []string
		for i := range 20_000 {
			names = append(names, fmt.Sprintf("%d/%d", i%100, i))
		}
		d := newDriver(t, ff, scan.Options{LateAfter: time.Millisecond}, names...)
		d.interval = time.Millisecond
		d.begin()
		r := d.record()
		time.Sleep(50 * time.Millisecond)
		r.stop()
		time.Sleep(time.Minute)
		if len(d.late) == 0 {
			t.Error("no scan took longer than the interval")
		}
		check.Equal(t, "calls at a time", one, ff.Running())
	})
}

// At 200 or 500 ms a call a directory is slow, and does not hang. At 500 ms, to
// list the first portion takes 4.5 s.
func TestVerySlow(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 1, 200)
	for latency, want := range map[time.Duration][]string{
		200 * time.Millisecond: nil,
		500 * time.Millisecond: {"readable d"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Real()
			ff.Slow(latency)
			d := newDriver(t, ff, scan.Options{}, "d")
			d.begin()
			r := d.record()
			time.Sleep(time.Minute)
			check.Equal(t, fmt.Sprintf("steps at %v a call", latency), want, r.takeLines())
			r.stop()
			time.Sleep(time.Minute)
		})
	}
}

// Calls that take longer than it takes to count as hung, and are answered, make no
// target unreadable that was scanned before.
func TestSlowCalls(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 1, 1)
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		d := newDriver(t, ff, scan.Options{}, "d")
		d.begin()
		ff.Slow(scan.HungAfter * 3 / 2)
		begin := time.Now()
		check.Equal(t, "steps", []string(nil), d.scan())
		if took := time.Since(begin); took < scan.UnreadableAfter {
			t.Errorf("a scan took %v, which is short", took)
		}
	})
}

// A first scan that takes too long, though every call is answered, is given up for
// then. The time counts from the first Start.
func TestNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		names := numbered("slow", 1000)
		putAll(ff, names...)
		ff.Slow(300 * time.Millisecond)
		d := newDriver(t, ff, scan.Options{}, names...)
		time.Sleep(time.Hour)
		begin := time.Now()
		lines := d.begin()
		// Scans that end meanwhile are collected before the start ends.
		if took := time.Since(begin); took < scan.UnreadableAfter || took > scan.UnreadableAfter+scan.HungAfter {
			t.Errorf("the start took %v", took)
		}
		done := 0
		var want []string // of the scans after it
		for i, name := range names {
			switch lines[i] {
			case "watching " + name + ", 1 bytes":
				done++
			case "watching " + name + ": initial scan not finished after 5s":
				want = append(want, "readable "+name+", 1 bytes")
			default:
				t.Errorf("the state is %q", lines[i])
			}
		}
		if done == 0 || len(want) == 0 {
			t.Errorf("%d are done, and %d are not", done, len(want))
		}
		r := d.record()
		time.Sleep(time.Minute)
		slices.Sort(want)
		check.Equal(t, "steps", want, r.takeLines())
		r.stop()
		time.Sleep(time.Minute)
	})
}

// It is given up then even if the scans of another target go on.
func TestNotDoneBeside(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 1, 200)
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		ff.Slow(500 * time.Millisecond)
		d := newDriver(t, ff, scan.Options{}, "d", "d/dir0000/file0000")
		begin := time.Now()
		d.scanner.Start()
		for tick := time.Tick(d.interval); !d.scanner.Known() && time.Since(begin) < time.Minute; {
			d.wait(nil, tick)
		}
		if took := time.Since(begin); took < scan.UnreadableAfter || took > scan.UnreadableAfter+d.interval {
			t.Errorf("the start took %v", took)
		}
		check.Equal(t, "reason", "initial scan not finished after 5s", d.scanner.State(0).Stat.Err())
		d.stop()
		d.scanner.Close()
		time.Sleep(time.Minute)
	})
}

// A target that hangs does not make the others of its directory, which are slow,
// unreadable.
func TestSlowBesideHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		names := numbered("nfs", 500)
		putAll(ff, names...)
		d := newDriver(t, ff, scan.Options{}, names...)
		d.begin()
		ff.Slow(900 * time.Millisecond) // some 15 s for all
		ff.Hang(names[0])
		r := d.record()
		time.Sleep(time.Minute)
		check.Equal(t, "steps", []string{hung(names[0])}, r.takeLines())
		ff.Release(names[0])
		r.stop()
		time.Sleep(time.Minute)
	})
}

// Hung calls leave enough others for directories that are slow.
func TestHungHelpers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		slow := numbered("slow", 1000)
		var names []string
		for i := range scan.MaxHelpers {
			names = append(names, fmt.Sprintf("nfs/%d/f", i))
		}
		names = append(names, slow...)
		putAll(ff, names...)
		d := newDriver(t, ff, scan.Options{}, names...)
		ff.Slow(10 * time.Millisecond)
		d.begin()
		r := d.record()
		ff.Hang("nfs/")
		time.Sleep(10 * time.Second)
		ff.Asked()
		time.Sleep(time.Minute)
		if n := ff.Asked(slow...); n < 59*len(slow) {
			t.Errorf("%d scans of %d files in a minute", n, len(slow))
		}
		ff.Release("nfs/")
		r.stop()
		time.Sleep(time.Minute)
	})
}

// Directories whose scans take longer than the interval, or hang in the middle of
// a scan, leave a target elsewhere its rhythm.
func TestElsewhere(t *testing.T) {
	for _, test := range []struct {
		dirs    int
		latency time.Duration
		hang    bool
	}{
		{1, 4 * time.Millisecond, false},
		{1, 30 * time.Millisecond, false},
		{4, 30 * time.Millisecond, false},
		{4, 500 * time.Millisecond, false},
		{2, 0, true},
		{2, time.Millisecond, true},
		{2, 30 * time.Millisecond, true},
		{4, 300 * time.Millisecond, true},
	} {
		t.Run(fmt.Sprintf("directories=%d,latency=%v,hang=%v", test.dirs, test.latency, test.hang), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := faults.Made()
				var names []string
				for i := range 2000 {
					names = append(names, fmt.Sprintf("nfs/%d/%d", i%test.dirs, i))
				}
				names = append(names, "disk/f")
				putAll(ff, names...)
				ff.SlowFunc(func(name string) time.Duration {
					if strings.HasPrefix(name, "nfs/") {
						return test.latency
					}
					return 0
				})
				d := newDriver(t, ff, scan.Options{}, names...)
				d.begin()
				r := d.record()
				time.Sleep(10*time.Second + test.latency*10)
				// The first call in a directory is not for speed, and always made.
				if n := ff.Running().Most; n > scan.MaxHelpers+test.dirs+1 {
					t.Errorf("%d calls at a time, though none hangs", n)
				}
				if test.hang {
					ff.Hang("nfs/")
					time.Sleep(20 * time.Second)
				}
				ff.Asked()
				time.Sleep(time.Minute)
				if n := ff.Asked("disk/f"); n < 58 {
					t.Errorf("%d scans elsewhere in a minute", n)
				}
				if n := ff.Hanging().Most; n > scan.MaxShared+test.dirs {
					t.Errorf("%d calls hang", n)
				}
				if test.hang {
					ff.Release("nfs/")
				}
				r.stop()
				time.Sleep(time.Minute)
			})
		})
	}
}
