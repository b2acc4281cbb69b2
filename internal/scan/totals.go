package scan

import (
	"fmt"
	"time"
)

// Totals is what a Scanner has done.
type Totals struct {
	Scans int           // of one target each, to their end
	Time  time.Duration // that these took, each from when it was due
	Last  time.Duration // that the last one took
	Late  int           // those that took longer than Options.LateAfter
	Files int           // files and directories that the last scans of all targets examined
	Hung  int           // calls that are hung
}

func (t *Totals) count(took, late time.Duration) {
	t.Scans++
	t.Time += took
	t.Last = took
	if late > 0 && took > late {
		t.Late++
	}
}

// Totals returns what s has done. It may be called from any goroutine.
func (s *Scanner) Totals() Totals { return s.sched.totalsNow() }

func (s *scheduler) totalsNow() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.totals
	for i := range s.jobs {
		t.Files += s.jobs[i].files
	}
	t.Hung = s.watchdog.hung
	return t
}

// Overdue is a target without a complete scan for so long, and why.
type Overdue struct {
	Target int // its index
	For    time.Duration
	Why    string
}

// Overdue returns the targets of which no complete scan has ended for longer than most,
// since the first Start. It may be called from any goroutine.
func (s *Scanner) Overdue(most time.Duration) []Overdue { return s.sched.overdue(most) }

func (s *scheduler) overdue(most time.Duration) (all []Overdue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	for i := range s.jobs {
		j := &s.jobs[i]
		if age := now - max(j.scanned, s.began); age > most {
			all = append(all, Overdue{j.index, age, s.whyLocked(j, now)})
		}
	}
	return all
}

// whyLocked returns why no scan of j ends.
func (s *scheduler) whyLocked(j *job, now time.Duration) string {
	for i := range s.workers {
		w := &s.workers[i]
		if w.job != j {
			continue
		}
		if began := time.Duration(w.began.Load()); began != 0 && now-began >= hungAfter {
			return fmt.Sprintf("a file system call has not been answered for %v", (now - began).Round(time.Second))
		}
		return fmt.Sprintf("a scan has been under way for %v", (now - j.due).Round(time.Second))
	}
	switch {
	case j.doubt != "":
		return j.doubt
	case j.due != 0 && s.watchdog.hung > 0:
		return "it waits for file system calls that are hung"
	case j.due != 0:
		return "it waits for the scans of other targets"
	}
	return "no scan was begun"
}
