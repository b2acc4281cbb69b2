package follow

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

const (
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
type session struct {
	lines    lineReader
	good     bool           // a JSON line has come: this is a net-watcher server
	quoted   []byte         // the beginning of what came before that
	greeting map[string]int // Watching lines of the greeting so far, by File
	lineNo   int            // of the last of these in its greeting
	file     string         // of the last Watching line
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
}

func newSession(r io.Reader) *session {
	return &session{lines: lineReader{bufio.NewReaderSize(r, maxLine+len("\r\n"))}, greeting: make(map[string]int)}
}

// next waits for a line. The message is the zero one if the line is blank, or is
// text that the server sent before it read the word json. An error is final.
func (s *session) next() (message, error) {
	line, err := s.lines.next()
	switch {
	case err != nil && s.good:
		return message{}, oserr.Cause(err)
	case err != nil:
		s.quote(line)
		return message{}, s.notAServer(err)
	case len(bytes.TrimSpace(line)) == 0:
		return message{}, nil
	case !s.good && line[0] != '{':
		s.quote(line)
		return message{}, nil
	}
	e, err := wire.Decode(line)
	s.good = s.good || err == nil
	return s.message(e), err
}

// message returns e with its place in the greeting.
func (s *session) message(e wire.Event) message {
	if e.Type != wire.Watching {
		e.File = cmp.Or(e.File, s.file)
		return message{event: e, target: e.TargetName()}
	}
	before := s.greeting[e.File]
	m := message{event: e, target: e.File, first: before == 0}
	if before > 0 && e.Targets > 0 {
		m.target += fmt.Sprint("\x00", before)
	}
	s.file = e.File
	s.greeting[e.File]++
	s.lineNo++
	switch e.Targets {
	case 0:
		m.greeting = s.greeting
	case s.lineNo:
		m.greeting = s.greeting
		s.greeting, s.lineNo = make(map[string]int), 0
	}
	return m
}

// quote keeps what a server sends before its first JSON line, up to maxQuoted.
func (s *session) quote(line []byte) {
	s.quoted = append(s.quoted, line[:min(len(line), maxQuoted-len(s.quoted))]...)
}

// notAServer returns the error for a connection that err has ended before a JSON
// line came.
func (s *session) notAServer(err error) error {
	sent := "nothing"
	if len(s.quoted) > 0 {
		sent = fmt.Sprintf("%q", s.quoted)
	}
	why := " before it closed the connection"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		why = fmt.Sprintf(" within %v", greetingTimeout)
	} else if err != io.EOF {
		why = fmt.Sprintf(": %v", oserr.Cause(err))
	}
	return fmt.Errorf("not a net-watcher server? no JSON line%s; it sent %s", why, sent)
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

// ready reports whether next would return a whole line without waiting.
func (r lineReader) ready() bool {
	buf, _ := r.in.Peek(r.in.Buffered())
	return bytes.IndexByte(buf, '\n') >= 0
}
