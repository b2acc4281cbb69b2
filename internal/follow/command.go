package follow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"net-watcher/internal/wire"
)

const (
	// maxBatch is how much a command is told at a time, in bytes of JSON.
	// Above that it gets a Missed for each target.
	maxBatch = 1 << 20

	// KillDelay is how long a command has to end after it was asked to, and
	// how long one that has ended may keep its standard input or output open.
	KillDelay = 5 * time.Second

	// maxVariable is the longest name that a command gets in its environment,
	// in bytes: far more than a path may have, and well below the 128 KiB
	// above which Linux would not start the command.
	maxVariable = 32 << 10
)

// Command runs a command on what changes, once at a time. What comes while it
// runs is kept for the next run. One goroutine calls Run, and one all else.
type Command struct {
	args           []string
	stdout, stderr io.Writer
	log            *log.Logger
	killDelay      time.Duration

	next chan errand // the reason for the next run, if there is one
}

// errand is what a command is to be told.
type errand struct {
	events []wire.Event
	bytes  int // of events as JSON, but for what collapse made
}

// NewCommand returns a Command that runs args.
func NewCommand(args []string, stdout, stderr io.Writer, log *log.Logger) *Command {
	return &Command{
		args: args, stdout: stdout, stderr: stderr, log: log,
		killDelay: KillDelay, next: make(chan errand, 1),
	}
}

// Run runs the command whenever there is a reason to, until Close is called
// and there is none left, or ctx is done: then a command that is running is
// ended.
func (c *Command) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-c.next:
			if !ok {
				return
			}
			c.runOnce(ctx, e.events)
		}
	}
}

// Trigger asks for a run even if nothing changes.
func (c *Command) Trigger() { c.ask(nil) }

// Add asks for a run on these events. It never waits. The error is always nil.
func (c *Command) Add(events []wire.Event) error {
	events = slices.DeleteFunc(slices.Clone(events), func(e wire.Event) bool {
		return e.Change == wire.Unreadable // there is nothing to be done about it
	})
	if len(events) > 0 {
		c.ask(events)
	}
	return nil
}

// ask adds the events to what the next run is told.
func (c *Command) ask(events []wire.Event) {
	var e errand
	select {
	case e = <-c.next:
	default:
	}
	e.events = append(e.events, events...)
	e.bytes += len(wire.Encode(wire.JSON, events))
	if e.bytes > maxBatch {
		e = errand{events: collapse(e.events)}
	}
	c.next <- e // for which there is room: nobody else sends
}

// Close makes Run end when it has run for all that was added. Nothing may be
// added any more.
func (c *Command) Close() { close(c.next) }

// collapse returns a Missed for each target of the events, in the order of the
// last event of each.
func collapse(events []wire.Event) []wire.Event {
	last := make(map[string]int)
	for i, e := range events {
		last[e.TargetName()] = i
	}
	var missed []wire.Event
	for i, e := range events {
		if last[e.TargetName()] != i {
			continue
		}
		m := e.AsMissed(e.Timestamp)
		if e.Target != "" { // the rest is not that of the target
			m.File, m.Size, m.Mtime = e.Target, nil, time.Time{}
		}
		missed = append(missed, m)
	}
	return missed
}

// variable returns s, or nothing if no environment can hold it.
func variable(s string) string {
	if len(s) > maxVariable || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}

// runOnce runs the command to its end.
func (c *Command) runOnce(ctx context.Context, batch []wire.Event) {
	lines := wire.Encode(wire.JSON, batch)
	if len(lines) > maxBatch {
		batch = collapse(batch)
		lines = wire.Encode(wire.JSON, batch)
	}
	var file, change string
	if len(batch) > 0 {
		e := batch[len(batch)-1]
		file, change = e.File, string(e.Change)
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Stdin = bytes.NewReader(lines)
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	cmd.Env = append(os.Environ(), "NET_WATCHER_FILE="+variable(file), "NET_WATCHER_CHANGE="+variable(change))
	cmd.WaitDelay = c.killDelay
	end := inGroup(cmd)
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		end()
	case errors.Is(err, exec.ErrWaitDelay):
		// It has ended well; something that it started reads on.
	case err != nil:
		c.log.Printf("%s failed: %v", wire.Printable(c.args[0]), err)
	}
}
