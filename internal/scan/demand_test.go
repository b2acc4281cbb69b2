package scan_test

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// meet demands a scan, waits until that is met, and returns a line a step.
func (d *driver) meet() []string {
	d.Helper()
	var lines []string
	met := d.met
	for d.scanner.Demand(); d.met == met; {
		if d.scanner.CollectWithin() == 0 {
			d.Fatal("nobody is to ask whether the demand is met")
		}
		lines = append(lines, d.wait(nil, nil)...)
	}
	return lines
}

// What changed before a demand is in the steps when it is met, whatever was under way
// then; and it is met once.
func TestDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "d/a", "d/b", "f")
		d := newDriver(t, ff, scan.Options{}, "d", "f")
		d.begin()
		check.Equal(t, "steps", []string(nil), d.meet())
		for n := range 40 { // moments of a scan, of which each call takes 20 ms
			ff.Slow(20 * time.Millisecond)
			d.scanner.Start()
			time.Sleep(time.Duration(n) * 3 * time.Millisecond)
			ff.Put("d/a", int64(2+n), check.Day2)
			ff.Put("f", int64(2+n), check.Day2)
			want := []string{fmt.Sprintf("modified d/a, %d bytes", 2+n), fmt.Sprintf("modified f, %d bytes", 2+n)}
			got := d.meet()
			if len(got) == 2 && got[0] > got[1] {
				got[0], got[1] = got[1], got[0]
			}
			check.Equal(t, fmt.Sprintf("steps in moment %d", n), want, got)
			ff.Slow(0)
			check.Equal(t, "afterwards", []string(nil), d.scan())
		}
		check.Equal(t, "demands met", 41, d.met)
	})
}

// A demand waits for a target that hangs no longer than until that is unreadable, and
// for one of which the calls tell nothing until they do.
func TestDemandHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "a/f", "b/g", "c/h")
		d := newDriver(t, ff, scan.Options{}, "a/f", "b/g", "c/h")
		d.begin()
		ff.Hang("a/f")
		ff.Put("b/g", 2, check.Day2)
		begin := time.Now()
		check.Equal(t, "steps", []string{"modified b/g, 2 bytes", "unreadable a/f: file system not responding for 5s"}, d.meet())
		if took := time.Since(begin); took < scan.UnreadableAfter || took > scan.UnreadableAfter+time.Second {
			t.Errorf("met after %v", took)
		}
		begin = time.Now()
		check.Equal(t, "steps", []string(nil), d.meet())
		if took := time.Since(begin); took > scan.HungAfter {
			t.Errorf("while it is unreadable, met after %v", took)
		}

		ff.Fail("stat", "c/h", check.Errno(syscall.EMFILE, 4))
		ff.Put("c/h", 2, check.Day2)
		begin = time.Now()
		time.AfterFunc(time.Second, func() { ff.Fail("stat", "c/h", nil) })
		check.Equal(t, "steps", []string{"modified c/h, 2 bytes"}, d.meet())
		if took := time.Since(begin); took < time.Second || took > 2*time.Second {
			t.Errorf("with calls that tell nothing, met after %v", took)
		}
		ff.Release("a/f")
	})
}

// What a demand adds begins as soon as a worker is free, and needs no further one.
func TestDemandFollows(t *testing.T) {
	for files, want := range map[int]time.Duration{1: 15 * time.Millisecond, 3: 35 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Made()
			names := []string{"a/f", "b/f", "c/f"}[:files]
			putAll(ff, names...)
			d := newDriver(t, ff, scan.Options{}, names...)
			d.begin()
			ff.Slow(10 * time.Millisecond)
			d.scanner.Start()
			time.Sleep(5 * time.Millisecond)
			begin := time.Now()
			check.Equal(t, "steps", []string(nil), d.meet())
			check.Equal(t, fmt.Sprintf("time, for %d", files), want, time.Since(begin))
			check.Equal(t, "calls at a time", 1, ff.Running().Most)
		})
	}
}
