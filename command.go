package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// maxBatch is how much a command is told at a time, in bytes of JSON.
	// Above that it gets a Missed for each target.
	maxBatch = 1 << 20

	// killDelay is how long a command has to end after it was asked to, and
	// how long one that has ended may keep its standard input or output open.
	killDelay = 5 * time.Second

	// maxVariable is the longest name that a command gets in its environment,
	// in bytes: far more than a path may have, and well below the 128 KiB
	// above which Linux would not start the command.
	maxVariable = 32 << 10
)

// command runs a command on what changes, once at a time. What comes while it
// runs is kept for the next run.
type command struct {
	args           []string
	stdout, stderr io.Writer
	log            *log.Logger
	killDelay      time.Duration

	more chan struct{} // has a value when there is a reason to run; closed at the end

	mu     sync.Mutex // guards what follows
	batch  []Event    // for the next run
	bytes  int        // of batch as JSON, but for what collapse made
	wanted bool       // run even if batch is empty
}

func newCommand(args []string, stdout, stderr io.Writer, log *log.Logger) *command {
	return &command{
		args: args, stdout: stdout, stderr: stderr, log: log,
		killDelay: killDelay, more: make(chan struct{}, 1),
	}
}

// run runs the command whenever there is a reason to, until finish is called
// and there is none left, or ctx is done: then a command that is running is
// ended.
func (c *command) run(ctx context.Context) {
	for last := false; !last && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-c.more:
			last = !ok
		}
		if batch, ok := c.take(); ok {
			c.runOnce(ctx, batch)
		}
	}
}

// want asks for a run even if nothing changes.
func (c *command) want() {
	c.mu.Lock()
	c.wanted = true
	c.mu.Unlock()
	c.wake()
}

// add asks for a run on these events. It never waits. The error is always nil.
func (c *command) add(events []Event) error {
	c.mu.Lock()
	for _, e := range events {
		if e.Change == Unreadable {
			continue // there is nothing to be done about it
		}
		c.batch = append(c.batch, e)
		c.bytes += len(encode(jsonLines, []Event{e}))
		c.wanted = true
	}
	if c.bytes > maxBatch {
		c.batch, c.bytes = collapse(c.batch), 0
	}
	c.mu.Unlock()
	c.wake()
	return nil
}

// finish makes run end when it has run for all that was added. Nothing may be
// added any more.
func (c *command) finish() { close(c.more) }

func (c *command) wake() {
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// take returns the batch for a run, or false if there is no reason for one.
func (c *command) take() ([]Event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch, wanted := c.batch, c.wanted
	c.batch, c.bytes, c.wanted = nil, 0, false
	return batch, wanted
}

// collapse returns a Missed for each target of the events, in the order of the
// last event of each.
func collapse(events []Event) []Event {
	target := func(e *Event) string { return cmp.Or(e.Target, e.File, e.Name) }
	last := make(map[string]int)
	for i := range events {
		last[target(&events[i])] = i
	}
	var missed []Event
	for i := range events {
		e := &events[i]
		if last[target(e)] != i {
			continue
		}
		m := e.missed(e.Timestamp)
		if e.Target != "" { // the rest is not that of the target
			m.File, m.Size, m.Mtime = e.Target, nil, time.Time{}
		}
		m.Name = e.Name
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
func (c *command) runOnce(ctx context.Context, batch []Event) {
	lines := encode(jsonLines, batch)
	if len(lines) > maxBatch {
		batch = collapse(batch)
		lines = encode(jsonLines, batch)
	}
	var file, change string
	if len(batch) > 0 {
		e := batch[len(batch)-1]
		file, change = cmp.Or(e.File, e.Name), string(e.Change)
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
		c.log.Printf("%s failed: %v", printable(c.args[0]), err)
	}
}
