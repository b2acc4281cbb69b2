package follow

import (
	"math"
	"time"

	"net-watcher/internal/wire"
)

const (
	// manyRuns is how many runs in a row, each because of changes that were made
	// while the command ran, are no accident.
	manyRuns = 10

	// seen is how long after a change a server may see it: more than its default
	// interval.
	seen = 2 * time.Second

	// probe is how long the command is held back before the last of these, once. A
	// command that is at work almost all the time looks as if it had made every change;
	// in this time it makes none, and what it has made before is seen in its first half.
	probe = 2 * seen

	// After a probe that has found another writer, so many runs pass before the next.
	probeAgain = 100

	// calm is how long after a run another one is no longer due to it.
	calm = time.Minute

	// ownTime is how long after its begin a run that is to be restarted counts as the
	// cause of changes. A development server runs all the time, and so does whatever
	// edits its files; but what it writes at its start comes soon, after each start.
	ownTime = 10 * time.Second

	// clockError is how far the times of files, and the time that a line takes from
	// the server, may make a change seem to be outside a run.
	clockError = 100 * time.Millisecond
)

// feedback finds out whether a command causes its own runs, by writing below what is
// watched. It judges by when each change was made: by its mtime or, where that does not
// say it (nothing has one that was removed, nor have directories; cp -p keeps old ones;
// some file systems have whole seconds), by when the server has seen it. A change that
// was made while the command did not run has another writer, which is then taken to be
// the cause of all. So it says nothing if another program writes as well, if the server's
// interval is longer than seen and mtimes do not tell, and if the clock of a file server
// differs from that of the net-watcher server; that of the client may differ.
type feedback struct {
	begin, end [2]time.Time // of the last run and the one before
	runs       int          // in a row, after the first; below 0, so many more do not count
}

// judge takes the events that are the reason for a run, and how far this system's
// clock is ahead of the server's. It returns how many runs in a row, with this one,
// were due to the run before: manyRuns-1 asks for a pause of probe before this run,
// and manyRuns is returned only once before it is calm.
func (f *feedback) judge(events []wire.Event, ahead time.Duration, now time.Time) int {
	own, others := false, false
	for _, e := range events {
		at, late := e.Mtime.Add(ahead), clockError
		if e.Mtime.Nanosecond() == 0 || at.Before(f.begin[1].Add(-clockError)) {
			at, late = time.UnixMilli(e.Timestamp).Add(ahead), seen
		}
		if f.during(at, late, 0) || f.during(at, late, 1) {
			own = true
		} else {
			others = true
		}
	}
	switch {
	case now.Sub(f.end[0]) > calm:
		f.runs = 0
	case own && !others:
		f.runs++
	case f.runs >= manyRuns-1:
		f.runs = -probeAgain
	default:
		f.runs = min(f.runs, 0)
	}
	if f.runs == manyRuns {
		f.runs = math.MinInt // until it is calm
		return manyRuns
	}
	return f.runs
}

// during reports whether the time at is in a run, or up to late after it.
func (f *feedback) during(at time.Time, late time.Duration, run int) bool {
	return !at.Before(f.begin[run].Add(-clockError)) && !at.After(f.end[run].Add(late))
}

// ran takes the times of a run. Of one that changes end, only the first ownTime count.
func (f *feedback) ran(begin, end time.Time, restart bool) {
	if most := begin.Add(ownTime); restart && end.After(most) {
		end = most
	}
	f.begin[1], f.end[1] = f.begin[0], f.end[0]
	f.begin[0], f.end[0] = begin, end
}
