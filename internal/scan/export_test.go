package scan

import "time"

// Constants that the tests of the exported surface need.
const (
	MaxProbesPerDir = maxProbesPerDir
	MaxHelpers      = maxHelpers
	MaxShared       = maxShared
	HungAfter       = hungAfter
	SpawnDelay      = spawnDelay
)

// TagAt returns what s at name adds to the tag of its target.
func (s Stat) TagAt(name string) uint64 { return s.tag(name) }

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

// Tags adds the tags of the target with the index and of all that is known below
// it, by path below the target.
func (s *Scanner) Tags(index int) map[string]uint64 {
	tags := make(map[string]uint64)
	var add func(n *node, name string)
	add = func(n *node, name string) {
		tags[name] = n.stat.tag(name)
		if n.children != nil && n.stat.err == "" {
			for i := range n.children.nodes {
				add(&n.children.nodes[i], name+n.children.nodes[i].name)
			}
		}
	}
	add(&s.targets[index].root, "")
	return tags
}

// Seen reports whether a scan of the target with the index was ever complete.
func (s *Scanner) Seen(index int) bool {
	_, seen := s.sched.known(index)
	return seen
}
