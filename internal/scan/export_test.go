package scan

import (
	"time"

	"net-watcher/internal/oserr"
)

// Constants that the tests of the exported surface need.
const (
	MaxProbesPerDir = maxProbesPerDir
	MaxHelpers      = MaxCalls / 2
	MaxShared       = MaxCalls * 3 / 4
	HungAfter       = hungAfter
	SpawnDelay      = spawnDelay
)

// SumAt returns what s at name adds to the sum of its target.
func (s Stat) SumAt(name string) Sum { return s.sum(name) }

// Plus returns the sum of two.
func (s Sum) Plus(t Sum) Sum { return s.plus(t) }

// FileStat returns the Stat of a file.
func FileStat(size int64, mtime time.Time) Stat { return fileStat(size, mtime) }

// WithErr returns s as it is when it cannot be examined, for this reason.
func (s Stat) WithErr(reason string) Stat {
	s.err = reason
	return s
}

// Gone is the Stat of a path where nothing exists, and Directory that of one.
var (
	Gone      = gone
	Directory = Stat{kind: directory}
)

// Compare is compare, without what is to be kept.
func Compare(was, is Stat) string {
	change, _ := compare(was, is)
	return string(change)
}

// Idle reports whether the scheduler holds nothing of any job.
func (s *Scanner) Idle() bool {
	s.sched.mu.Lock()
	defer s.sched.mu.Unlock()
	return s.sched.busy == 0 && s.sched.pending == 0 && len(s.sched.queue) == 0 && len(s.sched.results) == 0
}

// Sums returns what the target with the index and all that is known below it add to
// its sum, by path below the target.
func (s *Scanner) Sums(index int) map[string]Sum {
	sums := make(map[string]Sum)
	var add func(n *node, name string)
	add = func(n *node, name string) {
		sums[name] = n.stat().sum(name)
		if d := n.children(); d != nil && !n.unreadable() {
			for i := range d.nodes {
				add(&d.nodes[i], name+d.nodes[i].name)
			}
		}
	}
	add(&s.targets[index].root, "")
	return sums
}

// Seen reports whether a scan of the target with the index was ever complete.
func (s *Scanner) Seen(index int) bool {
	s.sched.mu.Lock()
	defer s.sched.mu.Unlock()
	return s.sched.jobs[index].seen
}

// Cause is oserr.Cause.
var Cause = oserr.Cause
