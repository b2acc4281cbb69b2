package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"net-watcher/internal/scan"
	"net-watcher/internal/wire"
)

// poll is the watching half: a tick, a scan, the events of what it found. It knows
// nothing of subscribers, and never waits for a file system. It is not for
// concurrent use.
type poll struct {
	names    []string // of the targets
	interval time.Duration
	scanner  *scan.Scanner

	// late is called once, when a scan has ended more than the interval after it was
	// due, and full whenever all file system calls have become hung, so that none can
	// be made. Both may be nil.
	late func(target string, files int, after time.Duration)
	full func()
}

// newPoll returns a poll of the named targets, whose scans are interval apart. When
// ctx is done, scans stop.
func newPoll(ctx context.Context, names []string, interval time.Duration, o scan.Options) *poll {
	return &poll{names: names, interval: interval, scanner: scan.New(ctx, names, o)}
}

// start scans every target for the first time, which all later scans are compared
// with, and returns a Watching event for each. It takes scan.UnreadableAfter at
// most: targets whose scan has not ended then are unreadable for now. The error is
// that of ctx, or names a target that could not be scanned.
func (p *poll) start(ctx context.Context) ([]wire.Event, error) {
	p.scanner.Start()
	for p.scanner.Outstanding() && ctx.Err() == nil {
		p.wait(ctx, nil)
	}
	if ctx.Err() != nil {
		p.scanner.Close()
		return nil, ctx.Err()
	}
	var events []wire.Event
	for i, name := range p.names {
		target, err := p.scanner.State(i)
		if err != nil {
			return nil, fmt.Errorf("scan %q: %w", name, err)
		}
		e := wire.Event{
			Type:     wire.Watching,
			File:     name,
			Protocol: wire.Protocol,
			Interval: p.interval.Milliseconds(),
			Targets:  len(p.names),
			Missing:  target.Stat.Missing(),
			State:    state(target.Tag),
		}
		fill(&e, target.Stat)
		events = append(events, e)
	}
	return events, nil
}

// changes scans every target once an interval, until ctx is done, and yields the
// events of what has changed, of one or more targets at a time. A target whose scan
// takes longer than the interval skips the ticks that it misses; the others do not
// wait for it.
func (p *poll) changes(ctx context.Context) iter.Seq[[]wire.Event] {
	return func(yield func([]wire.Event) bool) {
		defer p.scanner.Close()
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

// wait waits for a tick, with which the next scans begin, for scans to end, for the
// time to ask which of them hang, or for ctx. It returns the events, without a time.
func (p *poll) wait(ctx context.Context, tick <-chan time.Time) []wire.Event {
	var due <-chan time.Time
	if d := p.scanner.CollectWithin(); d > 0 {
		due = time.After(d)
	}
	select {
	case <-ctx.Done():
	case <-p.scanner.Ready():
	case <-due:
	case <-tick:
		p.scanner.Start()
	}
	return p.collect()
}

// collect returns the events of the scans that have ended or are given up.
func (p *poll) collect() []wire.Event {
	report := p.scanner.Collect()
	if s := report.Slowest; s.Took > p.interval && p.late != nil {
		p.late(p.names[s.Target], s.Files, s.Took)
		p.late = nil
	}
	if report.Full && p.full != nil {
		p.full()
	}
	var events []wire.Event
	for _, r := range report.Results {
		for _, step := range r.Steps {
			events = append(events, event(p.names[r.Target], step))
		}
	}
	return events
}

// event returns the event of a step of the target.
func event(target string, step scan.Step) wire.Event {
	e := wire.Event{Type: wire.Changed, File: target, Change: step.Change, State: state(step.Tag)}
	if step.Name != "" {
		e.File, e.Target = target+"/"+step.Name, target
	}
	fill(&e, step.Stat)
	return e
}

// fill sets the fields of e that a Stat has.
func fill(e *wire.Event, s scan.Stat) {
	e.Error = s.Err()
	if size, mtime, ok := s.Size(); ok {
		e.Size, e.Mtime = &size, mtime
	}
}

// state returns a tag as it stands on the wire.
func state(tag uint64) string { return fmt.Sprintf("%016x", tag) }
