package scan

import (
	"fmt"
	"time"
)

const (
	// hungAfter is how long a call may take before it counts as hung, and
	// UnreadableAfter how long hung calls, or its first scan, may keep a target
	// waiting before it is reported as unreadable.
	hungAfter       = time.Second
	UnreadableAfter = 5 * time.Second
)

// Why a target is unreadable of which no scan has ended.
var (
	reasonHung    = fmt.Sprintf("file system not responding for %v", UnreadableAfter)
	reasonNotDone = fmt.Sprintf("initial scan not finished after %v", UnreadableAfter)
	reasonFull    = fmt.Sprintf("too many hung file system calls (%d)", MaxCalls)
)

// watchdog is what a scheduler knows of its hung calls. It is guarded by the
// scheduler's mu.
type watchdog struct {
	hung    int           // calls, as of the last collect
	full    bool          // all MaxCalls hung, and more than half still do
	checked time.Duration // when collect was last called, or had no need to be
}

// collected is what has happened since the last collect.
type collected struct {
	results []result
	expired []*job // reported from now on; job.expired has the reason
	full    bool   // from now on all calls are hung
	slowest Slowest
}

// collect returns what has happened. If the workers do not become idle, it starts
// a further one; so it must be called as often as interval says.
func (s *scheduler) collect() collected {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := collected{results: s.results, slowest: s.slowest}
	s.results, s.slowest = nil, Slowest{}
	for _, r := range c.results {
		r.job.due, r.job.expired = 0, ""
	}
	now := s.correctClockLocked()
	hung := s.findHungLocked(now)
	c.expired = s.expireLocked(now, hung)
	if now-s.lastStart >= spawnDelay {
		s.spawnLocked(now)
	}
	full := s.watchdog.hung == MaxCalls
	c.full = full && !s.watchdog.full
	s.watchdog.full = full || s.watchdog.full && s.watchdog.hung > MaxCalls/2
	return c
}

// correctClockLocked returns the time. If collect is much later than it was to be
// called, the program was stopped, and the file system was not: then it leaves that
// out of the clock.
func (s *scheduler) correctClockLocked() time.Duration {
	now := s.clock.now()
	if late := now - s.watchdog.checked - hungAfter; late > 0 {
		s.clock.stopped.Add(int64(late))
		now -= late
	}
	s.watchdog.checked = now
	return now
}

// findHungLocked marks the workers whose call is hung, and counts them. It returns
// for how long, in each directory, the call that is out for longest is.
func (s *scheduler) findHungLocked(now time.Duration) map[*dirQueue]time.Duration {
	hung := make(map[*dirQueue]time.Duration)
	s.watchdog.hung = 0
	for i := range s.workers {
		w := &s.workers[i]
		began := time.Duration(w.began.Load())
		if w.hung = began != 0 && now-began >= hungAfter; w.hung {
			hung[w.job.dir] = max(hung[w.job.dir], now-began)
			s.watchdog.hung++
		}
	}
	return hung
}

// expireLocked gives up waiting for jobs that are due for too long, for a reason.
// It returns those that were not reported before.
func (s *scheduler) expireLocked(now time.Duration, hung map[*dirQueue]time.Duration) []*job {
	var expired []*job
	expire := func(j *job, reason string) {
		if j.expired != "" {
			return
		}
		j.expired = reason
		s.pending--
		if !j.reported {
			j.reported = true
			expired = append(expired, j)
		}
	}
	for i := range s.workers {
		w := &s.workers[i]
		switch j := w.job; {
		case j == nil || now-j.due < UnreadableAfter:
		case w.hung && hung[j.dir] >= UnreadableAfter:
			expire(j, reasonHung)
		case !j.seen:
			expire(j, reasonNotDone)
		}
	}
	for _, d := range s.queue {
		for _, j := range d.waiting {
			if now-j.due < UnreadableAfter { // and so are those after it
				break
			}
			switch {
			case hung[d] > 0 && now-d.last >= hungAfter:
				expire(j, reasonHung)
			case s.watchdog.hung == MaxCalls:
				expire(j, reasonFull)
			case !j.seen:
				expire(j, reasonNotDone)
			}
		}
	}
	return expired
}
