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
// slow. Scans of one target never overlap. What is inconclusive (no descriptors are left,
// another program holds a lease) changes nothing, and the target is scanned again at
// once; what is so for UnreadableAfter is unreadable. docs/architecture.md has the table
// of all limits.
//
// # Sources
//
// A call on a dead hard NFS mount never returns and cannot be cancelled; one
// outstanding call, asked again only when it has returned, is node_exporter's
// answer. The time of a directory is not to be trusted (Docker Desktop's VirtioFS
// does not change it), so every directory is listed at every scan.
package scan

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"net-watcher/internal/pattern"
	"net-watcher/internal/wire"
)

// Options is how to scan.
type Options struct {
	Filter *pattern.Filter // of what is below directories; nil for everything

	Content bool // compare contents, not times; reads every regular file

	// SkipSame is for Content: a file whose size and mtime are those of when it was last
	// read is not read again, unless a further change might have left it the same mtime.
	SkipSame bool

	Fresh bool // ask servers about every file; on systems without a call for that, open it

	// LateAfter is how long after it was due a scan may end before it is reported as
	// late; 0 is for any time.
	LateAfter time.Duration

	MaxCalls   int        // that may be outstanding, from 4 to MaxCalls; 0 for MaxCalls
	FileSystem FileSystem // nil for that of the operating system
}

// Scanner scans targets again and again. It is not for concurrent use.
type Scanner struct {
	options Options
	targets []target
	unknown int // targets that are not known
	starts  atomic.Int64
	remotes remotes
	sched   *scheduler
}

// target is one path to scan.
type target struct {
	path   string
	parent *parent

	// These belong to the worker that scans it, while there is one.
	root     node
	doubts   doubts // of the last scan
	unlinked string // a file without a name that the last scan found; or ""
	coarse   int    // changes that look like those of CoarseTimes
	noticed  [numAbouts]bool

	// These are the owner's.
	stat    Stat              // of itself, by the last collected scan
	sum     Sum               // of all that this one found
	lost    map[string]string // see Unreadable
	known   bool              // a scan was complete, or it was reported as unreadable
	expired string            // why it is reported as unreadable, if no scan has ended; or ""
}

// Result is what happened to a target.
type Result struct {
	Target int    // its index
	Steps  []Step // one or more, in the order in which they are reported
}

// Report is what has happened since the last Collect.
type Report struct {
	Results []Result // by target
	Lates   []Late
	Notices []Notice

	// Met says that each target has been scanned from its begin to its end since the last
	// Demand, and that this report and those before it have what was found; but for
	// targets that are unreadable because no scan of them ends.
	Met bool

	// Full says that all calls that may be outstanding are hung, or were and more
	// than half still are.
	Full bool
}

// Late is a scan of a target that was scanned before, the first that ended more than
// Options.LateAfter after it was due, or the first after that which took no more than
// half as long.
type Late struct {
	Target int           // its index
	Files  int           // how many files and directories it examined
	Took   time.Duration // since it was due, so with the wait for a worker
	Over   bool          // it was not late; one before was
}

// Notice is something about a path that the user should know. Each kind comes once for
// each target.
type Notice struct {
	Target int // its index
	Path   string
	About  About
}

// About is the kind of a Notice.
type About int

const (
	// Replaced: Path is a file that is mounted by itself, and was replaced or removed
	// where it is mounted from. It will never change again.
	Replaced About = iota

	// CoarseTimes: the times on the file system of Path are whole seconds, so a second
	// edit of the same size within a second cannot be seen.
	CoarseTimes

	numAbouts
)

// State is a target as of the last Collect.
type State struct {
	Stat Stat
	Sum  Sum
}

// New returns a Scanner of the targets with these paths. When ctx is done, scans
// that are under way stop, and find nothing.
func New(ctx context.Context, paths []string, o Options) *Scanner {
	if o.FileSystem == nil {
		o.FileSystem = OS{}
	}
	o.MaxCalls = cmp.Or(o.MaxCalls, MaxCalls)
	s := &Scanner{options: o, unknown: len(paths)}
	var parents []string
	byName := make(map[string]*parent)
	for _, path := range paths {
		name := filepath.Dir(path)
		if byName[name] == nil {
			byName[name] = newParent(path)
		}
		s.targets = append(s.targets, target{path: path, parent: byName[name]})
		parents = append(parents, name)
	}
	stopped := func() bool { return ctx.Err() != nil }
	s.sched = newScheduler(parents, o, stopped, s.scan)
	return s
}

// scan scans the target with the index. Workers call it.
func (s *Scanner) scan(w *worker, index int, first bool) findings {
	t := &s.targets[index]
	w.pass = pass{
		w: w, sched: s.sched, options: &s.options, remotes: &s.remotes,
		start: s.starts.Load(), first: first, before: t.doubts,
	}
	w.pass.target(t)
	found := w.pass.found
	w.pass.found, w.pass.before = findings{}, nil // for the garbage collector
	if s.sched.stopped() {                        // some of it was left out
		found = findings{doubts: doubts{"": w.ended}}
	}
	t.doubts = found.doubts
	if !first && !s.options.Content {
		t.countCoarse(found.changes.steps, w.clock.wall())
	}
	// One that is being replaced may be seen without a name once.
	if found.unlinked != "" && found.unlinked == t.unlinked && !t.noticed[Replaced] && w.isMounted(found.unlinked) {
		found.notices = t.notice(index, Replaced, found.unlinked)
	}
	t.unlinked = found.unlinked
	if t.coarse >= minCoarse {
		found.notices = append(found.notices, t.notice(index, CoarseTimes, t.path)...)
	}
	return found
}

// minCoarse is how many changes with a coarse time make it certain that all times are:
// of other file systems, one in a thousand or fewer are whole seconds.
const minCoarse = 2

// countCoarse counts the files that, now, were changed less than 2 s ago in a whole
// second, in a row. Those of FAT are even ones.
func (t *target) countCoarse(steps []Step, now time.Time) {
	for i := range steps {
		_, mtime, isFile := steps[i].Stat.Size()
		switch {
		case !isFile || now.Sub(mtime).Abs() >= 2*time.Second:
		case mtime.Nanosecond() == 0:
			t.coarse++
		default:
			t.coarse = 0 // its file system does have finer times
		}
	}
}

// notice returns the Notice about t, which has the index, unless it was there before.
func (t *target) notice(index int, about About, path string) []Notice {
	if t.noticed[about] {
		return nil
	}
	t.noticed[about] = true
	return []Notice{{index, path, about}}
}

// Start begins a scan of each target that is not being scanned.
func (s *Scanner) Start() {
	s.starts.Add(1)
	s.sched.start()
}

// Demand is Start for those who cannot wait for the next one: each target that is being
// scanned is scanned once more after that. Report.Met says when this is done. A demand
// that is not met yet is part of the next one.
func (s *Scanner) Demand() {
	s.starts.Add(1)
	s.sched.demand()
}

// Ready receives a value when a worker has run out of targets: call Collect. Results
// may be there earlier.
func (s *Scanner) Ready() <-chan struct{} { return s.sched.ready }

// CollectWithin returns in which time Collect is to be called at the latest, even if
// Ready has no value: so hung calls are noticed. 0 is for no need before the next
// Start.
func (s *Scanner) CollectWithin() time.Duration { return s.sched.collectWithin() }

// Outstanding reports whether a scan of the last Start is still waited for, or has not
// been collected.
func (s *Scanner) Outstanding() bool { return s.sched.outstanding() }

// Known reports whether State has an answer for each target. That takes some
// UnreadableAfter at most, after the first Start.
func (s *Scanner) Known() bool { return s.unknown == 0 }

// Collect returns what has happened since it was last called.
func (s *Scanner) Collect() Report {
	c, starting := s.sched.collect(), !s.Known()
	report := Report{Lates: c.lates, Met: c.met, Full: c.full}
	for i := range c.results {
		report.Notices = append(report.Notices, c.results[i].found.notices...)
		r := &c.results[i]
		if steps := s.steps(r); len(steps) > 0 {
			report.Results = append(report.Results, Result{r.job.index, steps})
		}
		if starting {
			s.targets[r.job.index].noteLost()
		}
	}
	for _, e := range c.expired {
		t := &s.targets[e.job.index]
		t.expired = e.reason
		s.know(t)
		if t.stat.err == "" { // else that is known
			state := t.state()
			report.Results = append(report.Results, Result{e.job.index, []Step{{Change: wire.Unreadable, Stat: state.Stat, Sum: state.Sum}}})
		}
	}
	slices.SortFunc(report.Results, func(a, b Result) int { return a.Target - b.Target })
	return report
}

// steps returns the steps to report of a scan that has ended.
func (s *Scanner) steps(r *result) []Step {
	t := &s.targets[r.job.index]
	if len(r.found.doubts) == 0 {
		s.know(t)
	}
	before := t.sum
	t.sum = t.sum.plus(r.found.changes.sum)
	t.stat = t.root.stat()
	if r.first { // there is nothing to compare with
		before, r.found.changes.steps = t.sum, nil
	}
	steps := r.found.changes.sorted(before)
	if r.recovered {
		t.expired = ""
		steps = recovered(steps, t.stat, before)
	}
	return steps
}

// recovered returns the steps to report of a scan with these steps if the target
// was reported as unreadable, since no scan had ended, and root is what it is now.
// before is the sum of the target before the scan.
func recovered(steps []Step, root Stat, before Sum) []Step {
	itself := slices.IndexFunc(steps, func(s Step) bool { return s.Name == "" })
	switch {
	case root.err != "": // it is unreadable all the same, for another reason
		return nil
	case itself >= 0:
		steps[itself].Again = true
		return steps
	case root == gone:
		return []Step{{Change: wire.Removed, Stat: gone, Sum: before, Again: true}}
	}
	return slices.Insert(steps, 0, Step{Change: wire.Readable, Stat: root, Sum: before, Again: true})
}

// know notes that t is known.
func (s *Scanner) know(t *target) {
	if !t.known {
		t.known = true
		s.unknown--
	}
}

// State returns the target with the index as of the last Collect, once Known.
func (s *Scanner) State(index int) State { return s.targets[index].state() }

func (t *target) state() State {
	if t.expired != "" {
		stat := Stat{err: t.expired}
		return State{stat, stat.sum("")}
	}
	return State{t.stat, t.sum}
}

// Unreadable returns why things below the target with the index could not be examined, by
// their paths below it, as of the Collect with which all targets were Known.
func (s *Scanner) Unreadable(index int) map[string]string { return s.targets[index].lost }

// noteLost notes what cannot be examined. No scan of t may be under way.
func (t *target) noteLost() {
	t.lost = nil
	if t.sum.Unreadable > 0 {
		t.lost = make(map[string]string)
		t.root.addUnreadable("", t.lost)
	}
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
