package scan_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// byLine sorts what is reported at the same time.
var byLine = cmpopts.SortSlices(func(a, b reported) bool { return a.Line < b.Line })

// What hangs is unreadable after 5 s and costs one call, however long it lasts. What
// is in another directory keeps its rhythm, and so does the end.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		for _, name := range []string{"nfs/f", "nfs/g", "disk/f"} {
			ff.Put(name, 1, check.Day1)
		}
		d := newDriver(t, ff, scan.Options{}, "nfs/f", "nfs/g", "disk/f")
		d.begin()
		r := d.record()

		time.Sleep(1500 * time.Millisecond)
		ff.Hang("nfs/f")
		ff.Hang("nfs/g")
		time.Sleep(5 * time.Second)
		ff.Put("disk/f", 2, check.Day1)
		time.Sleep(time.Second)
		check.Equal(t, "hung", []reported{
			{7 * time.Second, "unreadable nfs/f: file system not responding for 5s"},
			{7 * time.Second, "unreadable nfs/g: file system not responding for 5s"},
			{7 * time.Second, "modified disk/f, 2 bytes"},
		}, r.take())

		ff.Asked()
		time.Sleep(3 * time.Hour)
		check.Equal(t, "for hours", []reported(nil), r.take())
		if elsewhere := ff.Asked("disk/f"); elsewhere != 3*3600 {
			t.Errorf("%d scans elsewhere, want %d", elsewhere, 3*3600)
		}
		if hanging := ff.Hanging(); hanging.Most > 2 {
			t.Errorf("%d calls hung", hanging.Most)
		}

		r.restart()
		ff.Put("nfs/g", 2, check.Day1)
		ff.Release("nfs/f")
		ff.Release("nfs/g")
		check.Equal(t, "when it answers",
			[]reported{{0, "modified nfs/g, 2 bytes"}, {0, "readable nfs/f, 1 bytes"}}, r.take(), byLine)

		ff.Hang("nfs/f")
		time.Sleep(2 * time.Second)
		begin := time.Now()
		if r.stop(); time.Since(begin) > 100*time.Millisecond {
			t.Errorf("the end took %v", time.Since(begin))
		}
		ff.Release("nfs/f")
		if len(d.late) > 0 {
			t.Errorf("late: %+v", d.late)
		}
	})
}

// A first scan that takes too long, though every call is answered, is given up for
// then.
func TestNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		var names []string
		for i := range 1000 {
			names = append(names, "slow/"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
			ff.Put(names[i], 1, check.Day1)
		}
		d := newDriver(t, ff, scan.Options{}, names...)
		ff.Slow(300 * time.Millisecond)
		begin := time.Now()
		lines := d.begin()
		// What ends meanwhile is collected before the start ends.
		if took := time.Since(begin); took < scan.UnreadableAfter || took > scan.UnreadableAfter+scan.HungAfter {
			t.Errorf("the start took %v", took)
		}
		notDone := 0
		for _, line := range lines {
			switch {
			case strings.HasSuffix(line, ": initial scan not finished after 5s"):
				notDone++
			case !strings.HasSuffix(line, ", 1 bytes"):
				t.Fatalf("greeted with %q", line)
			}
		}
		if notDone == 0 || notDone == len(lines) {
			t.Errorf("%d of %d are not done", notDone, len(lines))
		}
		r := d.record()
		time.Sleep(time.Minute)
		got := r.takeLines()
		if len(got) != notDone || slices.ContainsFunc(got, func(s string) bool { return !strings.HasPrefix(s, "readable slow/") }) {
			t.Errorf("%d are readable, want %d", len(got), notDone)
		}
		r.stop()
		time.Sleep(time.Minute)
	})
}
