package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxSpool is how much may wait in a spool, in bytes. With -v that is the
	// changes of 50,000 files.
	maxSpool = 4 << 20

	// spoolTime is how long wait waits.
	spoolTime = time.Second
)

// spool is what keeps a console that is read slowly or by nobody (Ctrl-S, a
// full pipe) from holding anyone up: what is written to it waits, up to a
// bound, for a goroutine that writes it on. It may be written to from any
// goroutine, whole lines at a time.
type spool struct {
	to io.Writer

	mu    sync.Mutex    // guards what follows
	lines []byte        // that wait
	lost  int           // lines after those for which there was no room
	empty chan struct{} // closed when nothing waits any more; nil if nothing does
	stuck bool          // wait has waited in vain, and nothing was written since
}

func newSpool(to io.Writer) *spool { return &spool{to: to} }

// Write never waits, and never fails.
func (s *spool) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost > 0 || len(s.lines)+len(line) > maxSpool {
		s.lost++
	} else {
		s.lines = append(s.lines, line...)
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
		go s.write()
	}
	return len(line), nil
}

// write writes all that waits. Like a call of the file system that hangs, a
// write to what nobody reads cannot be taken back: nothing waits for that.
func (s *spool) write() {
	for lines := s.take(); lines != nil; lines = s.take() {
		s.to.Write(lines) // nobody could be told of an error
	}
}

// take returns what waits, or nil if nothing does.
func (s *spool) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines, lost := s.lines, s.lost
	s.lines, s.lost, s.stuck = nil, 0, false
	if lost > 0 {
		lines = fmt.Appendf(lines, "%d log lines dropped while stderr was blocked\n", lost)
	}
	if lines == nil {
		close(s.empty)
		s.empty = nil
	}
	return lines
}

// wait waits until all has been written, but not for long, and not again if that
// was in vain: for the end of the program, and for what comes after it on the
// same terminal.
func (s *spool) wait() {
	s.mu.Lock()
	empty, stuck := s.empty, s.stuck
	s.mu.Unlock()
	if empty == nil || stuck {
		return
	}
	select {
	case <-empty:
	case <-time.After(spoolTime):
		s.mu.Lock()
		s.stuck = s.empty == empty
		s.mu.Unlock()
	}
}
