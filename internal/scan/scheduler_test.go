package scan

import (
	"testing"
	"time"

	"net-watcher/internal/check"
)

// The first job of a directory may start at any time. A further one may if calls
// are answered there, or as one of a few, to find out whether they are.
func TestMayStart(t *testing.T) {
	const (
		recent = hungAfter - 1 // since the last start
		long   = hungAfter
	)
	for name, test := range map[string]struct {
		running  int
		answered bool
		since    time.Duration
		crowded  bool
		want     bool
	}{
		"the first":                                     {0, false, recent, false, true},
		"the first, crowded":                            {0, false, recent, true, true},
		"the first after long, crowded":                 {0, true, long, true, true},
		"the second, none answered":                     {1, false, recent, false, false},
		"the second, one answered":                      {1, true, recent, false, true},
		"the second, one answered, crowded":             {1, true, recent, true, false},
		"many, one answered":                            {MaxHelpers - 1, true, recent, false, true},
		"the second after long":                         {1, false, long, false, true},
		"the second after long, crowded":                {1, false, long, true, false},
		"the last probe after long":                     {maxProbesPerDir - 1, false, long, false, true},
		"one more than probes after long":               {maxProbesPerDir, false, long, false, false},
		"one more than probes after long, one answered": {maxProbesPerDir, true, long, false, false},
		"one more than probes, one answered":            {maxProbesPerDir, true, recent, false, true},
	} {
		d := dirQueue{running: test.running, answered: test.answered, last: time.Minute}
		if got := d.mayStart(time.Minute+test.since, test.crowded); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Half of the calls are for slow file systems. Hung ones do not count, but for the last
// quarter, which is kept.
func TestCrowded(t *testing.T) {
	for _, test := range []struct {
		busy, hung int
		want       bool
	}{
		{31, 0, false}, {32, 0, true}, {32, 1, false}, {33, 1, true}, {47, 40, false}, {48, 40, true},
	} {
		s, _ := newTestScheduler()
		s.busy, s.watchdog.hung = test.busy, test.hung
		if got := s.crowdedLocked(); got != test.want {
			t.Errorf("%d busy, %d of them hung: %v", test.busy, test.hung, got)
		}
	}
}

// A directory of which no job may start holds up no other.
func TestNext(t *testing.T) {
	s := newScheduler([]string{"a", "a", "b"}, Options{MaxCalls: MaxCalls}, func() bool { return false }, nil)
	for i := range s.jobs {
		s.queueLocked(&s.jobs[i], 1)
	}
	for _, want := range []*job{&s.jobs[0], &s.jobs[2], nil} {
		s.turn = 0 // the first directory
		if got := s.nextLocked(1); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// A scan is late if it takes longer than a limit, if there is one.
func TestCount(t *testing.T) {
	var totals Totals
	totals.count(2*time.Second, 0)
	totals.count(3, 1)
	totals.count(time.Second, time.Second)
	check.Equal(t, "totals", Totals{Scans: 3, Time: 3*time.Second + 3, Last: time.Second, Late: 1}, totals)
}

// Without a limit no scan is late.
func TestNeverLate(t *testing.T) {
	s, _ := newTestScheduler()
	s.jobs[0].seen = true
	s.noteLateLocked(&s.jobs[0], 1, time.Hour)
	check.Equal(t, "late", []Late(nil), s.lates)
}
