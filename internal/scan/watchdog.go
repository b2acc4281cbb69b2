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

// doubtDelay is how much longer a first scan may take that is repeated because it was
// inconclusive: by then, what is inconclusive below the target is unreadable by itself.
const doubtDelay = time.Second

// Why a target is unreadable of which no scan has ended.
var (
	reasonHung    = fmt.Sprintf("file system not responding for %v", UnreadableAfter)
	reasonNotDone = fmt.Sprintf("initial scan not finished after %v", UnreadableAfter)
)

// watchdog is what a scheduler knows of its hung calls. It is guarded by the
// scheduler's mu.
type watchdog struct {
	hung    int           // calls, as of the last collect
	full    bool          // all maxCalls hung, and more than half still do
	checked time.Duration // when collect was last called, or had no need to be
}

// collected is what has happened since the last collect.
type collected struct {
	results []result
	expired []expired // reported from now on
	full    bool      // all calls are hung, or were lately
	lates   []Late
	met     bool // the last demand has been met
}

// expired is a job that is given up, and why.
type expired struct {
	job    *job
	reason string
}

// collect returns what has happened. If the workers do not become idle, it starts
// a further one; so it must be called as often as interval says.
func (s *scheduler) collect() collected {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.correctClockLocked()
	for i := 0; i < len(s.jobs) && s.retries > 0; i++ {
		if j := &s.jobs[i]; j.due == 0 && j.retry != 0 && now >= j.retry {
			s.queueLocked(j, now)
		}
	}
	// After the retries and demands: the caller is yet to take the results from the trees.
	c := collected{met: s.open && s.demandLocked(now), results: s.results, lates: s.lates}
	s.results, s.lates = nil, nil
	for _, r := range c.results {
		r.job.due, r.job.expired = 0, false
	}
	hung := s.findHungLocked(now)
	c.expired = s.expireLocked(now, hung)
	if now-s.lastStart >= spawnDelay {
		s.spawnLocked(now)
	}
	s.watchdog.full = s.watchdog.hung == s.maxCalls || s.watchdog.full && s.watchdog.hung > s.maxCalls/2
	c.full = s.watchdog.full
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

// findHungLocked marks the workers whose call is hung, and counts them. It returns, by
// directory, the age of its oldest hung call.
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
func (s *scheduler) expireLocked(now time.Duration, hung map[*dirQueue]time.Duration) []expired {
	var all []expired
	expire := func(j *job, reason string) {
		if j.due != 0 && !j.expired {
			j.expired = true
			s.pending--
		}
		if !j.reported {
			j.reported = true
			all = append(all, expired{j, reason})
			if !j.seen {
				s.unknown--
			}
		}
	}
	for i := range s.workers {
		w := &s.workers[i]
		if j := w.job; w.hung && now-j.due >= UnreadableAfter && hung[j.dir] >= UnreadableAfter {
			expire(j, reasonHung)
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
			case s.watchdog.hung == s.maxCalls:
				expire(j, fmt.Sprintf("too many hung file system calls (%d)", s.maxCalls))
			}
		}
	}
	if s.unknown > 0 && now-s.began >= UnreadableAfter {
		for i := range s.jobs {
			switch j := &s.jobs[i]; {
			case j.seen:
			case j.doubt == "" || hung[j.dir] > 0:
				expire(j, reasonNotDone)
			case now-s.began >= UnreadableAfter+doubtDelay:
				expire(j, j.doubt)
			}
		}
	}
	return all
}
