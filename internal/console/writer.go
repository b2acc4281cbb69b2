// Package console writes the log of the program, stderr, and never makes
// the rest of the program wait for a blocked reader. It also writes stdout, which
// does wait.
//
// Output writes all there is to a descriptor that others may have made
// non-blocking, and knows when nobody reads it any more. Writer never blocks: a terminal after Ctrl-S or a full pipe costs log lines,
// not scans. ConnLog limits the lines about subscribers to ten a second. Only
// package main makes them; both may be used from any goroutine.
package console

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxBuffered is how much a Writer keeps, in bytes: with -v, the changes of
	// some 50,000 files.
	maxBuffered = 4 << 20

	// waitTimeout is the longest time that Wait takes.
	waitTimeout = time.Second
)

// Writer passes lines on to another writer in a goroutine of its own, which ends
// when nothing is left. It keeps up to 4 MiB while the other one blocks, and
// counts the lines beyond that.
type Writer struct {
	to Output

	mu      sync.Mutex    // guards the fields below
	lines   []byte        // not yet taken by flush
	dropped int           // lines after those in lines that had no room
	empty   chan struct{} // closed when all is written; nil if nothing is pending
	stuck   bool          // a Wait timed out, and nothing was written since
}

// NewWriter returns a Writer that writes to to.
func NewWriter(to io.Writer) *Writer { return &Writer{to: NewOutput(to)} }

// Write takes one or more whole lines. It never blocks, and never fails.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped > 0 || len(w.lines)+len(lines) > maxBuffered {
		w.dropped++
	} else {
		w.lines = append(w.lines, lines...)
	}
	if w.empty == nil {
		w.empty = make(chan struct{})
		go w.flush()
	}
	return len(lines), nil
}

// flush writes until nothing is left. A write to a blocked terminal or pipe
// cannot be cancelled, so nothing waits for this goroutine without a timeout.
func (w *Writer) flush() {
	for lines := w.take(); lines != nil; lines = w.take() {
		w.to.Write(lines) // there is no place to report an error to
	}
}

// take returns what is to be written next, or nil if nothing is left.
func (w *Writer) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, dropped := w.lines, w.dropped
	w.lines, w.dropped, w.stuck = nil, 0, false
	if dropped > 0 {
		lines = fmt.Appendf(lines, "%d log lines dropped while stderr was blocked\n", dropped)
	}
	if lines == nil {
		close(w.empty)
		w.empty = nil
	}
	return lines
}

// Wait returns when all lines are written, but after 1 s at the latest, and at
// once if the last Wait timed out and nothing was written since. Call it at the
// end of the program, and before writing to stdout what must follow the log on
// the same terminal.
func (w *Writer) Wait() {
	w.mu.Lock()
	empty, stuck := w.empty, w.stuck
	w.mu.Unlock()
	if empty == nil || stuck {
		return
	}
	select {
	case <-empty:
	case <-time.After(waitTimeout):
		w.mu.Lock()
		w.stuck = w.empty == empty
		w.mu.Unlock()
	}
}
