package follow

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"time"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

const (
	// A client pauses before it connects again, for a time drawn at random
	// between leastRetry and a limit that doubles with each try up to
	// mostRetry: the clients of a server that comes back do not all come at
	// once.
	leastRetry = 100 * time.Millisecond
	mostRetry  = 5 * time.Second

	// lasting is how long a connection must have been good for the limit to
	// begin anew.
	lasting = 5 * time.Second

	// helloTimeout is how long a server may take to say something in JSON.
	helloTimeout = 5 * time.Second

	// maxLine is the longest line that a client reads, in bytes without its end.
	maxLine = 1 << 20

	// maxHeard is how much of what is not JSON an error shows, in bytes.
	maxHeard = 60
)

// Client follows a server: it connects again whenever it must, and finds out
// what it missed. It is not for concurrent use.
type Client struct {
	Server  string // for the console
	Dial    func(context.Context) (net.Conn, error)
	Once    bool // end with the first connection
	Log     *log.Logger
	Verbose bool // log every try

	// Begun is called when the first greeting is complete.
	Begun func()

	// Handle is called with the Changed events, in order, as many as came at a
	// time. An error from it is final.
	Handle func([]wire.Event) error

	states map[string]string // of each target, after the last line about it
	served map[string]int    // the targets of the last complete greeting; nil before
	since  time.Time         // when the connection turned out to be good; zero before
	ever   bool              // there has been a good one
	trying bool              // the console has it that there is none
}

// handleError is an error of Client.Handle.
type handleError struct{ error }

// Run follows the server until ctx is done, Handle fails, or, with Once, the
// first connection fails or ends. It returns nil if that is as it should be.
func (c *Client) Run(ctx context.Context) error {
	c.states = make(map[string]string)
	limit := leastRetry
	for {
		err := c.connect(ctx)
		failed, final := errors.AsType[handleError](err)
		good := !c.since.IsZero()
		switch {
		case ctx.Err() != nil:
			return nil
		case final:
			return failed.error
		case c.Once && good && (err == io.EOF || oserr.IsReset(err)):
			return nil
		case c.Once:
			return fmt.Errorf("follow %s: %w", c.Server, err)
		case good && time.Since(c.since) >= lasting:
			limit = leastRetry
		}
		c.lost(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(leastRetry + rand.N(limit-leastRetry+1)):
		}
		limit = min(2*limit, mostRetry)
	}
}

// found notes that the connection is good: the server speaks JSON.
func (c *Client) found() {
	if c.ever {
		c.Log.Printf("reconnected to %s", c.Server)
	} else {
		c.Log.Printf("following %s", c.Server)
	}
	c.since, c.ever, c.trying = time.Now(), true, false
}

// lost notes that there is no connection, and why. The console has it once.
func (c *Client) lost(err error) {
	why := err.Error()
	if err == io.EOF {
		why = "the server closed the connection"
	}
	if !c.since.IsZero() {
		c.Log.Printf("connection to %s lost: %s", c.Server, why)
	} else if !c.trying || c.Verbose {
		c.Log.Printf("cannot connect to %s, retrying: %s", c.Server, why)
		c.trying = true
	}
	c.since = time.Time{}
}

// connect follows one connection to its end, and returns why it ended: io.EOF
// if the server ended it.
func (c *Client) connect(ctx context.Context) error {
	conn, err := c.Dial(ctx)
	if err != nil {
		return oserr.Cause(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	conn.SetDeadline(time.Now().Add(helloTimeout))
	if _, err := io.WriteString(conn, "json\n"); err != nil {
		return oserr.Cause(err)
	}
	s := newSession(c, conn)
	for {
		events, err := s.read()
		if s.good() {
			conn.SetDeadline(time.Time{})
		}
		if len(events) > 0 {
			if err := c.Handle(events); err != nil {
				return handleError{err}
			}
		}
		if err != nil {
			return err
		}
	}
}

// session is what a client knows of one connection.
type session struct {
	*Client
	in      *bufio.Reader
	greeted map[string]int // Watching lines of this greeting, by target
	lines   int            // of this greeting
	name    string         // the last target of which there was one
	heard   []byte         // before the first line of JSON
}

func newSession(c *Client, r io.Reader) *session {
	return &session{Client: c, in: bufio.NewReaderSize(r, maxLine+len("\r\n")), greeted: make(map[string]int)}
}

func (s *session) good() bool { return !s.since.IsZero() }

// read waits for a line, and takes in all others that have come by then. It
// returns the Changed events in them: those that are told, and a Missed for
// those that were not while there was no connection.
func (s *session) read() ([]wire.Event, error) {
	var events []wire.Event
	for more := true; more; more = s.hasLine() {
		line, err := s.in.ReadSlice('\n')
		line = bytes.TrimRight(line, "\r\n")
		if err == bufio.ErrBufferFull || len(line) > maxLine {
			err = fmt.Errorf("the server sent a line of more than %d bytes", maxLine)
		}
		switch {
		case err != nil && s.good():
			return events, oserr.Cause(err)
		case err != nil:
			s.hear(line)
			return events, s.noJSON(err)
		case len(bytes.TrimSpace(line)) == 0:
			continue
		case !s.good() && line[0] != '{':
			s.hear(line)
			continue
		}
		e, err := wire.Decode(line)
		if err != nil {
			return events, err
		}
		if !s.good() {
			s.found()
		}
		switch e.Type {
		case wire.Watching:
			if missed, ok := s.watching(e); ok {
				events = append(events, missed)
			}
		case wire.Changed:
			e.File = cmp.Or(e.File, s.name)
			target := e.TargetName()
			if _, ok := s.states[target]; ok {
				s.states[target] = e.State
			}
			events = append(events, e)
		}
	}
	return events, nil
}

// hasLine reports whether a whole line can be read without waiting.
func (s *session) hasLine() bool {
	buf, _ := s.in.Peek(s.in.Buffered())
	return bytes.IndexByte(buf, '\n') >= 0
}

// watching takes in a line of the greeting. It returns a Missed, and whether the
// target differs from what it was when it was last told of.
func (s *session) watching(e wire.Event) (missed wire.Event, ok bool) {
	s.name = e.File
	target, before := e.File, s.greeted[e.File]
	if before > 0 && e.Targets > 0 {
		target += fmt.Sprint("\x00", before) // two targets may have one name in JSON
	}
	last, known := s.states[target]
	s.states[target] = e.State
	s.greeted[e.File]++
	s.lines++
	switch {
	case s.lines == e.Targets:
		s.complete()
	case e.Targets == 0 && s.served == nil: // a server that does not say how many
		s.served = s.greeted
		s.Begun()
	}
	// A server without states may have missed anything.
	differs := e.State != last || e.State == "" && before == 0
	return e.AsMissed(time.Now().UnixMilli()), known && differs
}

// complete compares the targets of a whole greeting with those of the last.
func (s *session) complete() {
	if s.served == nil {
		s.Begun()
	} else {
		s.sayMore(s.greeted, s.served, "now watches %s too")
		s.sayMore(s.served, s.greeted, "no longer watches %s")
	}
	s.served, s.greeted, s.lines = s.greeted, make(map[string]int), 0
}

// sayMore says the same of each target that is in a and not in b.
func (s *session) sayMore(a, b map[string]int, what string) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if b[name] == 0 {
			s.Log.Printf("%s "+what, s.Server, wire.Printable(name))
		}
	}
}

// hear notes what a server says before the first line of JSON.
func (s *session) hear(line []byte) {
	s.heard = append(s.heard, line[:min(len(line), maxHeard-len(s.heard))]...)
}

// noJSON says what came of a server instead of JSON: it ended with err.
func (s *session) noJSON(err error) error {
	heard := "nothing"
	if len(s.heard) > 0 {
		heard = fmt.Sprintf("%q", s.heard)
	}
	why := fmt.Sprintf("no JSON line: %v", oserr.Cause(err))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		why = fmt.Sprintf("no JSON line within %v", helloTimeout)
	case err == io.EOF:
		why = "no JSON line before it closed the connection"
	}
	return fmt.Errorf("not a net-watcher server? %s; it sent %s", why, heard)
}
