package scan

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"net-watcher/internal/wire"
)

// target is one FILE of the command line.
type target struct {
	name  string // as given
	place int    // among the targets
	in    *parent

	root entry // of the caller that looks at it; at other times of the poll
	seen bool  // there was a first look; written by the poll, at such other times

	// Of the poll.
	tag        uint64 // of all that the last look saw
	unreadable bool   // so the last look found it

	// Guarded by pool.mu, and written only by the poll, but for what resets since.
	since  time.Duration // when it became due; 0 if it is not
	hung   string        // why nobody waits for it any longer, "" if somebody does
	lost   bool          // it is said to be unreadable since it hung; the poll's alone while it is not due
	things int           // what the last look at it looked at
}

// poll watches targets by looking at them again and again. It is not for
// concurrent use.
type Poll struct {
	interval time.Duration
	looker   looker
	targets  []*target
	parents  []*parent
	pool     *pool

	// Late is called once, when a look at so many things has taken longer than
	// the interval. It may be nil, as may Full, which is called whenever it
	// comes to so many calls without an answer that there can be no more.
	Late func(things int, took time.Duration)
	Full func()
}

// Options is how to scan.
type Options struct {
	Ignore  []string // patterns of what is left out below a folder
	Content bool     // compare contents, not times
	Fresh   bool     // open before looking
}

// New returns a poll of the named files, whose looks are interval apart.
func New(names []string, interval time.Duration, o Options) *Poll {
	p := &Poll{interval: interval, looker: looker{ignore: o.Ignore, content: o.Content, fresh: o.Fresh}}
	p.looker.stat, p.looker.lstat, p.looker.open, p.looker.readdir = os.Stat, os.Lstat, os.OpenFile, readdir
	p.pool = newPool(&p.looker)
	parents := make(map[string]*parent)
	for i, name := range names {
		dir := filepath.Dir(name)
		if parents[dir] == nil {
			parents[dir] = &parent{}
			p.parents = append(p.parents, parents[dir])
		}
		t := &target{name: name, place: i, in: parents[dir]}
		t.in.targets = append(t.in.targets, t)
		p.targets = append(p.targets, t)
	}
	return p
}

// start takes the first look, which everything later is compared with, and
// returns one Watching event per target. It gives up when ctx is done, and so
// do all looks after it.
func (p *Poll) Start(ctx context.Context) ([]wire.Event, error) {
	p.looker.stopped = func() bool { return ctx.Err() != nil }
	p.pool.add(p.parents)
	for p.pool.isOpen() && ctx.Err() == nil {
		p.wait(ctx, nil)
	}
	if ctx.Err() != nil {
		p.pool.end()
		return nil, ctx.Err()
	}
	var events []wire.Event
	for _, t := range p.targets {
		e := wire.Event{
			Type:     wire.Watching,
			File:     t.name,
			Protocol: wire.Protocol,
			Interval: p.interval.Milliseconds(),
			Targets:  len(p.targets),
			State:    state(t.tag),
		}
		switch {
		case t.hung != "":
			e.Error, e.State = t.hung, unreadableState
		case !t.seen:
			return nil, fmt.Errorf("scan %q: too many open files", t.name)
		default:
			e.Missing = t.root.look == look{kind: absent}
			t.root.say(&e)
		}
		events = append(events, e)
	}
	return events, nil
}

// state returns a tag in the form of the wire.
func state(tag uint64) string { return fmt.Sprintf("%016x", tag) }

// unreadableState is the state of a target that cannot be looked at.
var unreadableState = state(look{why: noAnswer}.tag(""))

// changes looks at every target once an interval, until ctx is done, and
// yields what the looks find changed, if anything. A target whose look is late
// (slow file system, stopped machine) lets the ticks that it misses go by.
func (p *Poll) Changes(ctx context.Context) iter.Seq[[]wire.Event] {
	return func(yield func([]wire.Event) bool) {
		defer p.pool.end()
		tick := time.Tick(p.interval)
		for {
			events := p.wait(ctx, tick)
			if ctx.Err() != nil {
				return
			}
			now := time.Now().UnixMilli()
			for i := range events {
				events[i].Timestamp = now
			}
			if len(events) > 0 && !yield(events) {
				return
			}
		}
	}
}

// wait waits until there is something to do about the looks under way, or for
// a tick, with which those at all other targets begin, or until ctx is done. It
// returns the news.
func (p *Poll) wait(ctx context.Context, tick <-chan time.Time) []wire.Event {
	var due <-chan time.Time
	if d := p.pool.due(); d > 0 {
		due = time.After(d)
	}
	select {
	case <-ctx.Done():
	case <-p.pool.wake:
	case <-due:
	case <-tick:
		p.pool.add(p.parents)
	}
	return p.news()
}

// news returns what the looks that ended since it was last called found
// changed.
func (p *Poll) news() []wire.Event {
	news := p.pool.collect()
	if news.took > p.interval && p.Late != nil {
		p.Late(news.things, news.took)
		p.Late = nil
	}
	if news.full && p.Full != nil {
		p.Full()
	}

	slices.SortFunc(news.ended, func(a, b walk) int { return cmp.Compare(a.of.place, b.of.place) })
	var events []wire.Event
	for i := range news.ended {
		w := &news.ended[i]
		events = append(events, w.of.changes(w)...)
	}
	for _, t := range news.lost {
		events = append(events, wire.Event{Type: wire.Changed, File: t.name, Change: wire.Unreadable, Error: t.hung, State: unreadableState})
	}
	return events
}

// changes returns what is to be told of a look at t that has ended.
func (t *target) changes(w *walk) []wire.Event {
	tag := t.tag
	t.tag += w.delta
	steps := w.steps()
	if w.first { // there is nothing to compare with
		tag, steps = t.tag, nil
	}
	t.seen = t.seen || !w.blind
	t.unreadable = t.root.why != ""

	if t.lost && (!w.blind || len(steps) > 0) { // it is back
		t.lost = false
		itself := slices.ContainsFunc(steps, func(s step) bool { return s.name == "" })
		switch {
		case t.unreadable: // for another reason by now
			steps = nil
		case itself:
		case t.root.look == look{kind: absent}:
			steps = []step{{change: wire.Removed, look: t.root.look}}
		default:
			steps = slices.Insert(steps, 0, step{change: wire.Readable, look: t.root.look})
		}
	}

	var events []wire.Event
	for _, s := range steps {
		tag += s.delta
		e := wire.Event{Type: wire.Changed, File: t.name, Change: s.change, State: state(tag)}
		if s.name != "" {
			e.File, e.Target = t.name+"/"+s.name, t.name
		}
		s.look.say(&e)
		events = append(events, e)
	}
	return events
}
