package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"time"
)

// target is one FILE of the command line.
type target struct {
	name string // as given
	root entry
	tag  uint64 // of all that the last look saw
}

// poll watches targets by looking at them again and again. It is not for
// concurrent use.
type poll struct {
	interval time.Duration
	looker   looker
	targets  []target

	// late is called once, when a look at so many things has taken longer than
	// the interval. It may be nil.
	late func(things int, took time.Duration)
}

// newPoll returns a poll of the named files, whose looks are interval apart.
func newPoll(names []string, interval time.Duration, lr looker) *poll {
	lr.stat, lr.lstat, lr.open = os.Stat, os.Lstat, os.OpenFile
	p := &poll{interval: interval, looker: lr}
	for _, name := range names {
		p.targets = append(p.targets, target{name: name})
	}
	return p
}

// start takes the first look, which everything later is compared with, and
// returns one Watching event per target. It gives up when ctx is done, and so
// do all looks after it.
func (p *poll) start(ctx context.Context) ([]Event, error) {
	p.looker.stopped = func() bool { return ctx.Err() != nil }
	var events []Event
	for i := range p.targets {
		t := &p.targets[i]
		w := walk{looker: &p.looker, first: true}
		t.tag = w.target(&t.root, t.name)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if w.blind {
			return nil, fmt.Errorf("look at %q: too many open files", t.name)
		}
		e := Event{
			Type:     Watching,
			File:     t.name,
			Protocol: protocol,
			Interval: p.interval.Milliseconds(),
			Targets:  len(p.targets),
			Missing:  t.root.look == look{kind: absent},
			State:    state(t.tag),
		}
		t.root.say(&e)
		events = append(events, e)
	}
	return events, nil
}

// state returns a tag in the form of the wire.
func state(tag uint64) string { return fmt.Sprintf("%016x", tag) }

// look looks at every target once and returns what changed since the look
// before, without timestamps, and how many things it looked at.
func (p *poll) look() (events []Event, things int) {
	for i := range p.targets {
		t := &p.targets[i]
		w := walk{looker: &p.looker}
		tag := t.tag
		t.tag += w.target(&t.root, t.name)
		for _, s := range w.steps() {
			tag += s.delta
			e := Event{Type: Changed, File: t.name, Change: s.change, State: state(tag)}
			if s.name != "" {
				e.File, e.Target = t.name+"/"+s.name, t.name
			}
			s.look.say(&e)
			events = append(events, e)
		}
		things += w.count
	}
	return events, things
}

// changes looks at every target once an interval, until ctx is done, and
// yields what each look finds changed, if anything. A look that is late (slow
// file system, stopped machine) makes the ticks that it misses go by.
//
// It is the one place here that knows what time it is.
func (p *poll) changes(ctx context.Context) iter.Seq[[]Event] {
	return func(yield func([]Event) bool) {
		tick := time.NewTicker(p.interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			begin := time.Now()
			events, things := p.look()
			if ctx.Err() != nil {
				return // in the middle of it, perhaps
			}
			if took := time.Since(begin); took > p.interval && p.late != nil {
				p.late(things, took)
				p.late = nil
			}
			now := time.Now().UnixMilli()
			for i := range events {
				events[i].Timestamp = now
			}
			if len(events) > 0 && !yield(events) {
				return
			}
			select {
			case <-tick.C: // the ticker keeps one that nobody was there to take
			default:
			}
		}
	}
}
