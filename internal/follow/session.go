package follow

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

const (
	// greetingTimeout is how long a server may take until its first JSON line:
	// more than the 5 s after which it greets without the end of its first scan.
	greetingTimeout = 10 * time.Second

	// repeatWord is how long the client waits for JSON before it sends the word
	// again, once. A proxy that sends a PROXY protocol header, which has no line
	// end, spoils the first line of a subscriber; a server that has read the
	// word does not mind the second.
	repeatWord = time.Second

	// blankInterval is how often the client sends a blank line. Proxies cut a
	// connection without traffic: haproxy after 50 s in Debian's configuration.
	blankInterval = 30 * time.Second

	// sendTimeout is how long it may take to send such a line, which a socket's
	// buffer takes at once.
	sendTimeout = time.Second

	// quoteTimeout is how long a server that is no net-watcher may take to end the
	// line that the error quotes: a prompt has no end.
	quoteTimeout = time.Second

	// maxLine is the longest line that a client accepts, in bytes without its
	// end. A line has at most two paths, and JSON makes a path of 4 KiB, the
	// longest of Linux, at most six times as long: that is a twentieth of it.
	maxLine = 1 << 20

	// maxQuoted is how much of what is not JSON an error quotes, in bytes: enough
	// for the first line of an SSH, HTTP or SMTP server.
	maxQuoted = 60
)

// session is one connection to a server: it makes messages of the lines, and knows
// nothing about earlier connections.
//
// The server speaks first, and the client as little as it can: a server of another
// kind may fail on what it does not expect. One that begins with JSON is sent
// nothing, one that begins with a text line the word json, and one that has states,
// as only a net-watcher does, blank lines from then on.
type session struct {
	conn     net.Conn
	lines    lineReader
	good     bool           // a JSON line has come: this is a net-watcher server
	end      time.Time      // of the wait for that line
	asked    bool           // the word json was sent
	due      time.Time      // when the next line is to be sent; zero for never
	quoted   []byte         // the beginning of what came before the first JSON line
	greeting map[string]int // Watching lines of the greeting so far, by File
	lineNo   int            // of the last of these in its greeting
	file     string         // of the last Watching line
	unknown  bool           // a line of an unknown type has come
}

// message is a JSON line, and its place in the greeting.
type message struct {
	event  wire.Event // with a File, even if the server left it out
	target string     // unique, unlike its name: two targets may have one name in JSON
	first  bool       // no line of this greeting before had this File

	// greeting has the number of targets by name. It is not nil on the last line
	// of a greeting, and on each line from a server that does not say how many
	// targets it has: then the next lines are added to the same map.
	greeting map[string]int

	// Of a line of an unknown type: the File of the last Watching line, which the
	// line is about if it names no target, and on the first one a note for the log.
	last, note string
}

func newSession(conn net.Conn) *session {
	s := &session{conn: conn, end: time.Now().Add(greetingTimeout), greeting: make(map[string]int)}
	s.lines = lineReader{bufio.NewReaderSize(s, maxLine+len("\r\n"))}
	return s
}

// Read reads what the server sends, and sends what is due meanwhile. It waits no
// longer than for the first JSON line to come in time.
func (s *session) Read(p []byte) (int, error) {
	for {
		until := s.end
		if !s.due.IsZero() && (s.good || s.due.Before(s.end)) {
			until = s.due
		}
		s.conn.SetReadDeadline(until)
		n, err := s.conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || until != s.due {
			return n, err
		}
		if s.good {
			s.send("\n", blankInterval)
		} else {
			s.send("json\n", 0)
		}
	}
}

// send sends a line. The next one is due after that time, or never if it is 0. If
// there is no connection any more, the next read says why.
func (s *session) send(line string, next time.Duration) {
	now := time.Now()
	s.due = time.Time{}
	if next > 0 {
		s.due = now.Add(next)
	}
	s.conn.SetWriteDeadline(now.Add(sendTimeout))
	io.WriteString(s.conn, line)
}

// next waits for a line. The message is the zero one if the line is blank, or is
// text that the server sent before it read the word json. An error is final.
func (s *session) next() (message, error) {
	if !s.good {
		return s.nextBeforeJSON()
	}
	line, err := s.lines.next()
	if err != nil {
		return message{}, oserr.Cause(err)
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return message{}, nil
	}
	return s.decode(line)
}

// nextBeforeJSON is next until a JSON line has come.
func (s *session) nextBeforeJSON() (message, error) {
	first := s.lines.first()
	isText := '0' <= first && first <= '9' // as the time in our text lines
	if first != 0 && first != '{' && !isText {
		s.end = time.Now().Add(quoteTimeout)
	}
	line, err := s.lines.next()
	if err == nil && first == '{' {
		return s.decode(line)
	}
	s.quoted = append(s.quoted, line[:min(len(line), maxQuoted-len(s.quoted))]...)
	if err != nil || !isText {
		return message{}, s.notAServer(err)
	}
	if !s.asked {
		s.asked = true
		s.send("json\n", repeatWord)
	}
	return message{}, nil
}

// decode makes a message of a JSON line.
func (s *session) decode(line []byte) (message, error) {
	e, err := wire.Decode(line)
	if err != nil {
		return message{}, err
	}
	if !s.good {
		s.good, s.end, s.due = true, time.Time{}, time.Time{}
	}
	if e.Type == wire.Watching && e.State != "" && s.due.IsZero() {
		s.due = time.Now().Add(blankInterval)
	}
	return s.message(e), nil
}

// message returns e with its place in the greeting, and with what a server of
// another kind may have left out.
func (s *session) message(e wire.Event) message {
	if e.Type != wire.Watching {
		e.Timestamp = cmp.Or(e.Timestamp, time.Now().UnixMilli())
		if e.Type != wire.Changed {
			return s.unknownType(e)
		}
		e.File = cmp.Or(e.File, s.file)
		e.Change = knownChange(e.Change)
		return message{event: e, target: e.TargetName()}
	}
	before := s.greeting[e.File]
	m := message{event: e, target: e.File, first: before == 0}
	if before > 0 && e.Targets > 0 {
		m.target += fmt.Sprint("\x00", before)
	}
	s.file = e.File
	s.greeting[e.File]++
	if e.Targets == 0 {
		m.greeting = s.greeting
		return m
	}
	if s.lineNo++; s.lineNo == e.Targets {
		m.greeting = s.greeting
		s.greeting, s.lineNo = make(map[string]int), 0
	}
	return m
}

// inGreeting reports whether a greeting has begun and not ended.
func (s *session) inGreeting() bool { return s.lineNo > 0 }

// unknownType returns the message of a line that is neither Watching nor Changed:
// something happened, so it is a Missed.
func (s *session) unknownType(e wire.Event) message {
	m := message{target: e.TargetName(), last: s.file}
	if !s.unknown {
		s.unknown = true
		m.note = fmt.Sprintf("the server sent a line of type %.*q, which this client does not know; taken as missed", maxQuoted, e.Type)
	}
	e.File = m.target
	m.event = e.AsMissed(e.Timestamp)
	s.file = cmp.Or(s.file, m.target) // a later line may name no file
	return m
}

// knownChange returns c, or Modified if this client does not know c.
func knownChange(c wire.Change) wire.Change {
	switch c {
	case wire.Created, wire.Removed, wire.Unreadable, wire.Readable, wire.Missed:
		return c
	}
	return wire.Modified
}

// notAServer returns the error for a connection on which no JSON line came. It has
// ended with err, or, if that is nil, with a line that no net-watcher sends.
func (s *session) notAServer(err error) error {
	silent := len(s.quoted) == 0
	sent := fmt.Sprintf("it sent %q", s.quoted)
	switch timeout := errors.Is(err, os.ErrDeadlineExceeded); {
	case silent && (err == io.EOF || oserr.IsReset(err)):
		return errors.New("it closed the connection before sending anything: is the server behind it running? (ssh -L, kubectl port-forward and full servers do that)")
	case silent && err != nil && !timeout:
		return oserr.Cause(err) // of the network, or of TLS
	case silent && timeout:
		sent = fmt.Sprintf("it sent nothing for %v (if it wants TLS: tls://HOST:PORT; if it is for HTTP: give an address without http://)", greetingTimeout)
	case timeout && s.asked:
		sent += fmt.Sprintf(", and no JSON line within %v", greetingTimeout)
	case err == io.EOF:
		sent += " and closed the connection"
	case err != nil && !timeout:
		sent += fmt.Sprintf(": %v", oserr.Cause(err))
	}
	return fmt.Errorf("not a net-watcher server? %s", sent)
}

// lineReader makes lines of what a server sends.
type lineReader struct{ in *bufio.Reader }

// next waits for a line and returns it without its end; it is valid until the
// next call. With an error it returns the beginning of a line.
func (r lineReader) next() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	line = bytes.TrimRight(line, "\r\n")
	if err == bufio.ErrBufferFull || len(line) > maxLine {
		err = fmt.Errorf("the server sent a line of more than %d bytes", maxLine)
	}
	return line, err
}

// first waits for a byte that is no blank, and returns it; it stays to be read. It
// returns 0 if there comes none: then next returns the error.
func (r lineReader) first() byte {
	for {
		b, err := r.in.Peek(1)
		if err != nil {
			return 0
		}
		if !bytes.ContainsAny(b, " \t\r\n") {
			return b[0]
		}
		r.in.Discard(1)
	}
}

// ready reports whether next would return a whole line without waiting.
func (r lineReader) ready() bool {
	buf, _ := r.in.Peek(r.in.Buffered())
	return bytes.IndexByte(buf, '\n') >= 0
}
