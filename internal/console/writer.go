// Package console writes the log of the program, stderr, and never makes
// the rest of the program wait for a blocked reader. It also writes stdout, which
// does wait.
//
// Output writes to a descriptor that others may have made non-blocking, and loses
// nothing; it also notices that the reader is gone. Writer never blocks: a terminal
// after Ctrl-S or a full pipe costs log lines, not scans. It puts the time before each
// line where nothing else does. Limiter lets ten lines a second pass, and counts the
// others. Only package main makes them; all may be used from any goroutine.
package console

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// maxBuffered is how much a Writer keeps, in bytes: with -v, the changes of
	// some 50,000 files.
	maxBuffered = 4 << 20

	// waitTimeout is the longest time that Wait takes.
	waitTimeout = time.Second

	// timeLayout is RFC 3339 with milliseconds, as in the text lines of a server.
	timeLayout = "2006-01-02T15:04:05.000-07:00 "
)

// Writer passes lines on to another writer in a goroutine of its own, which ends
// when nothing is left. It keeps up to 4 MiB while the other one blocks, and
// counts the lines beyond that.
type Writer struct {
	to    Output
	timed bool // each line begins with the time

	mu      sync.Mutex    // guards the fields below
	lines   []byte        // not yet taken by flush
	dropped int           // lines after those in lines that had no room
	empty   chan struct{} // closed when all is written; nil if nothing is pending
	stuck   bool          // a Wait timed out, and nothing was written since
}

// NewWriter returns a Writer that writes to to. Lines begin with the time if to is a
// file, unless that is a terminal, where somebody reads along, or the journal, which
// has times of its own.
func NewWriter(to io.Writer) *Writer {
	w := &Writer{to: NewOutput(to)}
	if file, ok := to.(*os.File); ok {
		info, err := file.Stat()
		w.timed = err == nil && info.Mode()&fs.ModeCharDevice == 0 && !isJournal(info)
	}
	return w
}

// Write takes one or more whole lines. It never blocks, and never fails.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped > 0 || len(w.lines)+len(lines) > maxBuffered {
		w.dropped += bytes.Count(lines, []byte("\n"))
	} else {
		w.appendLocked(lines)
	}
	if w.empty == nil {
		w.empty = make(chan struct{})
		go w.flush()
	}
	return len(lines), nil
}

// appendLocked appends the lines to those to be written.
func (w *Writer) appendLocked(lines []byte) {
	for line := range bytes.Lines(lines) {
		if w.timed {
			w.lines = time.Now().AppendFormat(w.lines, timeLayout)
		}
		w.lines = append(w.lines, line...)
	}
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
	if w.dropped > 0 {
		w.appendLocked(fmt.Appendf(nil, "%d log lines dropped while stderr was blocked\n", w.dropped))
	}
	lines := w.lines
	w.lines, w.dropped, w.stuck = nil, 0, false
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
