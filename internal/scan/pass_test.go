package scan

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
)

// Where calls are slow, helpers do what is left of a loop. The pass has what they
// find, and in the end they are idle and hold no memory.
func TestParallelFor(t *testing.T) {
	for _, test := range []struct {
		n, helpers int
		first      bool
	}{
		{1, 0, true},
		{3, 2, false},
		{100, MaxHelpers - 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, w := newTestScheduler()
			for range 3 {
				w.take(time.Millisecond, 1)
			}
			const unused = -1
			for i := range s.workers[1:] {
				s.workers[1+i].calls = unused
			}
			p := &pass{w: w, sched: s, first: test.first, before: doubts{"a": 7}}
			var want findings
			if test.helpers > 0 {
				want = findings{doubts: doubts{"b": 7}, reason: "short", unlinked: "u"}
			}
			for i := range test.n {
				want.files++
				want.changes.sum = want.changes.sum.plus(Sum{uint64(i), 1})
				want.changes.steps = append(want.changes.steps, Step{Name: fmt.Sprintf("%03d", i)})
			}
			p.parallelFor(test.n, func(h *pass, i int) {
				h.found.files++
				h.found.changes.sum = h.found.changes.sum.plus(Sum{uint64(i), 1})
				h.found.changes.steps = append(h.found.changes.steps, Step{Name: fmt.Sprintf("%03d", i)})
				if h.first != test.first {
					t.Errorf("first is %v, in a part of a pass with %v", h.first, test.first)
				}
				if h == p {
					h.w.take(time.Hour, 1) // helpers are idle before, so a lock left out is a race
				} else {
					h.w.take(time.Millisecond, 1)
					h.found.doubt("b", h.before["a"], "short")
					h.found.unlinked = "u"
					h.w.entries, h.w.buf = make([]Entry, 1), make([]byte, 1)
				}
			})
			slices.SortFunc(p.found.changes.steps, func(a, b Step) int { return strings.Compare(a.Name, b.Name) })
			check.Equal(t, "findings", want, p.found, cmp.AllowUnexported(findings{}, changes{}, Stat{}))

			helpers := 0
			for i := range s.workers[1:] {
				h := &s.workers[1+i]
				if h.calls != unused {
					helpers++
				}
				if h.job != nil || h.entries != nil || h.buf != nil {
					t.Errorf("helper %d is not idle", i)
				}
			}
			if helpers != test.helpers || s.busy != 1 {
				t.Errorf("%d helpers for %d, want %d; %d workers are busy, want 1", helpers, test.n, test.helpers, s.busy)
			}
		})
	}
}

// A loop ends when the scanner is closed.
func TestParallelForStopped(t *testing.T) {
	s, w := newTestScheduler()
	calls := 0
	s.stopped = func() bool { return calls == 2 }
	p := &pass{w: w, sched: s}
	p.parallelFor(10, func(*pass, int) { calls++ })
	check.Equal(t, "calls", 2, calls)
}

// oddFS is the system's file system. Files of it cannot be examined once they are open,
// and links lead elsewhere.
type oddFS struct {
	OS
	examined func() // called by File.Stat
}

type oddFile struct {
	File
	fs *oddFS
}

func (f *oddFS) Open(name string) (File, error) {
	file, err := f.OS.Open(name)
	return &oddFile{file, f}, err
}

func (f *oddFile) Stat() (Entry, error) {
	f.fs.examined()
	return Entry{}, check.PathError(fs.ErrInvalid)
}

func (f *oddFS) EvalSymlinks(string) (string, error) { return "elsewhere", nil }

// A file that cannot be examined once it is open is unreadable, and that may hang.
func TestReadFails(t *testing.T) {
	name := t.TempDir() + "/f"
	check.Write(t, name, "1", check.Day1)
	ff := &oddFS{}
	w := &worker{fs: ff, clock: &clock{epoch: time.Now()}}
	ff.examined = func() {
		if w.began.Load() == 0 {
			t.Error("no call is under way")
		}
	}
	p := &pass{w: w, options: &Options{Content: true}}
	if got, want := p.read(name), errStat(fs.ErrInvalid); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Where a link leads counts if the file has one of the times that all files of a read-only
// image may have, 0 and 1, and the time in all other cases.
func TestStatLink(t *testing.T) {
	name := t.TempDir() + "/f"
	p := &pass{w: &worker{fs: &oddFS{}, clock: &clock{epoch: time.Now()}}, options: &Options{}, remotes: &remotes{}}
	for sec, want := range map[int64]bool{0: true, 1: true, 2: false, 3: false, check.Day1.Unix() | 1: false} {
		check.Write(t, name, "1", time.Unix(sec, 0))
		if s, _ := p.statLink(name, false, Stat{}); (s.hash != 0) != want {
			t.Errorf("second %d: %+v", sec, s)
		}
	}
}
