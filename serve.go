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
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"net-watcher/internal/console"
	"net-watcher/internal/feed"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

const (
	// writePiece is how much is written to a subscriber at a time, in bytes,
	// and writeTimeout how long that may take (10 s, as in NATS).
	writePiece   = 64 << 10
	writeTimeout = 10 * time.Second

	// sendBuffer is how much the kernel is asked to hold for a subscriber, in
	// bytes. Left alone, Linux lets that grow to some 4 MB.
	sendBuffer = 64 << 10

	// reserve is how many descriptors are kept for what is not subscribers:
	// listeners, and looks at directories.
	reserve = 32

	// maxWord is the longest line of a subscriber that may be a word, in bytes.
	maxWord = 256

	// pause is what passes between two reads from a subscriber, so that a flood
	// of words or of anything else costs next to nothing. What is read at a time
	// is a sip, and once there was that much a gulp; in bytes.
	pause = 10 * time.Millisecond
	sip   = 64
	gulp  = 4 << 10

	// grace is what a subscriber has at the end to take what is being written
	// to it, and drainTime what there is to read what it sent.
	grace     = 200 * time.Millisecond
	drainTime = 20 * time.Millisecond

	// complainEvery is how often the console has why nobody can be accepted.
	complainEvery = 10 * time.Second
)

// server tells a feed to everyone who connects.
type server struct {
	feed    *feed.Feed
	log     *log.Logger
	connLog *console.ConnLog
	format  wire.Format // until a subscriber asks for another
	most    int         // connections at the same time

	conns atomic.Int64   // open connections
	wg    sync.WaitGroup // every goroutine of serve
}

// newServer returns a server of f that speaks format to a subscriber that does
// not say what it wants. With all, no line about subscribers is left out of log.
func newServer(f *feed.Feed, format wire.Format, log *log.Logger, all bool) *server {
	return &server{
		feed:    f,
		format:  format,
		most:    max(maxFiles()-reserve, 1),
		log:     log,
		connLog: console.NewConnLog(log, all, f.Count),
	}
}

// serve accepts subscribers from the listeners, which it closes, until ctx is
// done or a listener fails for good; the latter is the error it returns. By
// then all connections are closed and all goroutines have ended.
func (s *server) serve(ctx context.Context, listeners ...net.Listener) error {
	defer s.connLog.Flush()
	defer s.wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	told := make(chan struct{})
	s.wg.Go(func() {
		defer close(told)
		s.wake(ctx)
	})
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
	<-told // all that was published
	for _, r := range s.feed.Close() {
		r.Of.(*subscriber).hurry()
	}
	return err
}

// wake tells the subscribers that wait whenever the feed has more, and once
// more when ctx is done.
func (s *server) wake(ctx context.Context) {
	var waiting, slow []*feed.Reader
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.feed.More:
		}
		waiting, slow = s.feed.Waiting(waiting[:0])
		tellAll(waiting)
		clear(waiting) // for the garbage collector
		for _, r := range slow {
			r.Of.(*subscriber).drop("dropped: reads too slowly (more than 64 MiB in flight)")
		}
	}
}

// tellAll tells the subscribers of the readers, a crowd of them with as many
// goroutines as there are processors.
func tellAll(rs []*feed.Reader) {
	const crowd = 256 // with fewer, a goroutine costs more time than it saves
	n := min(runtime.GOMAXPROCS(0), 1+len(rs)/crowd)
	var wg sync.WaitGroup
	for part := range slices.Chunk(rs, max(1, (len(rs)+n-1)/n)) {
		wg.Go(func() {
			p := newPen()
			for _, r := range part {
				r.Of.(*subscriber).tell(p)
			}
		})
	}
	wg.Wait()
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
			if now := int(s.conns.Add(1)); now > s.most {
				// At once, or else a crowd would wait for it with descriptors.
				who := peerName(l, conn)
				conn.Close()
				s.conns.Add(-1)
				s.connLog.Report("refused", who, "no file descriptors left (ulimit -n)", now-1)
			} else {
				s.wg.Go(func() { s.subscribe(l, conn) })
			}
		case ctx.Err() != nil:
			return nil
		case oserr.IsTransientAccept(err):
			if time.Since(complained) >= complainEvery {
				s.log.Printf("cannot accept subscribers at %v for now: %v", l.Addr(), oserr.Cause(err))
				complained = time.Now()
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(delay):
			}
			delay = min(2*delay, most)
		default:
			return fmt.Errorf("accept at %v: %w", l.Addr(), oserr.Cause(err))
		}
	}
}

// subscriber is one connection.
type subscriber struct {
	feed.Reader
	server *server
	conn   net.Conn
	raw    syscall.RawConn // of conn; nil if it has none
	words  words
	buf    []byte // to read into

	deadline atomic.Pointer[time.Time] // of all writing; nil until the end is near
	fault    atomic.Pointer[string]    // why writing failed
}

// peerName returns how messages name the peer of conn, which l accepted.
func peerName(l net.Listener, conn net.Conn) string {
	if l.Addr().Network() == "unix" {
		return wire.Printable(l.Addr().String()) // the peers have no names
	}
	return conn.RemoteAddr().String()
}

// newSubscriber returns a subscriber at conn, which is yet to join the feed.
func (s *server) newSubscriber(conn net.Conn) *subscriber {
	if c, ok := conn.(interface{ SetWriteBuffer(int) error }); ok {
		c.SetWriteBuffer(sendBuffer)
	}
	u := &subscriber{server: s, conn: conn, buf: make([]byte, sip)}
	if c, ok := conn.(syscall.Conn); ok {
		u.raw, _ = c.SyscallConn()
	}
	u.Of = u
	return u
}

// subscribe tells the feed to conn, until that is closed from either side.
// One goroutine reads from a connection, this one. Who writes is whoever has
// something to tell: most often that takes no waiting, and otherwise a
// goroutine that comes and goes. The last of them closes it.
func (s *server) subscribe(l net.Listener, conn net.Conn) {
	u := s.newSubscriber(conn)
	now, ok := s.feed.Join(&u.Reader, s.format)
	if !ok {
		u.close()
		return
	}
	u.tell(newPen())
	s.connLog.Report("connected", peerName(l, conn), "", now)

	why := u.hear()
	u.hurry()
	u.drain()
	now, busy := s.feed.Leave(&u.Reader)
	if !busy {
		u.close()
	}
	s.connLog.Report("disconnected", peerName(l, conn), why, now)
}

// hear does as the subscriber says, until it closes its side or is ended. It
// returns why, or "" if there is nothing to say about that.
func (u *subscriber) hear() string {
	for {
		said, err := u.read()
		if want, heard := u.words.find(said); heard && u.server.feed.Switch(&u.Reader, want) {
			u.tell(newPen())
		}
		switch {
		case err != nil:
			if why := u.fault.Load(); why != nil {
				return *why
			}
			if err == io.EOF || u.deadline.Load() != nil {
				return ""
			}
			return oserr.Cause(err).Error()
		case len(said) > 0:
			time.Sleep(pause)
		}
	}
}

// read returns what the peer has sent, which is valid until the next read. From
// a flood it reads much at a time, so that its end is noticed soon.
func (u *subscriber) read() ([]byte, error) {
	n, err := u.conn.Read(u.buf)
	said := u.buf[:n]
	if n == sip && len(u.buf) == sip {
		u.buf = make([]byte, gulp)
	}
	return said, err
}

// tell writes what the feed has for the subscriber: with p what needs no
// waiting, and the rest in a goroutine of its own.
func (u *subscriber) tell(p *pen) {
	for {
		lines, gone := u.server.feed.Next(&u.Reader)
		if gone {
			u.close()
			return
		}
		if lines == nil {
			return
		}
		n, err := p.write(u.raw, lines)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // it is at its end, and between two lines
			u.close()
			return
		case err != nil:
			u.fail(err)
			return
		}
		if n < len(lines) {
			u.server.wg.Add(1)
			go u.tellRest(lines[n:])
			return
		}
	}
}

// tellRest writes the rest of the lines that tell began with, and what the feed
// has after that.
func (u *subscriber) tellRest(lines []byte) {
	defer u.server.wg.Done()
	gone := false
	for lines != nil {
		if err := u.write(lines); err != nil {
			u.fail(err)
			return
		}
		lines, gone = u.server.feed.Next(&u.Reader)
	}
	if gone {
		u.close()
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
	u.conn.SetWriteDeadline(time.Time{}) // which would hold for a pen too
	return nil
}

// fail ends the connection, on which writing has failed.
func (u *subscriber) fail(err error) {
	why := oserr.Cause(err).Error()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		why = fmt.Sprintf("dropped: reads too slowly (a 64 KiB write took more than %v)", writeTimeout)
	}
	if u.deadline.Load() == nil {
		u.fault.CompareAndSwap(nil, &why)
	}
	if c, ok := u.conn.(*net.TCPConn); ok {
		c.SetLinger(0) // or else the kernel would go on sending for minutes
	}
	u.close()
}

func (u *subscriber) close() {
	u.conn.Close()
	u.server.conns.Add(-1)
}

// drop ends the connection soon, for this reason.
func (u *subscriber) drop(why string) {
	if u.fault.CompareAndSwap(nil, &why) {
		u.hurry()
	}
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
// with unread input would reset it, and cost the peer the last lines.
func (u *subscriber) drain() {
	u.conn.SetReadDeadline(time.Now().Add(drainTime))
	for range 1000 {
		if _, err := u.read(); err != nil {
			return
		}
	}
}

// words finds the words that a subscriber sends, one a line, in a stream of
// anything. The zero value is ready for use.
type words struct {
	line []byte // so far, but for what is beyond maxWord and one more
}

// find returns the last format that the next bytes of the stream ask for, and
// whether there is one.
func (w *words) find(b []byte) (want wire.Format, heard bool) {
	for {
		part, rest, ended := bytes.Cut(b, []byte("\n"))
		w.line = append(w.line, part[:min(len(part), maxWord+1-len(w.line))]...)
		if !ended {
			return want, heard
		}
		if f, ok := wire.ParseFormat(string(bytes.Trim(w.line, " \t\r"))); ok && len(w.line) <= maxWord {
			want, heard = f, true
		}
		w.line, b = nil, rest
	}
}

// pen writes to sockets without waiting.
type pen struct {
	try func(fd uintptr) bool // made once, so that writing costs no allocation

	lines []byte
	n     int
	err   error
}

func newPen() *pen {
	p := &pen{}
	p.try = func(fd uintptr) bool {
		p.n, p.err = writeNow(fd, p.lines)
		return true
	}
	return p
}

// write writes as much of the lines as the socket takes now, maybe nothing. It
// returns how much that was.
func (p *pen) write(socket syscall.RawConn, lines []byte) (int, error) {
	if socket == nil {
		return 0, nil
	}
	p.lines, p.n, p.err = lines, 0, nil
	if err := socket.Write(p.try); err != nil {
		return 0, err
	}
	p.lines = nil
	return p.n, p.err
}
