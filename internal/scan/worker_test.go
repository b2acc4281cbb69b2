package scan

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/pattern"
)

// newTestScheduler returns a scheduler of one target, and a worker with its job.
func newTestScheduler() (*scheduler, *worker) {
	s := newScheduler([]string{"."}, Options{MaxCalls: MaxCalls}, func() bool { return false }, nil)
	return s, s.workerLocked(&s.jobs[0])
}

// take makes w take d for so many calls.
func (w *worker) take(d time.Duration, calls int) {
	w.begin()
	time.Sleep(d)
	w.end(calls)
}

// A few long calls may be for lack of a processor. A worker is slow if several of
// its latest calls were long, and they are on average.
func TestWorkerSlow(t *testing.T) {
	type calls struct {
		n, each int // how often so many at once
		took    time.Duration
	}
	for name, test := range map[string]struct {
		calls []calls
		slow  bool
	}{
		"none":                             {nil, false},
		"two very long ones":               {[]calls{{2, 1, time.Second}}, false},
		"two, and one that is not long":    {[]calls{{2, 1, time.Second}, {1, 1, slowCall}}, false},
		"two, and several that are not":    {[]calls{{2, 1, time.Second}, {1, 10, 10 * slowCall}}, false},
		"three":                            {[]calls{{3, 1, slowCall + 1}}, true},
		"three that are not long":          {[]calls{{3, 1, slowCall}}, false},
		"a local disk":                     {[]calls{{200, 1, 10 * time.Microsecond}}, false},
		"a network":                        {[]calls{{200, 1, 200 * time.Microsecond}}, true},
		"long ones, and not on average":    {[]calls{{3, 1, 2 * slowCall}, {3, 1, 0}}, false},
		"long ones, and on average":        {[]calls{{3, 1, 2 * slowCall}, {2, 1, 0}}, true},
		"several at once, each quick":      {[]calls{{3, 10, 10 * slowCall}}, false},
		"several at once, each slow":       {[]calls{{3, 10, 10*slowCall + 1}}, true},
		"slow ones, forgotten":             {[]calls{{3, 1, time.Second}, {256 * 15, 1, 0}}, false},
		"slow ones, half forgotten":        {[]calls{{5, 1, time.Second}, {252, 1, 0}}, false},
		"quick ones, outdone by slow ones": {[]calls{{256 * 15, 1, 0}, {129, 1, 3 * slowCall}}, true},
		"quick ones, not outdone":          {[]calls{{256, 1, 0}, {20, 1, 3 * slowCall}}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, w := newTestScheduler()
			for range 100 { // for an earlier job, which does not count
				w.take(time.Second, 1)
			}
			s.releaseHelper(w)
			w = s.workerLocked(&s.jobs[0])
			for _, calls := range test.calls {
				for range calls.n {
					w.take(calls.took, calls.each)
				}
			}
			if w.slow() != test.slow {
				t.Errorf("%s: slow is %v", name, w.slow())
			}
		})
	}
}

// What is known of calls is halved when it is that of more than 256.
func TestWorkerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := newTestScheduler()
		w.calls = 253
		for range 3 {
			w.take(time.Second, 1)
		}
		check.Equal(t, "calls", []any{256, 3 * time.Second, 3}, []any{w.calls, w.spent, w.long})
		w.take(time.Second, 1)
		check.Equal(t, "more calls", []any{128, 2 * time.Second, 2}, []any{w.calls, w.spent, w.long})
	})
}

// timedFS is a file system whose calls take a time; it is its only file and directory, too.
type timedFS struct {
	FileSystem
	t    *testing.T
	w    *worker // which makes the calls
	took time.Duration
}

// call is n calls.
func (f *timedFS) call(n int) {
	if f.w.began.Load() == 0 {
		f.t.Error("no call is under way")
	}
	time.Sleep(time.Duration(n) * f.took)
}

func (f *timedFS) Stat(string) (Entry, error)           { f.call(1); return Entry{}, nil }
func (f *timedFS) Lstat(string) (Entry, error)          { f.call(1); return Entry{}, nil }
func (f *timedFS) Open(string) (File, error)            { f.call(1); return nil, nil }
func (f *timedFS) OpenDir(string, bool) (Dir, error)    { f.call(1); return nil, nil }
func (f *timedFS) IsMounted(string) bool                { f.call(1); return false }
func (f *timedFS) IsRemote(string) (is, isProgram bool) { f.call(1); return false, false }
func (f *timedFS) Revalidate(string)                    { f.call(1) }
func (f *timedFS) Close() error                         { f.call(1); return nil }
func (f *timedFS) Refresh()                             { f.call(1) }
func (f *timedFS) Readdirnames(int) ([]string, error)   { f.call(1); return nil, io.EOF }

func (f *timedFS) ReadEntries([]Entry, *pattern.Folder) (int, error) {
	f.call(1 + 2)
	return 2, nil
}

// Each call is under way while it is, counts as one, and ends.
func TestWorkerCalls(t *testing.T) {
	for name, call := range map[string]func(w *worker, f *timedFS){
		"stat":        func(w *worker, _ *timedFS) { w.stat("") },
		"lstat":       func(w *worker, _ *timedFS) { w.lstat("") },
		"open":        func(w *worker, _ *timedFS) { w.open("") },
		"openDir":     func(w *worker, _ *timedFS) { w.openDir("", false) },
		"isMounted":   func(w *worker, _ *timedFS) { w.isMounted("") },
		"close":       func(w *worker, f *timedFS) { w.close(f) },
		"readEntries": func(w *worker, f *timedFS) { w.readEntries(f, 9, nil) },
		"refresh":     func(w *worker, f *timedFS) { w.refresh(f) },
		"revalidate":  func(w *worker, _ *timedFS) { w.revalidate("") },
		"remoteAt":    func(w *worker, _ *timedFS) { remoteAt(&remotes{}, w, uint64(1), "") },
	} {
		for took, slow := range map[time.Duration]bool{slowCall: false, slowCall + 1: true} {
			synctest.Test(t, func(t *testing.T) {
				_, w := newTestScheduler()
				f := &timedFS{t: t, w: w, took: took}
				w.fs = f
				for range 3 {
					call(w, f)
					if w.began.Load() != 0 || w.ended != w.clock.now() {
						t.Errorf("%s: it does not end", name)
					}
				}
				check.Equal(t, name+": slow", slow, w.slow())
			})
		}
	}
}
