// Package scan finds out what is on disk below some paths, the targets, and what
// has changed since the last scan.
//
// # How a scan goes
//
//	Scanner.Start      every target is due
//	  scheduler        which target next, by how many workers; which calls hang
//	    worker         makes the calls of a FileSystem, and times them
//	      pass         examines a target and all that is below it
//	        listing    lists one directory
//	      changes      compares that with the tree of the last scan: pure
//	Scanner.Collect    the steps of each target, in the order of report
//
// # Who calls what
//
// One goroutine, its owner, calls the methods of a Scanner; none of them waits for
// a file system, and so the owner keeps its rhythm whatever hangs. While a scan of
// a target is under way, its tree belongs to the worker; at other times to the
// owner. scheduler.mu guards all that both sides touch beside that, and no call is
// made while it is held.
//
// # Limits
//
// At most MaxCalls calls are outstanding; of those that hang, few in one directory.
// A target that a hung call, or MaxCalls of them, have kept waiting for
// UnreadableAfter is reported as unreadable, and so is one whose first scan takes as
// long. It is scanned on when the call returns. A slow scan of a known target is only
// slow. Scans of one target never overlap. What is
// inconclusive, since no descriptors are left, changes nothing and is repeated with
// the next scan. docs/architecture.md has the table of all limits.
//
// # Sources
//
// A call on a dead hard NFS mount never returns and cannot be cancelled; one
// outstanding call, asked again only when it has returned, is node_exporter's
// answer. The time of a directory is not to be trusted (Docker Desktop's VirtioFS
// does not change it), so every directory is listed at every scan.
package scan

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"net-watcher/internal/wire"
)

// Options is how to scan.
type Options struct {
	// Ignore has patterns, as of path.Match, of what is left out below a
	// directory: by its name or by its path below the target. One that ends in "/"
	// is for directories, which are then not entered.
	Ignore []string

	Content bool // compare contents, not times; reads every regular file
	Fresh   bool // open directories and files before each stat

	FileSystem FileSystem // nil for that of the operating system
}

// Scanner scans targets again and again. It is not for concurrent use.
type Scanner struct {
	options Options
	targets []target
	sched   *scheduler
}

// target is one path to scan. It belongs to the worker that scans it, but for
// unreadable.
type target struct {
	path       string
	root       node
	tag        uint64 // of all that the last collected scan found
	unreadable bool   // the last collected scan could not examine it
}

// Result is what happened to a target.
type Result struct {
	Target int    // its index
	Steps  []Step // one or more, in the order in which they are reported
}

// Report is what has happened since the last Collect.
type Report struct {
	Results []Result // by target
	Slowest Slowest
	Full    bool // since the last Collect, all MaxCalls calls have become hung
}

// Slowest is the scan that ended latest after it was due, of targets that were
// scanned before. It is zero if none has ended.
type Slowest struct {
	Target int           // its index
	Files  int           // how many files and directories it examined
	Took   time.Duration // since it was due, so with the wait for a worker
}

// State is a target as of the last Collect.
type State struct {
	Stat Stat
	Tag  uint64 // of it and all that is below it: equal tags mean that nothing differs
}

// New returns a Scanner of the targets with these paths. When ctx is done, scans
// that are under way stop, and find nothing.
func New(ctx context.Context, paths []string, o Options) *Scanner {
	if o.FileSystem == nil {
		o.FileSystem = OS{}
	}
	s := &Scanner{options: o}
	var parents []string
	for _, path := range paths {
		s.targets = append(s.targets, target{path: path})
		parents = append(parents, filepath.Dir(path))
	}
	stopped := func() bool { return ctx.Err() != nil }
	s.sched = newScheduler(parents, o.FileSystem, stopped, s.scan)
	return s
}

// scan scans the target with the index. Workers call it.
func (s *Scanner) scan(w *worker, index int, first bool) findings {
	t := &s.targets[index]
	w.pass = pass{w: w, sched: s.sched, options: &s.options, first: first}
	w.pass.target(&t.root, t.path)
	found := w.pass.found
	w.pass.found = findings{} // for the garbage collector
	return found
}

// Start begins a scan of every target that none is under way of.
func (s *Scanner) Start() { s.sched.start() }

// Ready receives a value when a worker has run out of targets: call Collect. Results
// may be there earlier.
func (s *Scanner) Ready() <-chan struct{} { return s.sched.ready }

// CollectWithin returns in which time Collect is to be called at the latest, even if
// Ready has no value: so hung calls are noticed. 0 is for no need before the next
// Start.
func (s *Scanner) CollectWithin() time.Duration { return s.sched.interval() }

// Outstanding reports whether the scans of the last Start, but for those that are
// given up, have not all ended and been collected.
func (s *Scanner) Outstanding() bool { return s.sched.outstanding() }

// Collect returns what has happened since it was last called.
func (s *Scanner) Collect() Report {
	c := s.sched.collect()
	report := Report{Slowest: c.slowest, Full: c.full}
	for i := range c.results {
		if steps := s.steps(&c.results[i]); len(steps) > 0 {
			report.Results = append(report.Results, Result{c.results[i].job.index, steps})
		}
	}
	for _, j := range c.expired {
		if !s.targets[j.index].unreadable { // else that is known
			stat, tag := expired(j.expired)
			report.Results = append(report.Results, Result{j.index, []Step{{Change: wire.Unreadable, Stat: stat, Tag: tag}}})
		}
	}
	slices.SortFunc(report.Results, func(a, b Result) int { return a.Target - b.Target })
	return report
}

// steps returns the steps to report of a scan that has ended.
func (s *Scanner) steps(r *result) []Step {
	t := &s.targets[r.job.index]
	before := t.tag
	t.tag += r.found.changes.tag
	t.unreadable = t.root.stat.err != ""
	if r.first { // there is nothing to compare with
		before, r.found.changes.steps = t.tag, nil
	}
	steps := r.found.changes.sorted(before)
	if r.recovered {
		steps = recovered(steps, t.root.stat, before)
	}
	return steps
}

// recovered returns the steps to report of a scan with these steps if the target
// was reported as unreadable, since no scan had ended, and root is what it is now.
// before is the tag of the target before the scan.
func recovered(steps []Step, root Stat, before uint64) []Step {
	itself := slices.ContainsFunc(steps, func(s Step) bool { return s.Name == "" })
	switch {
	case root.err != "": // it is unreadable all the same, for another reason
		return nil
	case itself:
		return steps
	case root == gone:
		return []Step{{Change: wire.Removed, Stat: gone, Tag: before}}
	}
	return slices.Insert(steps, 0, Step{Change: wire.Readable, Stat: root, Tag: before})
}

// expired returns the Stat and the tag of a target of which no scan ends.
func expired(reason string) (Stat, uint64) {
	s := Stat{err: reason}
	return s, s.tag("")
}

// ErrNoDescriptors says that a target was never scanned, since no file descriptors
// were left.
var ErrNoDescriptors = errors.New("too many open files")

// State returns the target with the index as of the last Collect. The error is
// ErrNoDescriptors. It must not be called while Outstanding.
func (s *Scanner) State(index int) (State, error) {
	reason, seen := s.sched.known(index)
	t := &s.targets[index]
	switch {
	case reason != "":
		stat, tag := expired(reason)
		return State{stat, tag}, nil
	case !seen:
		return State{}, ErrNoDescriptors
	}
	return State{t.root.stat, t.tag}, nil
}

// Close waits until no call is outstanding, but for 100 ms at most: calls that hang
// are left to themselves. The context of New must be done.
func (s *Scanner) Close() {
	deadline := time.After(100 * time.Millisecond)
	for !s.sched.idle() {
		select {
		case <-s.sched.ready:
		case <-deadline:
			return
		}
	}
}
