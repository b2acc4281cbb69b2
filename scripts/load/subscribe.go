package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialers is how many connections are being made at a time.
	dialers = 128

	// maxLine is the longest line that is understood, in bytes. Each subscriber
	// has a buffer of that size.
	maxLine = 256

	// maxLost is how many lost connections are reported one by one.
	maxLost = 10
)

// subscribe opens n connections to a and reads them until ctx is done or stdin
// ends. What it finds it writes to out.
func subscribe(ctx context.Context, n int, a address, stdin io.Reader, out *log.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, stdin)
		cancel()
	}()

	s := &subscribers{n: n, out: out, begin: time.Now(), events: make(map[int]*arrivals)}
	var dialing, reading sync.WaitGroup
	var next atomic.Int64
	for range dialers {
		dialing.Go(func() {
			for ctx.Err() == nil && next.Add(1) <= int64(n) {
				conn, err := a.dial(ctx)
				if err != nil {
					s.lose(err)
					continue
				}
				s.add(conn)
				reading.Go(func() { s.read(conn) })
			}
		})
	}
	dialing.Wait()
	<-ctx.Done()
	s.leave()
	reading.Wait()
	return nil
}

// subscribers are connections to one server. The methods may be called from any
// goroutine.
type subscribers struct {
	n     int // that there are to be
	out   *log.Logger
	begin time.Time

	mu      sync.Mutex // guards what follows
	conns   []net.Conn
	greeted int               // have read their first line
	events  map[int]*arrivals // by number; those that have come to all are not kept
	lost    int
	leaving bool
}

// arrivals is when an event came to those that it has come to so far.
type arrivals struct {
	count       int
	first, last time.Time
}

// add notes a new connection.
func (s *subscribers) add(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, conn)
	if len(s.conns) == s.n {
		s.out.Printf("connected %d in %.3f ms", s.n, milliseconds(time.Since(s.begin)))
	}
}

// lose reports a connection that did not come about, or that ended too early.
func (s *subscribers) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return
	}
	if s.lost++; s.lost <= maxLost {
		s.out.Printf("lost: %v", err)
	}
}

// leave closes all connections.
func (s *subscribers) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	begin := time.Now()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.out.Printf("left %d in %.3f ms, lost %d", len(s.conns), milliseconds(time.Since(begin)), s.lost)
}

// read reads conn until that ends.
func (s *subscribers) read(conn net.Conn) {
	r := bufio.NewReaderSize(conn, maxLine)
	number := 0 // of the last event
	for greeted := false; ; greeted = true {
		line, err := r.ReadSlice('\n')
		if err != nil {
			s.lose(err)
			return
		}
		now := time.Now()
		if !greeted {
			s.greet()
		}
		if !isGreeting(line) {
			number++
			s.arrive(number, now)
		}
		if isMissed(line) {
			s.out.Printf("missed: %s", bytes.TrimSpace(line))
		}
	}
}

// greet notes that a subscriber has its first line.
func (s *subscribers) greet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.greeted++; s.greeted == s.n {
		s.out.Printf("greeted %d in %.3f ms", s.n, milliseconds(time.Since(s.begin)))
	}
}

// arrive notes that an event has come to one more subscriber.
func (s *subscribers) arrive(number int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.events[number]
	if a == nil {
		a = &arrivals{first: now, last: now}
		s.events[number] = a
	}
	a.count++
	if now.Before(a.first) {
		a.first = now
	}
	if now.After(a.last) {
		a.last = now
	}
	if a.count == s.n {
		s.out.Printf("event %d at %d in %.3f ms", number, s.n, milliseconds(a.last.Sub(a.first)))
		delete(s.events, number)
	}
}

// isGreeting reports whether a text line tells how things are.
func isGreeting(line []byte) bool { return hasWord(line, "watching") }

// isMissed reports whether a text line says that its reader was too slow.
func isMissed(line []byte) bool { return hasWord(line, "missed") }

// hasWord reports whether word is what comes after the time in a text line.
func hasWord(line []byte, word string) bool {
	_, rest, _ := bytes.Cut(line, []byte(" "))
	return len(rest) > len(word) && string(rest[:len(word)]) == word && rest[len(word)] == ' '
}
