package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
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
	tick     <-chan time.Time // each interval, since start
	epoch    time.Time        // newPoll
	ticked   atomic.Int64     // when scans were last begun (time.Duration since epoch)

	// say logs what a user should know though no subscriber needs it: what keeps the
	// poll from seeing all changes in time, when it begins and when it is over; lines of a
	// kind may be counted instead. It must not wait. newPoll sets one that does nothing.
	say     func(kind, format string, args ...any)
	verbose bool // say nothing that the events say
	full    bool // all file system calls are hung

	maxCalls int // that may be outstanding

	// A scan is made at once for those who ask for it. scanned is called when what it
	// found has been yielded, with its number. newPoll sets one that does nothing.
	scanned func(number uint64)
	asked   chan struct{} // has one element if somebody has asked since the last such scan began
	begun   atomic.Uint64 // the number of the last such scan that has begun
	asking  bool          // it has not ended
	met     bool          // it has ended, and scanned is to be called
	since   time.Time     // when it began
	rest    time.Time     // until then no other one begins
}

// minLate is how late a scan is at least that the console has: with a shorter interval,
// any busy moment would be late.
const minLate = 100 * time.Millisecond

// minRest is the shortest time between two scans that were asked for: as often as a
// subscriber is read from.
const minRest = readInterval

// newPoll returns a poll of the named targets, whose scans are interval apart. When
// ctx is done, scans stop.
func newPoll(ctx context.Context, names []string, interval time.Duration, o scan.Options) *poll {
	o.LateAfter = max(interval, minLate)
	o.MaxCalls = cmp.Or(o.MaxCalls, scan.MaxCalls)
	return &poll{
		names: names, epoch: time.Now(), interval: interval, scanner: scan.New(ctx, names, o),
		say: func(string, string, ...any) {}, maxCalls: o.MaxCalls,
		scanned: func(uint64) {}, asked: make(chan struct{}, 1),
	}
}

// start scans every target for the first time, which all later scans are compared
// with, and returns a Watching event for each. That takes little more than
// scan.UnreadableAfter at most: targets whose scan has not ended then are unreadable
// for now. Those that are known before are scanned again each interval. The error is
// that of ctx.
func (p *poll) start(ctx context.Context) ([]wire.Event, error) {
	p.tick = time.Tick(p.interval)
	p.scanner.Start()
	for !p.scanner.Known() && ctx.Err() == nil {
		p.wait(ctx, p.tick)
	}
	if ctx.Err() != nil {
		p.scanner.Close()
		return nil, ctx.Err()
	}
	var events []wire.Event
	for i, name := range p.names {
		target := p.scanner.State(i)
		e := wire.Event{
			Type:     wire.Watching,
			File:     name,
			Protocol: wire.Protocol,
			Interval: p.interval.Milliseconds(),
			Targets:  len(p.names),
			Missing:  target.Stat.Missing(),
		}
		addSum(&e, target.Sum)
		fill(&e, target.Stat)
		events = append(events, e)
	}
	return events, nil
}

// ask asks for a scan that begins after this call, and returns its number. Scans that
// are asked for are shared, never two at a time, and apart by as long as the last one
// took. It may be called from any goroutine.
func (p *poll) ask() (number uint64) {
	number = p.begun.Load() + 1
	select {
	case p.asked <- struct{}{}:
	default:
	}
	return number
}

// changes scans every target once an interval, after start, until ctx is done, and yields
// the events of what has changed, of one or more targets at a time. A target whose scan
// takes longer than the interval skips the ticks that it misses; the others do not
// wait for it.
func (p *poll) changes(ctx context.Context) iter.Seq[[]wire.Event] {
	return func(yield func([]wire.Event) bool) {
		defer p.scanner.Close()
		for {
			events := p.wait(ctx, p.tick)
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
			if p.met {
				p.met = false
				p.scanned(p.begun.Load())
			}
		}
	}
}

// wait waits for a tick or for somebody to ask, with which the next scans begin, for
// scans to end, for the time to ask which of them hang, or for ctx. It returns the
// events, without a time.
func (p *poll) wait(ctx context.Context, tick <-chan time.Time) []wire.Event {
	var due <-chan time.Time
	if d := p.scanner.CollectWithin(); d > 0 {
		due = time.After(d)
	}
	asked, rested := p.asked, (<-chan time.Time)(nil)
	if p.asking {
		asked = nil
	} else if d := time.Until(p.rest); d > 0 {
		asked, rested = nil, time.After(d)
	}
	select {
	case <-ctx.Done():
	case <-p.scanner.Ready():
	case <-due:
	case <-tick:
		p.scanner.Start()
		p.ticked.Store(int64(time.Since(p.epoch)))
	case <-rested:
	case <-asked:
		p.asking, p.since = true, time.Now()
		p.begun.Add(1)
		p.scanner.Demand()
	}
	return p.collect()
}

// collect returns the events of the scans that have ended or are given up.
func (p *poll) collect() []wire.Event {
	report := p.scanner.Collect()
	if report.Met {
		now := time.Now()
		p.asking, p.met, p.rest = false, true, now.Add(max(minRest, now.Sub(p.since)))
	}
	p.logReport(&report)
	var events []wire.Event
	for _, r := range report.Results {
		for _, step := range r.Steps {
			events = append(events, event(p.names[r.Target], step))
		}
	}
	return events
}

// logReport logs what has begun and what is over.
func (p *poll) logReport(report *scan.Report) {
	for _, l := range report.Lates {
		target, took := wire.Printable(p.names[l.Target]), l.Took.Round(time.Millisecond)
		if l.Over {
			p.say("no longer late", "scanning %s takes no longer than -interval %v any more (%v)", target, p.interval, took)
		} else {
			p.say("late", "scanning %s (%d files) ended %v after its tick, later than -interval %v", target, l.Files, took, p.interval)
		}
	}
	if report.Full && !p.full {
		p.say("hung", "file system calls are hung, as many as may be (%d); further files cannot be checked until one returns", p.maxCalls)
	} else if p.full && !report.Full {
		p.say("no longer hung", "most file system calls are answered again")
	}
	p.full = report.Full
	for _, n := range report.Notices {
		p.say("odd", notices[n.About], wire.Printable(n.Path))
	}
	if p.verbose {
		return
	}
	for _, r := range report.Results {
		var unreadable, again []string
		for _, step := range r.Steps {
			name := wire.Printable(scan.Join(p.names[r.Target], step.Name))
			switch {
			case step.Change == wire.Unreadable:
				unreadable = append(unreadable, name+": "+step.Stat.Err())
			case step.Again:
				again = append(again, name)
			}
		}
		if len(unreadable) > 0 {
			p.say("unreadable", "cannot read %s", firstOf(unreadable))
		}
		if len(again) > 0 {
			p.say("no longer unreadable", "no longer unreadable: %s", firstOf(again))
		}
	}
}

// notices is what the console has for each kind of scan.Notice.
var notices = [...]string{
	scan.Replaced:    "%s is mounted by itself, and was replaced where it is mounted from: it will never change here again (mount its directory instead)",
	scan.CoarseTimes: "%s: times on this file system are whole seconds, so a second edit within a second cannot be seen if the size stays the same (-content compares contents)",
}

// firstOf returns the first of the names, and how many more there are.
func firstOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s, and %d more", names[0], len(names)-1)
}

// unreadable returns a line for each thing below the target with the index that the
// first scan could not read, in order of names.
func (p *poll) unreadable(index int) (lines []string) {
	reasons := p.scanner.Unreadable(index)
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		lines = append(lines, wire.Printable(scan.Join(p.names[index], name))+": "+reasons[name])
	}
	return lines
}

// event returns the event of a step of the target.
func event(target string, step scan.Step) wire.Event {
	e := wire.Event{Type: wire.Changed, File: scan.Join(target, step.Name), Change: step.Change}
	if step.Name != "" {
		e.Target = target
	}
	addSum(&e, step.Sum)
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

// addSum sets the fields of e that a Sum has.
func addSum(e *wire.Event, s scan.Sum) {
	e.State, e.Unreadable = fmt.Sprintf("%016x", s.Tag), s.Unreadable
}
