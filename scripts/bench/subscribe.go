//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// dialers is how many connections are being made at a time.
	dialers = 128

	// maxLost is how many lost connections are reported one by one.
	maxLost = 10
)

// subscribe opens n connections to a, as fast as they come, and reads them until ctx
// is done or stdin ends. It reports when all are there, when all have their first
// line, and for each line after that, but greetings, when all have it, and how long
// after the first the last had it.
func subscribe(ctx context.Context, n int, a address, stdin io.Reader, report func(message)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, stdin)
		cancel()
	}()

	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	s := &subscribers{n: n, report: report, begin: time.Now(), epoll: epoll, events: make(map[int]*arrivals)}
	go s.read() // until the process ends
	var wg sync.WaitGroup
	var next atomic.Int64
	for range dialers {
		wg.Go(func() {
			for ctx.Err() == nil && next.Add(1) <= int64(n) {
				conn, err := a.dial(ctx)
				if err == nil {
					err = s.add(conn)
				}
				if err != nil {
					s.mu.Lock()
					s.loseLocked(err)
					s.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	<-ctx.Done()
	s.leave()
	return nil
}

// subscribers are connections to one server, and what was received on them.
type subscribers struct {
	n      int // how many there are to be
	report func(message)
	begin  time.Time
	epoll  int

	mu      sync.Mutex // guards the fields below, and the subscribers
	all     []*subscriber
	greeted int               // have read their first line
	events  map[int]*arrivals // by number; those that all have are not kept
	lost    int
	leaving bool
}

// subscriber is one of them.
type subscriber struct {
	conn   io.Closer
	lines  int
	events int
	rest   []byte // of a line that is not complete
}

// arrivals is how many have an event so far, and since when the first has it.
type arrivals struct {
	count int
	first time.Time
}

// add begins to read conn.
func (s *subscribers) add(conn net.Conn) error {
	if conn, ok := conn.(*tls.Conn); ok {
		s.addTLS(conn)
		return nil
	}
	// What is read must be unknown to the runtime, which would be woken too.
	file, err := conn.(interface{ File() (*os.File, error) }).File()
	conn.Close()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fd := int(file.Fd())
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd), Pad: int32(len(s.all))}
	s.joinLocked(file)
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &event))
}

// joinLocked notes a new connection.
func (s *subscribers) joinLocked(conn io.Closer) *subscriber {
	u := &subscriber{conn: conn}
	s.all = append(s.all, u)
	if len(s.all) == s.n {
		s.report(message{What: "connected", N: s.n, MS: milliseconds(time.Since(s.begin))})
	}
	return u
}

// addTLS begins to read conn, in a goroutine of its own.
func (s *subscribers) addTLS(conn *tls.Conn) {
	s.mu.Lock()
	u := s.joinLocked(conn)
	s.mu.Unlock()
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := conn.Read(buf)
			s.mu.Lock()
			s.takeLocked(u, buf[:n], time.Now())
			if err != nil {
				s.loseLocked(err)
				s.mu.Unlock()
				return
			}
			s.mu.Unlock()
		}
	}()
}

// read reads what there is to read, on all connections: with a goroutine for
// each, the reader used more CPU than a bare loop of writes to Unix sockets,
// and it was the reader that was measured.
func (s *subscribers) read() {
	events := make([]syscall.EpollEvent, 256)
	buf := make([]byte, 4096)
	for {
		n, err := syscall.EpollWait(s.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			panic(err)
		}
		s.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			s.readLocked(e, buf)
		}
		s.mu.Unlock()
	}
}

// readLocked reads once, so it does not wait. It must be called with mu held, as
// all whose names end like that.
func (s *subscribers) readLocked(e syscall.EpollEvent, buf []byte) {
	if s.leaving {
		return // the descriptor may be another's by now
	}
	n, err := syscall.Read(int(e.Fd), buf)
	if n > 0 {
		s.takeLocked(s.all[e.Pad], buf[:n], time.Now())
		return
	}
	if n == 0 {
		err = io.EOF
	}
	s.loseLocked(err)
	syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_DEL, int(e.Fd), nil)
}

// loseLocked reports a connection that did not come about, or that ended too
// early.
func (s *subscribers) loseLocked(err error) {
	if s.leaving {
		return
	}
	if s.lost++; s.lost <= maxLost {
		s.report(message{What: "lost", Why: err.Error()})
	}
}

// leave closes all connections.
func (s *subscribers) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	begin := time.Now()
	for _, u := range s.all {
		u.conn.Close()
	}
	s.report(message{What: "left", N: len(s.all), MS: milliseconds(time.Since(begin))})
}

// takeLocked notes what a read from u has brought, now.
func (s *subscribers) takeLocked(u *subscriber, data []byte, now time.Time) {
	for {
		line, after, ended := bytes.Cut(data, []byte("\n"))
		if !ended {
			u.rest = append(u.rest, data...)
			return
		}
		if len(u.rest) > 0 {
			line = append(u.rest, line...)
			u.rest = nil
		}
		s.lineLocked(u, line, now)
		data = after
	}
}

// lineLocked notes a text line.
func (s *subscribers) lineLocked(u *subscriber, line []byte, now time.Time) {
	if u.lines++; u.lines == 1 {
		if s.greeted++; s.greeted == s.n {
			s.report(message{What: "greeted", N: s.n, MS: milliseconds(now.Sub(s.begin))})
		}
	}
	if isMissed(line) {
		s.report(message{What: "missed", Why: string(line)})
	}
	if isGreeting(line) {
		return
	}
	u.events++
	a := s.events[u.events]
	if a == nil {
		a = &arrivals{first: now}
		s.events[u.events] = a
	}
	if a.count++; a.count == s.n {
		s.report(message{What: "event", N: u.events, MS: milliseconds(now.Sub(a.first))})
		delete(s.events, u.events)
	}
}

// isGreeting reports whether a text line describes a target.
func isGreeting(line []byte) bool { return hasWord(line, "watching ") }

// isMissed reports whether a text line says that its subscriber missed something.
func isMissed(line []byte) bool { return hasWord(line, "missed ") }

// hasWord reports whether word is what comes after the time in a text line.
func hasWord(line []byte, word string) bool {
	_, rest, _ := bytes.Cut(line, []byte(" "))
	return bytes.HasPrefix(rest, []byte(word))
}
