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
	// KillDelay is how long a run of a command may take to end after SIGTERM, and
	// how long something that it leaves behind may keep its standard input or
	// output open.
	KillDelay = 5 * time.Second

	// maxBatch is how much one run of a command gets as single events, in bytes
	// of JSON; beyond that it gets a Missed for each target. It is also what is
	// kept for the next run.
	maxBatch = 1 << 20

	// maxEnvValue is the longest value that a command gets in its environment, in
	// bytes: far longer than a path may be, and well below the 128 KiB above
	// which Linux does not start the command.
	maxEnvValue = 32 << 10
)

// Command runs a command on events, one run at a time. Events that come during a
// run are kept for the next one. One goroutine calls Run, and another one all
// other methods.
type Command struct {
	args           []string
	stdout, stderr io.Writer
	log            *log.Logger
	killDelay      time.Duration

	next chan pending // has one element if there is a reason for a run
}

// pending is what the next run of a command is about.
type pending struct {
	events []wire.Event
	bytes  int // of events as JSON; after collapse, at most half of maxBatch
}

// NewCommand returns a Command for the program args[0] and its arguments. What
// the program prints goes to stdout and stderr; log gets a line for each run that
// fails.
func NewCommand(args []string, stdout, stderr io.Writer, log *log.Logger) *Command {
	return &Command{
		args: args, stdout: stdout, stderr: stderr, log: log,
		killDelay: KillDelay, next: make(chan pending, 1),
	}
}

// Run runs the command whenever there is a reason to. It returns when Close was
// called and the last run has ended, or when ctx is done: then it ends a command
// that is running.
func (c *Command) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p, ok := <-c.next:
			if !ok {
				return
			}
			c.runOnce(ctx, p.events)
		}
	}
}

// Trigger asks for a run even if nothing changes.
func (c *Command) Trigger() { c.enqueue(nil) }

// Add asks for a run on events, but for those that say that a path is unreadable:
// a command could not read it either. It never waits.
func (c *Command) Add(events []wire.Event) {
	unreadable := func(e wire.Event) bool { return e.Change == wire.Unreadable }
	events = slices.DeleteFunc(slices.Clone(events), unreadable)
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
	p.events = append(p.events, events...)
	p.bytes += len(wire.Encode(wire.JSON, events))
	if p.bytes > maxBatch {
		p.events = collapse(p.events)
		// With many targets these may be more than maxBatch by themselves. At
		// most half of that counts, so that not every Add collapses them anew.
		p.bytes = min(len(wire.Encode(wire.JSON, p.events)), maxBatch/2)
	}
	c.next <- p // never waits: only this goroutine sends
}

// collapse returns a Missed for each target of the events, in the order of the
// last event of each.
func collapse(events []wire.Event) []wire.Event {
	seen := make(map[string]bool)
	var missed []wire.Event
	for _, e := range slices.Backward(events) {
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
	return missed
}

// runOnce runs the command on events, to its end.
func (c *Command) runOnce(ctx context.Context, events []wire.Event) {
	var last wire.Event
	if len(events) > 0 {
		last = events[len(events)-1]
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Stdin = bytes.NewReader(wire.Encode(wire.JSON, events))
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	cmd.Env = append(os.Environ(), "NET_WATCHER_FILE="+envValue(last.File), "NET_WATCHER_CHANGE="+envValue(string(last.Change)))
	cmd.WaitDelay = c.killDelay
	endGroup := cancelByGroup(cmd)
	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		endGroup()
	case errors.Is(err, exec.ErrWaitDelay):
		// The command has succeeded; something that it has started keeps its
		// standard input or output open.
	case err != nil:
		c.log.Printf("%s failed: %v", wire.Printable(c.args[0]), err)
	}
}

// envValue returns s, or "" if no environment can hold s.
func envValue(s string) string {
	if len(s) > maxEnvValue || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}
