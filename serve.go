package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writePiece is how much is written to a subscriber at a time, in bytes,
	// and writeTimeout how long that may take (10 s, as in NATS).
	writePiece   = 64 << 10
	writeTimeout = 10 * time.Second

	// sendBuffer is how much the kernel is asked to hold for a subscriber, in
	// bytes. Left alone, Linux lets that grow to some 4 MB.
	sendBuffer = 64 << 10

	// maxWord is the longest line of a subscriber that may be a word, in bytes.
	maxWord = 256

	// pause is what passes between two reads from a subscriber, so that a flood
	// of words or of anything else costs next to nothing.
	pause = 10 * time.Millisecond

	// grace is what a subscriber has at the end to take what is being written
	// to it, and drainTime what there is to read what it sent.
	grace     = 200 * time.Millisecond
	drainTime = 20 * time.Millisecond

	// complainEvery is how often the console has why nobody can be accepted.
	complainEvery = 10 * time.Second
)

// server tells a feed to everyone who connects.
type server struct {
	feed    *feed
	console *console
	format  format // until a subscriber asks for another

	wg sync.WaitGroup // every goroutine of serve
}

// newServer returns a server of f that speaks format to a subscriber that does
// not say what it wants. With all, no line about subscribers is left out of log.
func newServer(f *feed, format format, log *log.Logger, all bool) *server {
	return &server{feed: f, format: format, console: &console{log: log, all: all, count: f.count}}
}

// serve accepts subscribers from the listeners, which it closes, until ctx is
// done or a listener fails for good; the latter is the error it returns. By
// then all connections are closed and all goroutines have ended.
func (s *server) serve(ctx context.Context, listeners ...net.Listener) error {
	defer s.console.flush()
	defer s.wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	s.wg.Go(func() { s.wake(ctx) })
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		s.wg.Go(func() { failed <- s.accept(ctx, l) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	for _, l := range listeners {
		l.Close()
	}
	for _, r := range s.feed.close() {
		r.hurry()
	}
	return err
}

// wake starts serving the subscribers that wait whenever the feed has more.
func (s *server) wake(ctx context.Context) {
	var rs []*reader
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.feed.more:
		}
		rs = s.feed.waiting(rs[:0])
		for _, r := range rs {
			s.start(r)
		}
		clear(rs) // for the garbage collector
	}
}

// start serves r. It must be called from a goroutine of serve.
func (s *server) start(r *reader) {
	s.wg.Add(1)
	go r.serve()
}

// accept takes connections until ctx is done, and returns the error that keeps
// it from taking more.
func (s *server) accept(ctx context.Context, l net.Listener) error {
	const least, most = 5 * time.Millisecond, time.Second // as net/http
	delay := least
	var complained time.Time
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			delay = least
			s.wg.Go(func() { s.subscribe(l, conn) })
		case ctx.Err() != nil:
			return nil
		case isPassing(err):
			if time.Since(complained) >= complainEvery {
				s.console.log.Printf("cannot accept subscribers at %v for now: %v", l.Addr(), cause(err))
				complained = time.Now()
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(delay):
			}
			delay = min(2*delay, most)
		default:
			return fmt.Errorf("accept at %v: %w", l.Addr(), cause(err))
		}
	}
}

// subscriber is one connection.
type subscriber struct {
	reader
	conn  net.Conn
	words words

	deadline atomic.Pointer[time.Time] // of all writing; nil until the end is near
	fault    atomic.Pointer[string]    // why writing failed
}

// subscribe tells the feed to conn, until that is closed from either side.
// Two goroutines share a connection: this one reads, and one that writes comes
// when there is something to write. The last of them closes it.
func (s *server) subscribe(l net.Listener, conn net.Conn) {
	if c, ok := conn.(interface{ SetWriteBuffer(int) error }); ok {
		c.SetWriteBuffer(sendBuffer)
	}
	who := conn.RemoteAddr().String()
	if l.Addr().Network() == "unix" {
		who = printable(l.Addr().String()) // the peers have no names
	}

	u := &subscriber{conn: conn}
	u.reader.serve = func() { s.tell(u) }
	u.reader.hurry = u.hurry
	now, ok := s.feed.join(&u.reader, s.format)
	if !ok {
		conn.Close()
		return
	}
	s.start(&u.reader)
	s.console.connected(who, now)

	why := s.hear(u)
	u.hurry()
	u.drain()
	now, busy := s.feed.leave(&u.reader)
	if !busy {
		conn.Close()
	}
	s.console.disconnected(who, why, now)
}

// hear does as the subscriber says, until it closes its side or is ended. It
// returns why, or "" if there is nothing to say about that.
func (s *server) hear(u *subscriber) string {
	for {
		n, want, heard, err := u.words.read(u.conn)
		if heard && s.feed.ask(&u.reader, want) {
			s.start(&u.reader)
		}
		switch {
		case err != nil:
			if why := u.fault.Load(); why != nil {
				return *why
			}
			if err == io.EOF || u.deadline.Load() != nil {
				return ""
			}
			return cause(err).Error()
		case n > 0:
			time.Sleep(pause)
		}
	}
}

// tell writes what the feed has for the subscriber.
func (s *server) tell(u *subscriber) {
	defer s.wg.Done()
	for {
		lines, gone := s.feed.next(&u.reader)
		if gone {
			u.conn.Close()
			return
		}
		if lines == nil {
			return
		}
		if err := u.write(lines); err != nil {
			why := cause(err).Error()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				why = fmt.Sprintf("it reads too slowly, a write took over %v", writeTimeout)
			}
			u.fault.Store(&why)
			u.reset()
			return
		}
	}
}

// write writes the lines in pieces, each in its time.
func (u *subscriber) write(lines []byte) error {
	for piece := range slices.Chunk(lines, writePiece) {
		u.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if t := u.deadline.Load(); t != nil { // maybe since before the line above
			u.conn.SetWriteDeadline(*t)
		}
		if _, err := u.conn.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// hurry ends a read at once and a write soon.
func (u *subscriber) hurry() {
	now := time.Now()
	end := now.Add(grace)
	u.deadline.CompareAndSwap(nil, &end)
	u.conn.SetReadDeadline(now)
	u.conn.SetWriteDeadline(*u.deadline.Load())
}

// drain reads what the peer has sent, within reason: to close a connection
// with unread input would reset it, and cost the peer the last lines. To be
// called when words is no longer in use.
func (u *subscriber) drain() {
	u.conn.SetReadDeadline(time.Now().Add(drainTime))
	for range 1000 {
		if _, err := u.conn.Read(u.words.buf[:]); err != nil {
			return
		}
	}
}

// reset closes the connection and what of it the kernel would go on sending,
// for minutes, to a peer that takes nothing.
func (u *subscriber) reset() {
	if c, ok := u.conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	u.conn.Close()
}

// words finds the words that a subscriber sends, one a line, in a stream of
// anything. The zero value is ready for use.
type words struct {
	buf  [maxWord + len("\n")]byte
	n    int  // bytes of an unfinished line in buf
	long bool // the line that goes on is too long to be a word
}

// read reads once from r. It returns the number of bytes read, the last format
// that they ask for, whether there was one, and the error of r.
func (w *words) read(r io.Reader) (n int, want format, heard bool, err error) {
	n, err = r.Read(w.buf[w.n:])
	rest := w.buf[:w.n+n]
	for {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if !ended {
			break
		}
		if f, ok := parseFormat(string(bytes.Trim(line, " \t\r"))); ok && !w.long {
			want, heard = f, true
		}
		rest, w.long = after, false
	}
	if w.n = copy(w.buf[:], rest); w.n == len(w.buf) {
		w.n, w.long = 0, true
	}
	return n, want, heard, err
}
