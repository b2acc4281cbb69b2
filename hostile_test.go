package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// A subscriber that reads a byte a second is dropped after writeTimeout, with the
// reason, and delays no other.
func TestByteASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		slow, honest := l.dial(), newPeer(t, l.dial())
		honest.expect("[text] watching a (not there)")
		go func() {
			for b := make([]byte, 1); ; time.Sleep(time.Second) {
				if _, err := slow.Read(b); err != nil {
					return
				}
			}
		}()
		for i := range 60 {
			time.Sleep(time.Second)
			begin := time.Now()
			s.feed.Publish([]wire.Event{change("a", int64(i))})
			honest.expect("[text] modified a")
			if took := time.Since(begin); took > 0 {
				t.Errorf("the honest one waited %v", took)
			}
		}
		got := s.output.Take()
		want := "subscriber disconnected: pipe (1 now): dropped: reads too slowly (a 64 KiB write took more than 10s)"
		if got[len(got)-1] != want {
			t.Errorf("console: %q, want %q", got, want)
		}
		s.stop(t)
	})
}

// A subscriber that reads in bursts gets a missed only if the log no longer has the
// batches that it has not read, for exactly the targets of those, with their present
// state.
func TestBursts(t *testing.T) {
	const room = 10 // events in the log
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a", "b", "c", "d")
		f.MaxLogEvents = room
		l := newPipeListener()
		s := newTestServer(f, wire.JSON)
		s.start(t, l)
		conn := l.dial()
		lines := bufio.NewReader(conn)
		random := rand.New(rand.NewPCG(1, 2))

		published := []string{""} // the target of event number i
		read := 0                 // the last event that it got, or that a missed stands for
		got, jumps := 0, 0
		states := map[string]string{} // of the latest missed lines
		// jump checks that those stand for what happened up to event number end.
		jump := func(end int) {
			t.Helper()
			if len(states) == 0 {
				return
			}
			want := map[string]string{}
			for i := read + 1; i <= end; i++ {
				want[published[i]] = fmt.Sprint(i)
			}
			if diff := cmp.Diff(want, states); diff != "" || end-read <= room {
				t.Errorf("after event %d, missed up to %d (-want +got):\n%s", read, end, diff)
			}
			read = end
			jumps++
			clear(states)
		}
		for range 1000 {
			for range random.IntN(2 * room) {
				target := string(rune('a' + random.IntN(4)*random.IntN(2)))
				f.Publish([]wire.Event{change(target, int64(len(published)))})
				published = append(published, target)
			}
			time.Sleep(time.Duration(random.Int64N(int64(writeTimeout)))) // it does not read
			for {
				conn.SetReadDeadline(time.Now().Add(1))
				line, err := lines.ReadString('\n')
				if err != nil {
					break
				}
				e, err := wire.Decode([]byte(line))
				check.Must(t, err)
				switch e.Change {
				case wire.Missed:
					states[e.File] = e.State
				case wire.Modified:
					jump(int(*e.Size) - 1)
					if read++; *e.Size != int64(read) || e.File != published[read] {
						t.Errorf("got %s %d after event %d", e.File, *e.Size, read-1)
					}
					got++
				}
			}
			if jump(len(published) - 1); read != len(published)-1 || t.Failed() {
				t.Errorf("got up to %d of %d", read, len(published)-1)
				break
			}
		}
		if jumps == 0 || got == 0 {
			t.Errorf("%d jumps, %d single events: this tests nothing", jumps, got)
		}
		t.Logf("%d jumps, %d single events", jumps, got)
		conn.Close()
		s.stop(t)
	})
}

// Frames in flight are bounded: the slowest subscribers are dropped, with the
// reason, and those with the newest frames are not.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a")
		check.Equal(t, "default", 64<<20, f.MaxInFlight)
		f.MaxInFlight = 3 * len("2026-11-22T03:14:04.512+01:00 watching a\n")
		l := newPipeListener()
		s := newTestServer(f, wire.Text)
		s.start(t, l)
		honest := newPeer(t, l.dial())
		honest.expect("[text] watching a (not there)")
		var stuck []net.Conn // each with a greeting of its own, which it does not read
		for i := range 6 {
			f.Publish([]wire.Event{change("a", int64(i))})
			honest.expect("[text] modified a")
			stuck = append(stuck, l.dial())
		}
		time.Sleep(time.Second)
		honest.expect() // is still there
		f.Publish([]wire.Event{change("a", 9)})
		honest.expect("[text] modified a")
		time.Sleep(time.Second)
		// There is room for three greetings, and the latest of all.
		if n := f.Count(); n != 1+4 {
			t.Errorf("%d subscribers are left, want the honest one and 4", n)
		}
		dropped := 0
		for _, line := range s.output.Take() {
			if strings.HasSuffix(line, "now): dropped: reads too slowly (more than 0 MiB in flight)") {
				dropped++
			}
		}
		if dropped != 2 {
			t.Errorf("%d were dropped with the reason, want 2", dropped)
		}
		for i, conn := range stuck {
			conn.SetReadDeadline(time.Now().Add(1))
			if _, err := conn.Read(make([]byte, 1000)); (err == nil) != (i >= 2) {
				t.Errorf("number %d: %v", i, err)
			}
			conn.Close()
		}
		s.stop(t)
	})
}

// A greeting is renewed each second though nothing changes, and those that it
// replaces count as in flight.
func TestInFlightGreetings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a")
		const room = 3
		f.MaxInFlight = room * len("2026-11-22T03:14:04.512+01:00 watching a (not there)\n")
		l := newPipeListener()
		s := newTestServer(f, wire.Text)
		s.start(t, l)
		var stuck []net.Conn
		for range 20 {
			stuck = append(stuck, l.dial())
			time.Sleep(writeTimeout / 30)
			synctest.Wait()
		}
		if n := f.Count(); n < room || n > 4*(room+1) { // some three or four came each second
			t.Errorf("%d of 20 are left", n)
		}
		for _, conn := range stuck {
			conn.Close()
		}
		s.stop(t)
	})
}

// A peer that alternates the formats has the server encode a greeting at each
// change. While one is encoded, the others get what is published.
func TestEncodingDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a")
		encoding, gate := make(chan bool, 10), make(chan bool)
		f.Encode = func(in wire.Format, events []wire.Event) []byte {
			if in == wire.JSON && events[0].Type == wire.Watching {
				encoding <- true
				<-gate
			}
			return wire.Encode(in, events)
		}
		l := newPipeListener()
		s := newTestServer(f, wire.Text)
		s.start(t, l)
		honest, fickle := newPeer(t, l.dial()), newPeer(t, l.dial())
		honest.expect("[text] watching a (not there)")
		fickle.send("json\n") // it has not read its greeting yet, and so comes to this in its turn
		f.Publish([]wire.Event{change("a", 1)})
		honest.expect("[text] modified a")
		fickle.expect("[text] watching a (not there)", "[text] modified a")
		<-encoding
		for i := range int64(3) {
			f.Publish([]wire.Event{change("a", 2+i)})
			honest.expect("[text] modified a")
		}
		newPeer(t, l.dial()).expect("[text] watching a")
		// Flush leaves it to another goroutine, for the sake of those that are
		// flushed after it.
		mine, theirs := net.Pipe()
		u := newSubscriber(s.server, theirs, "pipe", wire.JSON)
		f.Join(&u.reader, u, wire.JSON)
		u.Flush()
		close(gate)
		newPeer(t, mine).expect("[json] watching a 4")
		f.Leave(&u.reader)
		fickle.expect("[json] watching a 1", "[json] modified a 2", "[json] modified a 3", "[json] modified a 4")
		s.stop(t)
	})
}

// busyConn is a pipe to read from, and writes to a file. A write that may not wait
// takes busyTime to begin, as on a machine with much to do.
type busyConn struct {
	net.Conn
	file *os.File
	mu   sync.Mutex // guards end
	end  time.Time  // of writing
}

const busyTime = 50 * time.Millisecond

func (c *busyConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = t
	return nil
}

func (c *busyConn) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.end.IsZero() && !time.Now().Before(c.end) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *busyConn) Write(b []byte) (int, error) {
	if err := c.check(); err != nil {
		return 0, err
	}
	return c.file.Write(b)
}

func (c *busyConn) SyscallConn() (syscall.RawConn, error) { return busyRaw{c}, nil }

type busyRaw struct{ c *busyConn }

func (r busyRaw) Control(func(uintptr)) error { return errors.ErrUnsupported }

func (r busyRaw) Read(func(uintptr) bool) error { return errors.ErrUnsupported }

func (r busyRaw) Write(try func(uintptr) bool) error {
	time.Sleep(busyTime)
	if err := r.c.check(); err != nil {
		return err
	}
	try(r.c.file.Fd())
	return nil
}

// Batches that were published before the end reach every subscriber, even if flushing
// all of them takes longer than shutdownGrace.
func TestShutdownDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		var files []*os.File
		for range 3 * int(shutdownGrace/busyTime) {
			file, err := os.Create(filepath.Join(t.TempDir(), "received"))
			check.Must(t, err)
			defer file.Close()
			files = append(files, file)
			mine, theirs := net.Pipe()
			defer mine.Close()
			l.accepts <- &busyConn{Conn: theirs, file: file}
			time.Sleep(2 * busyTime)
		}
		s.feed.Publish([]wire.Event{change("a", 1)})
		s.stop(t)
		for _, file := range files {
			received, err := os.ReadFile(file.Name())
			check.Must(t, err)
			if n := bytes.Count(received, []byte("\n")); n != 2 || !bytes.HasSuffix(received, []byte(" modified a\n")) {
				t.Errorf("got %q, want the greeting and the change", received)
			}
		}
	})
}

// A batch beyond the limit goes to subscribers that keep up all the same.
func TestInFlightNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a")
		f.MaxInFlight = 100
		l := newPipeListener()
		s := newTestServer(f, wire.Text)
		s.start(t, l)
		p := newPeer(t, l.dial())
		p.expect("[text] watching a (not there)")
		for range 3 {
			f.Publish(slices.Repeat([]wire.Event{change("a", 1)}, 1000))
			synctest.Wait()
			for range 1000 {
				p.expect("[text] modified a")
			}
		}
		s.stop(t)
	})
}

// attacks are what a hostile peer may do with a connection, which is closed after
// that or in the middle of it.
var attacks = map[string]func(net.Conn){
	"comes and goes": func(net.Conn) {},
	"resets": func(conn net.Conn) {
		if c, ok := conn.(*net.TCPConn); ok {
			c.SetLinger(0)
		}
	},
	"closes its half": func(conn net.Conn) {
		conn.(interface{ CloseWrite() error }).CloseWrite()
		io.Copy(io.Discard, conn)
	},
	"leaves in the greeting": func(conn net.Conn) { conn.Read(make([]byte, 10)) },
	"leaves in a batch":      func(conn net.Conn) { io.CopyN(io.Discard, conn, 100_000) },
	"never reads":            func(net.Conn) { time.Sleep(time.Second) },
	"reads a byte now and then": func(conn net.Conn) {
		for b := make([]byte, 1); ; time.Sleep(time.Millisecond) {
			if _, err := conn.Read(b); err != nil {
				return
			}
		}
	},
	"speaks HTTP": func(conn net.Conn) {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		io.CopyN(io.Discard, conn, 1000)
	},
	"sends garbage":     flood("\x00\xff\x16\x03\x01 {[\n"),
	"sends no line end": flood("all work and no play "),
	"sends words":       flood("json\ntext\n"),
	"sends words and reads": func(conn net.Conn) {
		go io.Copy(io.Discard, conn)
		flood("json\ntext\n")(conn)
	},
	"sends megabytes and leaves": func(conn net.Conn) {
		conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		conn.Write(make([]byte, 4<<20))
	},
}

// flood returns an attack that sends the same for as long as it can.
func flood(s string) func(net.Conn) {
	return func(conn net.Conn) {
		for b := []byte(strings.Repeat(s, 1000)); ; {
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}
}

// During five seconds of all attacks at once, with hundreds of targets, honest
// subscribers get every event, in order and once. Afterwards there are as many
// goroutines and descriptors as before.
func TestHostile(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		const targets = 300
		var names []string
		for i := range targets {
			names = append(names, fmt.Sprintf("some/folder/with/a/long/name/%03d", i))
		}
		f := newTestFeed(names...)
		s := newTestServer(f, wire.JSON)
		s.start(t, l)
		var honest []*peer
		for range 3 {
			p := dial(t, l)
			p.Conn.SetDeadline(time.Now().Add(5 * time.Minute)) // a slow machine takes one
			for range targets {
				_, err := p.lines.ReadString('\n')
				check.Must(t, err)
			}
			honest = append(honest, p)
		}
		goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var bad sync.WaitGroup
		for _, attack := range attacks {
			for range 3 {
				bad.Go(func() {
					// The pause leaves the machine some time for all else.
					for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
						conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
						if err != nil { // Linux: the backlog of a Unix socket is full
							continue
						}
						stop := context.AfterFunc(ctx, func() { conn.Close() })
						attack(conn)
						if stop() {
							conn.Close()
						}
					}
				})
			}
		}

		const events = 500 // a batch of a few each 10 ms
		var good sync.WaitGroup
		var changed [events + 1]string
		for i := range changed {
			changed[i] = names[rand.IntN(targets)]
		}
		for _, p := range honest {
			good.Go(func() {
				for i := 1; i <= events; i++ {
					line, err := p.lines.ReadString('\n')
					if err != nil {
						t.Errorf("after event %d: %v", i-1, err)
						return
					}
					e, err := wire.Decode([]byte(line))
					if err != nil || e.Change != wire.Modified || *e.Size != int64(i) || e.File != changed[i] {
						t.Errorf("event %d: %q, %v", i, line, err)
						return
					}
				}
			})
		}
		for i := 1; i <= events; {
			var batch []wire.Event
			for range min(1+rand.IntN(events/250), events+1-i) {
				batch = append(batch, change(changed[i], int64(i)))
				i++
			}
			f.Publish(batch)
			time.Sleep(10 * time.Millisecond)
		}
		good.Wait()
		cancel()
		bad.Wait()
		for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines || openFiles(t) > descriptors || s.conns.Load() > int64(len(honest)); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines, were %d; %d descriptors, were %d; %d connections",
					runtime.NumGoroutine(), goroutines, openFiles(t), descriptors, s.conns.Load())
			}
		}
		if n := f.Count(); n != len(honest) {
			t.Errorf("%d subscribers are left, want %d", n, len(honest))
		}
		s.stop(t)
		if n := s.conns.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// Connections beyond the limit are closed at once, and the console has them; the
// others are served, and when one ends there is room for another.
func TestMaxConns(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		s := newTestServer(newTestFeed("a"), wire.Text)
		s.maxConns = 2
		s.start(t, l)
		p1, p2 := dial(t, l), dial(t, l)
		p1.expect("[text] watching a (not there)")
		p2.expect("[text] watching a (not there)")
		p3 := dial(t, l)
		who := p3.LocalAddr().String()
		if l.Addr().Network() == "unix" {
			who = l.Addr().String()
		}
		p3.expectEnd()
		s.feed.Publish([]wire.Event{change("a", 1)})
		p1.expect("[text] modified a")
		p2.expect("[text] modified a")
		p1.Close()
		check.Eventually(t, "the first connection is closed", func() bool { return s.conns.Load() < 2 })
		dial(t, l).expect("[text] watching a")
		s.stop(t)
		want := "subscriber refused: " + who + " (2 now): no file descriptors left (ulimit -n)"
		if got := s.output.Take(); !slices.Contains(got, want) {
			t.Errorf("console: %q, want %q in it", got, want)
		}
	})
}
