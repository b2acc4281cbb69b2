package scan_test

import (
	"fmt"
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

// hung is the line of a target that hangs.
func hung(name string) string { return "unreadable " + name + ": file system not responding for 5s" }

// A target whose call hangs is unreadable after 5 s, and costs that one call, for
// however long. Targets in another directory keep their rhythm, and so does the
// end.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "nfs/f", "nfs/g", "disk/f")
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
			{7 * time.Second, hung("nfs/f")},
			{7 * time.Second, hung("nfs/g")},
			{7 * time.Second, "modified disk/f, 2 bytes"},
		}, r.take())

		ff.Calls("stat")
		time.Sleep(3 * time.Hour)
		check.Equal(t, "for hours", []reported(nil), r.take())
		calls := make(map[string]int)
		for _, name := range ff.Calls("stat") {
			calls[name]++
		}
		check.Equal(t, "calls", map[string]int{"disk/f": 3 * 3600}, calls)
		check.Equal(t, "hung calls", faults.Level{Now: 2, Most: 2}, ff.Hanging())

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
		check.Equal(t, "late", []scan.Late(nil), d.late)
	})
}

// A target that hangs at the start is unreadable after 5 s.
func TestHungStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "nfs/f", "nfs/gone", "disk/f")
		ff.Hang("nfs/")
		d := newDriver(t, ff, scan.Options{}, "nfs/f", "nfs/gone", "disk/f")
		begin := time.Now()
		check.Equal(t, "states", []string{
			"watching nfs/f: file system not responding for 5s",
			"watching nfs/gone: file system not responding for 5s",
			"watching disk/f, 1 bytes",
		}, d.begin())
		if took := time.Since(begin); took != scan.UnreadableAfter {
			t.Errorf("the start took %v", took)
		}
		stat := scan.Stat{}.WithErr("file system not responding for 5s")
		if got := d.scanner.State(0); got != (scan.State{Stat: stat, Sum: stat.SumAt("")}) {
			t.Errorf("state %+v", got)
		}

		r := d.record()
		time.Sleep(time.Minute)
		ff.Tree.RemoveAll("nfs/gone")
		ff.Release("nfs/")
		check.Equal(t, "when it answers",
			[]reported{{time.Minute, "readable nfs/f, 1 bytes"}, {time.Minute, "removed nfs/gone"}}, r.take(), byLine)
		r.stop()
	})
}

// Few calls hang, however many targets do. The last calls are kept for directories
// that do not hang. If all calls hang, that is reported.
func TestHungMany(t *testing.T) {
	for _, test := range []struct {
		dirs, files int
		calls       int // that hang
		full        int // reports that all do
		disk        string
	}{
		{1, 2000, scan.MaxProbesPerDir, 0, "watching disk/f, 1 bytes"},
		{scan.MaxCalls - 1, 1, scan.MaxCalls - 1, 0, "watching disk/f, 1 bytes"},
		{2000, 1, scan.MaxCalls, 1, "watching disk/f: too many hung file system calls (64)"},
	} {
		t.Run(fmt.Sprintf("directories=%d,files=%d", test.dirs, test.files), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHungMany(t, test.dirs, test.files)
				h.start(test.disk)
				h.hangOn(test.calls, test.full)
				h.release()
				h.hangAgain(test.full)
				h.end()
			})
		})
	}
}

// hungMany is many targets in "nfs", whose calls hang, and "disk/f" amid them.
type hungMany struct {
	*driver
	r          *recorder
	dirs       []string
	disk       int // the index of "disk/f"
	unreadable int // targets that are
}

func newHungMany(t *testing.T, dirs, files int) *hungMany {
	ff := faults.Made()
	h := &hungMany{}
	var names []string
	for i := range dirs {
		dir := fmt.Sprintf("nfs/%d", i)
		h.dirs = append(h.dirs, dir+"/")
		names = append(names, numbered(dir, files)...)
	}
	h.disk = len(names) / 2
	names = slices.Insert(names, h.disk, "disk/f")
	putAll(ff, names...)
	ff.Hang("nfs/")
	h.driver = newDriver(t, ff, scan.Options{}, names...)
	return h
}

// start checks that the first scan ends after 5 s, whatever hangs.
func (h *hungMany) start(disk string) {
	h.Helper()
	begin := time.Now()
	lines := h.begin()
	if took := time.Since(begin).Round(100 * time.Millisecond); took != scan.UnreadableAfter {
		h.Errorf("the start took %v", took)
	}
	check.Equal(h.T, "the target that does not hang", disk, lines[h.disk])
	for i, line := range lines {
		if strings.Contains(line, ": ") {
			h.unreadable++
		} else if i != h.disk {
			h.Errorf("it does not hang: %s", line)
		}
	}
	h.r = h.record()
}

// hangOn checks that the number of hung calls stays the same, and that "disk/f" is
// scanned if there are calls left.
func (h *hungMany) hangOn(calls, full int) {
	h.Helper()
	h.fs.Asked()
	time.Sleep(time.Minute)
	check.Equal(h.T, "in a minute", []reported(nil), h.r.take())
	check.Equal(h.T, "hung calls", faults.Level{Now: calls, Most: calls}, h.fs.Hanging())
	check.Equal(h.T, "reports that all hang", full, int(h.full.Load()))
	if n := h.fs.Asked("disk/f"); full == 0 && n != 60 {
		h.Errorf("%d scans elsewhere, want 60", n)
	}
}

// release checks that all targets are readable soon when the calls are answered.
func (h *hungMany) release() {
	h.Helper()
	h.fs.Release("nfs/")
	time.Sleep(1900 * time.Millisecond)
	readable := 0
	for _, r := range h.r.take() {
		if !strings.HasPrefix(r.Line, "readable ") {
			h.Errorf("when it answers: %s", r.Line)
		}
		readable++
	}
	check.Equal(h.T, "readable targets", h.unreadable, readable)
}

// hangAgain checks that it is reported again if all calls hang again, and not
// because a few are answered meanwhile.
func (h *hungMany) hangAgain(full int) {
	h.Helper()
	before := int(h.full.Load())
	for _, dir := range h.dirs {
		h.fs.Hang(dir)
	}
	time.Sleep(20 * time.Second)
	for i := range 3 {
		dir := h.dirs[i%len(h.dirs)]
		h.fs.Release(dir)
		time.Sleep(10 * time.Second)
		h.fs.Hang(dir)
	}
	time.Sleep(20 * time.Second)
	h.r.take()
	check.Equal(h.T, "further reports that all hang", full, int(h.full.Load())-before)
}

// end ends the scans, and lets the calls go on.
func (h *hungMany) end() {
	for _, dir := range h.dirs {
		h.fs.Release(dir)
	}
	h.r.stop()
}

// Three of four mount points in one directory are dead. The fourth is scanned, and
// keeps its rhythm.
func TestHungNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		names := numbered("mnt", 4)
		putAll(ff, names...)
		for _, name := range names[:3] {
			ff.Hang(name)
		}
		d := newDriver(t, ff, scan.Options{}, names...)
		check.Equal(t, "states", []string{
			"watching mnt/0: file system not responding for 5s",
			"watching mnt/1: file system not responding for 5s",
			"watching mnt/2: file system not responding for 5s",
			"watching mnt/3, 1 bytes",
		}, d.begin())
		d.interval = 100 * time.Millisecond
		r := d.record()
		ff.Asked()
		time.Sleep(time.Minute)
		if n := ff.Asked("mnt/3"); n < 599 {
			t.Errorf("%d scans in a minute, want 599 or 600", n)
		}

		// It has 5 s of its own to answer.
		ff.Hang("mnt/3")
		time.Sleep(4 * time.Second)
		check.Equal(t, "after 4 s", []reported(nil), r.take())
		for _, name := range names {
			ff.Release(name)
		}
		r.stop()
	})
}

// Targets in a directory that hangs, more than are tried there, are all unreadable
// at the same time, however long the interval is.
func TestHungDirectory(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Made()
			names := numbered("nfs", 2*scan.MaxProbesPerDir)
			putAll(ff, names...)
			d := newDriver(t, ff, scan.Options{}, names...)
			d.interval = interval
			d.begin()
			r := d.record()
			ff.Hang("nfs/")
			time.Sleep(interval + time.Minute)
			var want []reported
			for _, name := range names {
				want = append(want, reported{interval + scan.UnreadableAfter, hung(name)})
			}
			check.Equal(t, fmt.Sprintf("interval %v", interval), want, r.take())
			ff.Release("nfs/")
			r.stop()
		})
	}
}

// One of several hung calls is answered, and its worker hangs with the next. The
// answer is reported soon, however long the interval is.
func TestHungNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		names := numbered("nfs", scan.MaxProbesPerDir+1)
		putAll(ff, names...)
		for _, name := range names {
			ff.Hang(name)
		}
		d := newDriver(t, ff, scan.Options{}, names...)
		d.interval = time.Hour
		d.begin()
		r := d.record()
		time.Sleep(time.Minute)
		ff.Release(names[0])
		time.Sleep(time.Second)
		check.Equal(t, "when it answers", []string{"readable nfs/0, 1 bytes"}, r.takeLines())
		for _, name := range names[1:] {
			ff.Release(name)
		}
		r.stop()
	})
}

// One of several hung calls is answered. The other targets of the directory are
// scanned soon, however long the interval is.
func TestHungAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stay = scan.MaxProbesPerDir - 1 // hung
		ff := faults.Made()
		names := numbered("nfs", 10)
		putAll(ff, names...)
		for _, name := range names {
			ff.Hang(name)
		}
		d := newDriver(t, ff, scan.Options{}, names...)
		d.interval = time.Hour
		d.begin()
		r := d.record()
		time.Sleep(time.Minute)
		check.Equal(t, "in a minute", []reported(nil), r.take())
		check.Equal(t, "hung calls", faults.Level{Now: scan.MaxProbesPerDir, Most: scan.MaxProbesPerDir}, ff.Hanging())
		var want []string
		for _, name := range names[stay:] {
			ff.Release(name)
			want = append(want, "readable "+name+", 1 bytes")
		}
		time.Sleep(2 * time.Second)
		check.Equal(t, "when one answers", want, r.takeLines())
		for _, name := range names[:stay] {
			ff.Release(name)
		}
		r.stop()
	})
}

// A target that has hung is readable when it answers, though calls tell nothing of
// something below it.
func TestHungInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		putAll(ff, "d/a", "d/b")
		d := newDriver(t, ff, scan.Options{}, "d")
		d.begin()
		r := d.record()
		defer r.stop()
		ff.Hang("d")
		time.Sleep(7 * time.Second)
		check.Equal(t, "it hangs", []string{"unreadable d: file system not responding for 5s"}, r.takeLines())
		ff.Fail("lstat", "d/b", check.PathError(scriptErrors["leased"]))
		ff.Release("d")
		check.Equal(t, "it answers", []string{"readable d"}, r.takeLines())
		ff.Heal()
		time.Sleep(2 * time.Second)
		check.Equal(t, "no doubt", []string(nil), r.takeLines())
	})
}
