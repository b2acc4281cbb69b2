package scan

import (
	"testing"
	"testing/synctest"
	"time"
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
