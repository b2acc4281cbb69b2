package proof

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// Plain makes lines of what a server sends over a socket. The zero value is ready for use.
type Plain struct{ rest []byte }

// Lines returns the lines that are complete with b, and no error, as Stream.Lines does.
func (p *Plain) Lines(b []byte) (lines []string, err error) {
	p.rest = append(p.rest, b...)
	end := bytes.LastIndexByte(p.rest, '\n') + 1
	for line := range bytes.Lines(p.rest[:end]) {
		lines = append(lines, string(line))
	}
	p.rest = bytes.Clone(p.rest[end:])
	return lines, nil
}

// Stream reads what a server answers to requests over HTTP, the last of which is GET
// /events, strictly as docs/protocol.md has it. The zero value is ready for use.
type Stream struct {
	rest   []byte // not read yet
	events bool   // the head of the last answer was read
	field  string // the line since the last empty one, "" if there was none
}

// Lines returns the data of each event that is complete with b. The error says what is
// none of the protocol; what comes after that means nothing.
func (s *Stream) Lines(b []byte) (lines []string, err error) {
	s.rest = append(s.rest, b...)
	for !s.events {
		if ok, err := s.answer(); !ok {
			return nil, err
		}
	}
	for {
		line, rest, ok := bytes.Cut(s.rest, []byte("\n"))
		if !ok {
			return lines, nil
		}
		s.rest = bytes.Clone(rest)
		data, isData := strings.CutPrefix(s.field, "data: ")
		switch now := string(line); {
		case now == "" && s.field == "", now != "" && s.field != "":
			return lines, fmt.Errorf("%q follows %q in an event stream", now, s.field)
		case now != "" && now != ":" && now != "retry: 1000" && !strings.HasPrefix(now, "data: {"):
			return lines, fmt.Errorf("%q is no line of an event stream", now)
		case now != "":
			s.field = now
		default:
			if s.field = ""; isData {
				lines = append(lines, data)
			}
		}
	}
}

// answer reads one answer, if it is complete, or the head of the last one.
func (s *Stream) answer() (ok bool, err error) {
	end := bytes.Index(s.rest, []byte("\r\n\r\n"))
	if end < 0 {
		return false, nil
	}
	a, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(s.rest)), nil)
	if err != nil {
		return false, err
	}
	kind, body := a.Header.Get("Content-Type"), int64(len(s.rest)-end-4)
	switch s.events = kind == "text/event-stream"; {
	case a.StatusCode != http.StatusOK && a.StatusCode != http.StatusServiceUnavailable, s.events == (a.ContentLength >= 0):
		return false, fmt.Errorf("the answer is %s, %q, of %d bytes", a.Status, kind, a.ContentLength)
	case body < a.ContentLength:
		return false, nil
	}
	s.rest = bytes.Clone(s.rest[int64(end)+4+max(0, a.ContentLength):])
	return true, nil
}
