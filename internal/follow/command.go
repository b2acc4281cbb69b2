package follow

import (
	"context"
	"io"
	"log"
	"slices"
	"time"

	"net-watcher/internal/wire"
)

// maxBatch is how much one run of a command gets as single events, in bytes of JSON;
// beyond that it gets a Missed for each target.
const maxBatch = 1 << 20

// Command runs a command on events, one run at a time. Events that come during a
// run are kept for the next one, and so are those of a run that failed or was ended
// by Restart: each event is in a run that succeeds, at least once, or covered by a
// Missed in it, unless the program ends before. One goroutine calls Run, and another
// one all other methods. The exported fields are to be set before Run.
type Command struct {
	Verbose bool          // log each run, its end and its time
	Once    bool          // Run returns after the first run that Restart does not end
	Restart bool          // events end a run, and the next one begins when all of it has gone
	Settle  time.Duration // events wait until there were none for so long, but at most maxSettle times that

	// Start starts a run on events, which is to end when ctx is done. NewCommand sets the
	// one that starts the program, and only tests have another.
	Start func(ctx context.Context, events []wire.Event) (Process, error)

	args           []string
	stdout, stderr io.Writer
	log            *log.Logger
	killDelay      time.Duration
	status         int // of the last run, as Status returns it

	next chan pending // has one element if there is a reason for a run
}

// maxSettle is how many times Settle events may wait: what changes all the time would
// never be settled.
const maxSettle = 10

// pending is what the next run of a command is about.
type pending struct {
	events []wire.Event
	bytes  int           // of events as JSON
	limit  int           // of bytes, beyond which events collapse, if more than maxBatch
	ahead  time.Duration // how far this system's clock is ahead of the server's
}

// NewCommand returns a Command for the program args[0] and its arguments. What the
// program prints goes to stdout and stderr; log gets a line for each run that fails.
// The error says why the program could not be started, as far as that can be seen
// without starting it.
func NewCommand(args []string, stdout, stderr io.Writer, log *log.Logger) (*Command, error) {
	if _, _, err := find(args[0]); err != nil {
		return nil, err
	}
	c := &Command{
		args: args, stdout: stdout, stderr: stderr, log: log,
		killDelay: KillDelay, next: make(chan pending, 1),
	}
	c.Start = c.execute
	return c, nil
}

// Run runs the command whenever there is a reason to. It returns when Close was
// called and the last run has ended, after the run that Once makes the last, or when ctx
// is done: then it ends a command that is running.
func (c *Command) Run(ctx context.Context) {
	var input pending // of the next run; at first what the runs before have failed on
	var own feedback
	p, ok := c.receive(ctx)
	for ok {
		if !c.holdBack(ctx, own.judge(p.events, p.ahead, time.Now()), &p) {
			return
		}
		input.add(p.events)
		r := c.start(ctx, &input)
		if r == nil {
			return
		}
		var restart *pending
		if ok, restart = c.wait(ctx, r); ok {
			input = pending{}
		}
		own.ran(r.begin, time.Now(), c.Restart)
		switch {
		case restart != nil:
			p, ok = *restart, true
			c.addPending(&p) // while it ended
		case c.Once:
			return
		default:
			p, ok = c.receive(ctx)
		}
	}
}

// receive waits for a reason for a run, until events have settled. It returns false
// if ctx is done, or Close was called and nothing is pending.
func (c *Command) receive(ctx context.Context) (pending, bool) {
	select {
	case <-ctx.Done():
		return pending{}, false
	case p, ok := <-c.next:
		if ok {
			c.settle(ctx, &p)
		}
		return p, ok && ctx.Err() == nil
	}
}

// addPending adds to p what is pending, without waiting.
func (c *Command) addPending(p *pending) {
	select {
	case more, ok := <-c.next:
		if ok {
			p.join(more)
		}
	default:
	}
}

// settle adds to p, if there are events in it, those that come until there were none
// for the time of Settle.
func (c *Command) settle(ctx context.Context, p *pending) {
	if c.Settle == 0 || len(p.events) == 0 {
		return
	}
	end := time.After(maxSettle * c.Settle)
	for {
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-time.After(c.Settle):
			return
		case more, ok := <-c.next:
			if !ok {
				return
			}
			p.join(more)
		}
	}
}

// holdBack does what the number of runs in a row that the command has caused asks for,
// before one on p. It returns false if ctx is done.
func (c *Command) holdBack(ctx context.Context, runs int, p *pending) bool {
	switch runs {
	case manyRuns - 1:
		select {
		case <-ctx.Done():
			return false
		case <-time.After(probe):
		}
	case manyRuns:
		c.log.Printf("%s has run %d times in a row, each time after changes made while it ran: does it write below what is watched? -ignore leaves that out (the last: %v)",
			c.name(), manyRuns, &p.events[len(p.events)-1])
	}
	return true
}

// Status returns the exit status of the last run as a shell has it: 128 and the number of
// the signal, if one ended it; 126 if Close was called before it could be started; 0 if
// there was no run. It may be called when Run has returned.
func (c *Command) Status() int { return c.status }

// Trigger asks for a run even if nothing changes.
func (c *Command) Trigger() { c.enqueue(nil) }

// Runs reports whether e is a reason for a run. That a path is unreadable is none: a
// command could not read it either.
func Runs(e wire.Event) bool { return e.Change != wire.Unreadable }

// Add asks for a run on the events that are a reason for one. It never waits.
func (c *Command) Add(events []wire.Event) {
	events = slices.DeleteFunc(slices.Clone(events), func(e wire.Event) bool { return !Runs(e) })
	if len(events) > 0 {
		c.enqueue(events)
	}
}

// Close makes Run return after a last run on what was added and is still pending.
// Add and Trigger must not be called after it.
func (c *Command) Close() { close(c.next) }

// enqueue adds events to those of the next run.
func (c *Command) enqueue(events []wire.Event) {
	var p pending
	select {
	case p = <-c.next:
	default:
	}
	p.add(events)
	if len(events) > 0 {
		p.ahead = time.Since(time.UnixMilli(events[len(events)-1].Timestamp))
	}
	c.next <- p // never waits: only this goroutine sends
}

// add adds events. Where that makes more than maxBatch of it, they collapse.
func (p *pending) add(events []wire.Event) {
	p.events = append(p.events, events...)
	p.bytes += len(wire.Encode(wire.JSON, events))
	if p.bytes > max(maxBatch, p.limit) {
		p.collapse()
		p.limit = 2 * p.bytes // many targets need more than maxBatch: not each add collapses them anew
	}
}

// join adds what is pending after p.
func (p *pending) join(more pending) {
	p.add(more.events)
	if len(more.events) > 0 {
		p.ahead = more.ahead
	}
}

// collapse replaces the events by a Missed for each target, in the order of the
// last event of each.
func (p *pending) collapse() {
	seen := make(map[string]bool)
	var missed []wire.Event
	for _, e := range slices.Backward(p.events) {
		if seen[e.TargetName()] {
			continue
		}
		seen[e.TargetName()] = true
		m := e.AsMissed(e.Timestamp)
		if e.Target != "" { // size and mtime are those of something below it
			m.File, m.Size, m.Mtime = e.Target, nil, time.Time{}
		}
		missed = append(missed, m)
	}
	slices.Reverse(missed)
	p.events, p.bytes = missed, len(wire.Encode(wire.JSON, missed))
}
