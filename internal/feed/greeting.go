package feed

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"net-watcher/internal/wire"
)

// greetingRenewal is how long a greeting is sent to those who join while nothing
// changes: its text says when it was made.
const greetingRenewal = time.Second

// target is a target after some batch. It is not written to once Publish has
// returned.
type target struct {
	now  wire.Event // Watching
	last uint64     // number of the last batch with a change of it, 0 for none
	when int64      // timestamp of that change
}

// apply returns the targets, which index finds by name, as they are after the
// events of batch number n. The list and its elements are not written to.
func apply(targets []*target, index map[string]int, events []wire.Event, n uint64) []*target {
	targets = slices.Clone(targets)
	for i := range events {
		e := &events[i]
		at, ok := index[e.TargetName()]
		if !ok {
			panic("feed: an event of no target: " + e.String())
		}
		t := targets[at]
		if t.last != n { // not copied yet
			t = &target{now: t.now, last: n}
			targets[at] = t
		}
		t.when = e.Timestamp
		t.now.Apply(e)
	}
	return targets
}

// greetLocked moves r to the head, in the format that it wants, and returns the
// greeting for that place: the Watching lines of all targets, for all who join
// there in this second.
func (f *Feed) greetLocked(r *Reader) *frame {
	in := r.want
	r.cursor, r.format = f.head, in
	g, now := f.greetings[in], time.Now()
	if g != nil {
		if g.head == f.head && now.Sub(g.made) < greetingRenewal {
			return g
		}
		g.stale = true
	}
	targets := f.targets
	f.greetings[in] = f.lazyFrame(func() ([]byte, []mark) {
		events := make([]wire.Event, len(targets))
		for i, t := range targets {
			events[i] = t.now
			events[i].Timestamp = now.UnixMilli()
		}
		return f.Encode(in, events), nil
	})
	return f.greetings[in]
}

// summaryLocked returns a Missed line for each target that has ever changed, for
// all who jump to the head. They stand in the order of their last changes, so
// that what one reader missed is the end of them.
func (f *Feed) summaryLocked(in wire.Format) *frame {
	if s := f.summaries[in]; s != nil && s.head == f.head {
		return s
	}
	targets := f.targets
	f.summaries[in] = f.lazyFrame(func() ([]byte, []mark) {
		changed := slices.DeleteFunc(slices.Clone(targets), func(t *target) bool { return t.last == 0 })
		slices.SortStableFunc(changed, func(a, b *target) int { return cmp.Compare(a.last, b.last) })
		missed := make([]wire.Event, len(changed))
		for i, t := range changed {
			missed[i] = t.now.AsMissed(t.when)
		}
		lines := f.Encode(in, missed)
		marks, offset := make([]mark, len(changed)), 0
		for i, t := range changed {
			marks[i] = mark{t.last, offset}
			offset += len(in.End()) + bytes.Index(lines[offset:], []byte(in.End()))
		}
		return lines, marks
	})
	return f.summaries[in]
}
