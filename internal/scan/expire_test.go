package scan

import (
	"fmt"
	"testing"
	"time"

	"net-watcher/internal/check"
)

// Which targets are given up, and when: those that a hung call, or all of them, have kept
// waiting for UnreadableAfter, and those whose first scan takes as long.
func TestExpire(t *testing.T) {
	const (
		now  = time.Hour
		long = now - UnreadableAfter // since when a job is due, or when the first start was
	)
	type set struct {
		*scheduler
		hung map[*dirQueue]time.Duration
	}
	hang := func(s set, index int, age time.Duration) { // the call of a job
		w := s.workerLocked(&s.jobs[index])
		w.hung, s.hung[w.job.dir] = true, age
		s.watchdog.hung++
	}
	wait := func(s set, index int) { // behind others of its directory, of which one starts now
		d := s.jobs[index].dir
		d.waiting, d.last = append(d.waiting, &s.jobs[index]), now
		s.queue = []*dirQueue{d}
	}
	first := func(s set, index int, began time.Duration, doubt string) { // its first scan
		j := &s.jobs[index]
		j.seen, j.doubt = false, doubt
		s.began, s.unknown = began, 1
	}
	for name, test := range map[string]struct {
		set     func(s set)
		want    []string // of jobs 0 and 1, in one directory, and 2, in another; all are due
		pending int
		unknown int
	}{
		"slow": {func(s set) {}, nil, 3, 0},

		"it hangs":                  {func(s set) { hang(s, 0, UnreadableAfter) }, []string{"0: " + reasonHung}, 2, 0},
		"it hangs, due lately":      {func(s set) { hang(s, 0, UnreadableAfter); s.jobs[0].due++ }, nil, 3, 0},
		"it hangs, but not so long": {func(s set) { hang(s, 0, UnreadableAfter-1) }, nil, 3, 0},
		"it hangs, and is reported": {func(s set) { hang(s, 0, time.Hour); s.jobs[0].reported = true }, nil, 2, 0},
		"it hangs, and is given up": {func(s set) {
			hang(s, 0, time.Hour)
			s.jobs[0].reported, s.jobs[0].expired = true, true
		}, nil, 3, 0},
		"it hangs, and was never seen": {func(s set) {
			hang(s, 0, UnreadableAfter)
			first(s, 0, long+1, "")
		}, []string{"0: " + reasonHung}, 2, 0},
		"it hangs, and another was never seen": {func(s set) {
			hang(s, 0, UnreadableAfter)
			first(s, 2, long+1, "")
		}, []string{"0: " + reasonHung}, 2, 1},

		"behind a hung one": {func(s set) {
			hang(s, 0, hungAfter)
			wait(s, 1)
			s.jobs[1].dir.last = now - hungAfter
		}, []string{"1: " + reasonHung}, 2, 0},
		"behind a hung one, due lately": {func(s set) {
			hang(s, 0, hungAfter)
			wait(s, 1)
			s.jobs[1].dir.last = now - hungAfter
			s.jobs[1].due++
		}, nil, 3, 0},
		"behind a hung one and one that started lately": {func(s set) {
			hang(s, 0, hungAfter)
			wait(s, 1)
			s.jobs[1].dir.last = now - hungAfter + 1
		}, nil, 3, 0},
		"behind a slow one": {func(s set) {
			wait(s, 1)
			s.jobs[1].dir.last = now - hungAfter
		}, nil, 3, 0},
		"all calls hang": {func(s set) {
			wait(s, 2)
			s.watchdog.hung = s.maxCalls
		}, []string{"2: too many hung file system calls (4)"}, 2, 0},
		"all calls but one hang": {func(s set) {
			wait(s, 2)
			s.watchdog.hung = s.maxCalls - 1
		}, nil, 3, 0},

		"the first scan":              {func(s set) { first(s, 0, long, "") }, []string{"0: " + reasonNotDone}, 2, 0},
		"the first scan, begun later": {func(s set) { first(s, 0, long+1, "") }, nil, 3, 1},
		"the first scans tell nothing": {func(s set) {
			first(s, 0, long-doubtDelay, "leased")
		}, []string{"0: leased"}, 2, 0},
		"the first scans tell nothing, not so long": {func(s set) {
			first(s, 0, long-doubtDelay+1, "leased")
		}, nil, 3, 1},
		"the first scans tell nothing, and the last hangs": {func(s set) {
			first(s, 0, long, "leased")
			hang(s, 0, 1)
		}, []string{"0: " + reasonNotDone}, 2, 0},
		"the first scans tell nothing, and none is under way": {func(s set) {
			first(s, 0, long-doubtDelay, "leased")
			s.jobs[0].due = 0
			s.pending--
		}, []string{"0: leased"}, 2, 0},
		"the first scans told nothing, and it is reported": {func(s set) {
			first(s, 0, long-doubtDelay, "leased")
			s.jobs[0].reported, s.unknown = true, 0
		}, nil, 3, 0},
	} {
		s := set{newScheduler([]string{"a", "a", "b"}, Options{MaxCalls: 4}, nil, nil), make(map[*dirQueue]time.Duration)}
		for i := range s.jobs {
			s.jobs[i].seen, s.jobs[i].due = true, long
		}
		s.began, s.pending, s.unknown = 1, len(s.jobs), 0
		test.set(s)
		for _, want := range [][]string{test.want, nil} { // and nothing twice
			var got []string
			for _, e := range s.expireLocked(now, s.hung) {
				got = append(got, fmt.Sprintf("%d: %s", e.job.index, e.reason))
			}
			check.Equal(t, name, want, got)
			check.Equal(t, name+": waited for", test.pending, s.pending)
			check.Equal(t, name+": unknown", test.unknown, s.unknown)
		}
	}
}
