// Package follow is the client of a net-watcher server. It reconnects whenever it
// must, finds out what it missed, and hands on the changes or runs a command on
// them.
//
//	client.go   Client connects, waits, reconnects, and logs what became of the
//	            connection. It owns all that outlives a connection: the states of
//	            the targets, from which it finds out what it missed.
//	session.go  session is one connection. It makes lines of the bytes
//	            (lineReader) and messages of the lines, and sends the little that
//	            a client has to say.
//	command.go  Command keeps events, and runs a command on them, one run at a
//	            time. command_run.go starts a run and sees its end, command_find.go
//	            looks at the program, command_loop.go finds a command that causes
//	            its own runs, and command_unix.go ends all that a run has started.
//
// Client.Run does everything in the goroutine of its caller, package main: it
// calls Dial, Begun and Handle, and with them Command.Trigger and Command.Add,
// which never wait. Command.Run needs a goroutine of its own. Package main starts
// that and waits for it.
//
// A client keeps what it has read but not handled, which is at most the longest line,
// 1 MiB; one state for each target, 256 MiB of them at most; and twice, of failed runs and
// for the next run of the command, 1 MiB of events, or two events for each target. The
// constants say where their values come from.
package follow

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"slices"
	"time"

	"net-watcher/internal/backoff"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

const (
	// A client waits between minRetry and maxRetry before it reconnects, or starts
	// a command again. That is soon after a restart of the server, and costs next
	// to nothing while the server is down.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second

	// stableAfter is how long a connection must have been good for the waits to
	// be short again. A server that greets and then closes the connection gets
	// no more attempts than one that is down.
	stableAfter = maxRetry

	// maxStates is how many bytes of names and states of targets a client keeps: of a
	// million targets with long paths. A server that names ever new ones is none of ours.
	maxStates = 256 << 20
)

// Client follows a server. Its exported fields are to be set before Run.
type Client struct {
	Server  string // its name in messages
	Dial    func(context.Context) (net.Conn, error)
	Once    bool // end with the first connection
	Scan    bool // have the server scan, and end when its changes have been handled
	Log     *log.Logger
	Verbose bool // log every failed attempt to connect, not only the first

	// Begun is called once, when the first greeting is complete. It must not be nil.
	Begun func()

	// Handle is called with the Changed events, in order, as many as came at a
	// time. An error from it ends Run.
	Handle func([]wire.Event) error

	states        map[string]string // of each target, after the last line about it
	size          int               // of all that is in states, in bytes
	targets       map[string]int    // of the last complete greeting; nil before the first
	everConnected bool              // there was a good connection
	saidRetrying  bool              // the log says that there is no connection
	answered      bool              // the last attempt found a server, of another kind perhaps
	saidOther     bool              // the log says what such a server did
}

// Run follows the server until ctx is done, Handle fails, with Scan until the scan has
// ended, or, with Once, until the first connection fails or ends. It returns nil if ctx
// is done, after Scan, and if the server has ended the only connection, but neither in the
// middle of a greeting nor, with Scan, before the scan has ended. A server that does not scan when
// it is asked to is an error.
func (c *Client) Run(ctx context.Context) error {
	c.states = make(map[string]string)
	retry := backoff.Backoff{Min: minRetry, Max: maxRetry}
	for {
		since, final, err := c.connect(ctx)
		good := !since.IsZero()
		switch {
		case ctx.Err() != nil:
			return nil
		case final:
			return err
		case c.Once:
			return fmt.Errorf("follow %s: %s", c.Server, reason(err))
		case good && time.Since(since) >= stableAfter:
			retry.Reset()
		}
		c.logNoConnection(good, err)
		if !retry.Wait(ctx) {
			return nil
		}
	}
}

// connect follows one connection to its end. It returns since when the connection
// was good, zero if it never was, and why it ended: io.EOF if the server closed
// it. It is final if Handle fails, after Scan or a server that does not scan, and with Once
// when the server has ended a connection that was good.
func (c *Client) connect(ctx context.Context) (since time.Time, final bool, err error) {
	conn, err := c.Dial(ctx)
	c.answered = err == nil
	if err != nil {
		return since, false, oserr.Cause(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	s := newSession(conn)
	var events []wire.Event // came together with the next line, and not yet handled
	greetings := 0
	for {
		m, err := s.next()
		if s.good && since.IsZero() {
			since = time.Now()
			c.logConnection()
		}
		events = c.apply(m, events)
		switch {
		case !c.Scan:
		case m.greeting != nil && m.event.Targets > 0:
			if greetings++; greetings == 1 {
				s.send("\n"+wire.Scan+"\n", blankInterval) // the first line may be spoiled, as at repeatWord
			}
		case greetings == 0 && m.event.Type != "" && m.event.Targets <= 0:
			return since, true, fmt.Errorf("follow %s: it does not scan when it is asked to: not a net-watcher server?", c.Server)
		}
		err = cmp.Or(err, c.forget())
		scanned := greetings == 2
		if len(events) > 0 && (err != nil || scanned || !s.lines.ready()) {
			if err := c.Handle(events); err != nil {
				return since, true, err
			}
			events = nil
		}
		if scanned {
			return since, true, nil
		}
		if err != nil {
			if c.Once && !c.Scan && s.good && !s.inGreeting() && (err == io.EOF || oserr.IsReset(err)) {
				return since, true, nil
			}
			return since, false, err
		}
	}
}

// reason returns why there is no connection any more, or none yet, as messages show it.
func reason(err error) string {
	if err == io.EOF {
		return "the server closed the connection"
	}
	return err.Error()
}

// apply notes what m says about its target, and appends to events the change that
// m is, or a Missed if the target changed while there was no connection.
func (c *Client) apply(m message, events []wire.Event) []wire.Event {
	if m.note != "" {
		c.Log.Print(m.note)
	}
	last, known := c.states[m.target]
	switch e := m.event; e.Type {
	case wire.Watching:
		c.note(m.target, e.State)
		// A server without states may have missed anything.
		if known && (e.State != last || e.State == "" && m.first) {
			events = append(events, e.AsMissed(time.Now().UnixMilli()))
		}
		if m.greeting != nil && (c.targets == nil || e.Targets > 0) {
			c.greeted(m.greeting)
		}
	case wire.Changed:
		if known {
			c.note(m.target, e.State)
		} else if m.last != "" {
			e.File = m.last
		}
		events = append(events, e)
	}
	return events
}

// note notes the state of a target.
func (c *Client) note(target, state string) {
	last, known := c.states[target]
	if !known {
		c.size += len(target)
	}
	c.size += len(state) - len(last)
	c.states[target] = state
}

// forget forgets all targets if the server has named more than a client keeps, and returns
// an error then.
func (c *Client) forget() error {
	if c.size <= maxStates {
		return nil
	}
	c.size = 0
	clear(c.states)
	clear(c.targets)
	return fmt.Errorf("the server has named targets in more than %d MiB", maxStates>>20)
}

// greeted calls Begun at the first greeting, and logs how the targets of a later
// one differ from those of the last.
func (c *Client) greeted(targets map[string]int) {
	if c.targets == nil {
		c.Begun()
	} else {
		c.logAdded(c.targets, targets, "now watches %s too")
		c.logAdded(targets, c.targets, "no longer watches %s")
	}
	c.targets = targets
}

// logAdded logs each target that is in after and not in before.
func (c *Client) logAdded(before, after map[string]int, format string) {
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] == 0 {
			c.Log.Printf("%s "+format, c.Server, wire.Printable(name))
		}
	}
}

// logConnection logs that the connection is good: the server sends JSON.
func (c *Client) logConnection() {
	format := "following %s"
	if c.everConnected {
		format = "reconnected to %s"
	}
	c.Log.Printf(format, c.Server)
	c.everConnected, c.saidRetrying, c.saidOther = true, false, false
}

// logNoConnection logs that there is no connection any more, or still none, and
// why. Without Verbose it logs only the first of several failed attempts, and the first
// at which there was something to connect to: that is another kind of trouble.
func (c *Client) logNoConnection(wasGood bool, err error) {
	why := reason(err)
	if wasGood {
		c.Log.Printf("connection to %s lost: %s", c.Server, why)
	} else if !c.saidRetrying || c.answered && !c.saidOther || c.Verbose {
		c.Log.Printf("cannot connect to %s, retrying: %s", c.Server, why)
		c.saidRetrying, c.saidOther = true, c.saidOther || c.answered
	}
}
