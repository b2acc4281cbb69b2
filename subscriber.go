package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"net-watcher/internal/feed"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

const (
	// writePiece is how many bytes are written to a subscriber at a time, and
	// writeTimeout how long that may take (10 s, as in NATS).
	writePiece   = 64 << 10
	writeTimeout = 10 * time.Second

	// sendBuffer is how many bytes the kernel is asked to hold for a subscriber: a
	// piece. Left alone, Linux lets that grow to some 4 MB.
	sendBuffer = writePiece

	// maxWord is the longest line of a subscriber that may be a word, in bytes.
	maxWord = 256

	// readInterval is the time between two reads from a subscriber, so that a
	// flood of words or of anything else costs next to nothing. A read takes
	// readBuffer bytes, and floodBuffer after one that was full, so that the end
	// of a flood is noticed soon.
	readInterval = 10 * time.Millisecond
	readBuffer   = 64
	floodBuffer  = 4 << 10

	// shutdownGrace is how long a subscriber that is closed may take to receive
	// what is being written, and drainTimeout how long what it sent is read.
	shutdownGrace = 200 * time.Millisecond
	drainTimeout  = 20 * time.Millisecond
	maxDrainReads = 1000
)

// subscriber is one connection. One goroutine reads from it. The goroutine that has
// the flush token of its reader writes to it: one that flushes many, or, when
// that would wait, one that ends with the wait. The last of them closes it.
type subscriber struct {
	server  *server
	conn    net.Conn
	format  wire.Format // in which it begins
	counted string      // its transport
	reader  feed.Reader
	words   words
	buf     []byte // to read into
	arrived bool   // it has sent something or stayed for visitTime, and the console has it
	quiet   bool   // the console has only an end that has a reason

	writer tryWriter // of the goroutine that has the flush token

	deadline atomic.Pointer[time.Time] // of all writing; nil before it begins to close
	reason   atomic.Pointer[string]    // why it is closed, for the console
}

// newSubscriber returns a subscriber at conn, of a transport, which is yet to join the
// feed in a format.
func newSubscriber(s *server, conn net.Conn, transport string, format wire.Format) *subscriber {
	if c, ok := conn.(interface{ SetWriteBuffer(int) error }); ok {
		c.SetWriteBuffer(sendBuffer)
	}
	u := &subscriber{server: s, conn: conn, format: format, counted: transport, buf: make([]byte, readBuffer)}
	switch c := conn.(type) {
	case nowWriter:
		u.writer.conn = c
	case syscall.Conn:
		u.writer.socket, _ = c.SyscallConn()
	}
	u.writer.try = u.writer.tryWrite
	return u
}

// serve sends the feed to the subscriber, which the console calls peer, until
// either side closes the connection.
func (u *subscriber) serve(peer string) {
	s, f := u.server, u.server.feed
	now, ok := f.Join(&u.reader, u, u.format)
	if !ok {
		u.close()
		return
	}
	s.counts.subscribe(u.counted, 1)
	u.Flush()
	if s.all {
		u.arrive(peer, now)
	} else {
		u.setReadDeadline(time.Now().Add(visitTime))
	}

	reason := u.readCommands(peer)
	s.forgetScan(u)
	if u.deadline.Load() != nil { // and the peer has not left
		u.arrive(peer, f.Count())
	}
	u.beginClose()
	u.drain()
	now, flushing := f.Leave(&u.reader)
	s.counts.subscribe(u.counted, -1)
	if !flushing {
		u.close()
	}
	switch {
	case u.quiet && reason == "":
	case u.arrived:
		s.report("disconnected", peer, reason, now)
	default:
		s.countVisit()
	}
}

// arrive logs once that the subscriber is there.
func (u *subscriber) arrive(peer string, now int) {
	if u.arrived {
		return
	}
	u.arrived = true
	if !u.quiet {
		u.server.report("connected", peer, "", now)
	}
}

// setReadDeadline sets the end of reading, unless the subscriber begins to close: then
// that is now.
func (u *subscriber) setReadDeadline(t time.Time) {
	u.conn.SetReadDeadline(t)
	if u.deadline.Load() != nil { // maybe since before the line above
		u.conn.SetReadDeadline(time.Now())
	}
}

// readCommands does as the subscriber says, until either side begins to close. It
// returns the reason, or "" if that is regular.
func (u *subscriber) readCommands(peer string) string {
	for {
		b, err := u.read()
		stays := errors.Is(err, os.ErrDeadlineExceeded) && u.deadline.Load() == nil
		if !u.arrived && (len(b) > 0 || stays) {
			u.arrive(peer, u.server.feed.Count())
			u.setReadDeadline(time.Time{})
		}
		var to *wire.Format
		scan := false
		if u.format != wire.SSE { // HTTP has no words
			to, scan = u.words.find(b)
		}
		if to != nil && u.server.feed.Switch(&u.reader, *to) {
			u.Flush()
		}
		if scan {
			u.server.requestScan(u)
		}
		switch {
		case stays:
		case err != nil:
			if reason := u.reason.Load(); reason != nil {
				return *reason
			}
			if err == io.EOF || u.deadline.Load() != nil {
				return ""
			}
			return oserr.Cause(err).Error()
		case len(b) > 0:
			time.Sleep(readInterval)
		}
	}
}

// read returns what the peer has sent, which is valid until the next read.
func (u *subscriber) read() ([]byte, error) {
	n, err := u.conn.Read(u.buf)
	b := u.buf[:n]
	if n == readBuffer && len(u.buf) == readBuffer {
		u.buf = make([]byte, floodBuffer)
	}
	return b, err
}

// Flush writes what needs no waiting, and leaves the rest to a goroutine of its
// own: a Frame that is not encoded yet, and what the socket does not take now.
func (u *subscriber) Flush() {
	for {
		frame, state := u.server.feed.Next(&u.reader)
		if state == feed.Left {
			u.close()
		}
		if state != feed.More {
			return
		}
		n := 0
		if frame.Encoded() {
			lines := frame.Lines()
			var err error
			n, err = u.writer.write(lines)
			u.server.counts.sent.Add(int64(n))
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded): // between two lines: a regular end
				u.close()
				return
			case err != nil:
				u.fail(err)
				return
			case n == len(lines):
				continue
			}
		}
		u.server.wg.Add(1)
		go u.flushBlocking(frame, n)
		return
	}
}

// flushBlocking writes a frame, but for the first n bytes, and all that the feed
// has after it.
func (u *subscriber) flushBlocking(frame feed.Frame, n int) {
	defer u.server.wg.Done()
	state := feed.More
	for ; state == feed.More; n = 0 {
		if err := u.write(frame.Lines()[n:]); err != nil {
			u.fail(err)
			return
		}
		frame, state = u.server.feed.Next(&u.reader)
	}
	if state == feed.Left {
		u.close()
	}
}

// write writes the lines in pieces, with writeTimeout for each.
func (u *subscriber) write(lines []byte) error {
	for piece := range slices.Chunk(lines, writePiece) {
		u.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if t := u.deadline.Load(); t != nil { // maybe since before the line above
			u.conn.SetWriteDeadline(*t)
		}
		n, err := u.conn.Write(piece)
		u.server.counts.sent.Add(int64(n))
		if err != nil {
			return err
		}
	}
	u.conn.SetWriteDeadline(time.Time{}) // or else it would hold for the tryWriter
	return nil
}

// Drop ends the connection soon, for this reason, "" for a regular end.
func (u *subscriber) Drop(reason string) {
	if u.reason.CompareAndSwap(nil, &reason) {
		u.beginClose()
	}
}

// fail ends the connection after an error in writing.
func (u *subscriber) fail(err error) {
	reason := oserr.Cause(err).Error()
	switch {
	case errors.Is(err, io.ErrClosedPipe): // by the other end, in this process
		reason = ""
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = fmt.Sprintf("dropped: reads too slowly (a %d KiB write took more than %v)", writePiece>>10, writeTimeout)
	}
	if u.deadline.Load() == nil && u.reason.CompareAndSwap(nil, &reason) && errors.Is(err, os.ErrDeadlineExceeded) {
		u.server.counts.drop("slow")
	}
	if c, ok := u.conn.(interface{ SetLinger(int) error }); ok {
		c.SetLinger(0) // or else the kernel would go on sending for minutes
	}
	u.close()
}

// beginClose ends a read at once and a write soon.
func (u *subscriber) beginClose() {
	now := time.Now()
	end := now.Add(shutdownGrace)
	u.deadline.CompareAndSwap(nil, &end)
	u.conn.SetReadDeadline(now)
	u.conn.SetWriteDeadline(*u.deadline.Load())
}

// drain reads what the peer has sent, within reason: to close a connection
// with unread input would reset it, and cost the peer the last lines.
func (u *subscriber) drain() {
	u.conn.SetReadDeadline(time.Now().Add(drainTimeout))
	for range maxDrainReads {
		if _, err := u.read(); err != nil {
			return
		}
	}
}

func (u *subscriber) close() {
	u.conn.Close()
	u.server.conns.Add(-1)
}

// words finds the words that a subscriber sends, one a line, in a stream of
// anything. The zero value is ready for use.
type words struct {
	line []byte // so far, but for what is beyond maxWord and one more
}

// find returns the last format that the next bytes of the stream ask for, or nil, and
// whether they ask for a scan.
func (w *words) find(b []byte) (last *wire.Format, scan bool) {
	for {
		part, rest, ended := bytes.Cut(b, []byte("\n"))
		w.line = append(w.line, part[:min(len(part), maxWord+1-len(w.line))]...)
		if !ended {
			return last, scan
		}
		if len(w.line) <= maxWord {
			word := string(bytes.Trim(w.line, " \t\r"))
			if f, ok := wire.ParseFormat(word); ok {
				last = &f
			}
			scan = scan || word == wire.Scan
		}
		w.line, b = nil, rest
	}
}

// nowWriter is a connection that can write without waiting, as tryWriter.write does.
type nowWriter interface {
	WriteNow([]byte) (int, error)
}

// tryWriter writes to a connection without waiting: by itself, or to its socket.
type tryWriter struct {
	conn   nowWriter             // nil if the connection is none
	socket syscall.RawConn       // nil if the connection has none
	try    func(fd uintptr) bool // tryWrite, bound once, so that a write allocates nothing

	lines []byte
	n     int
	err   error
}

// write writes as much of the lines as the socket takes now, maybe nothing. It
// returns how much that was.
func (w *tryWriter) write(lines []byte) (int, error) {
	switch {
	case w.conn != nil:
		return w.conn.WriteNow(lines)
	case w.socket == nil:
		return 0, nil
	}
	w.lines, w.n, w.err = lines, 0, nil
	if err := w.socket.Write(w.try); err != nil {
		return 0, err
	}
	w.lines = nil
	return w.n, w.err
}

func (w *tryWriter) tryWrite(fd uintptr) bool {
	w.n, w.err = writeNow(fd, w.lines)
	return true
}
