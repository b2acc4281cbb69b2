package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
	"net-watcher/internal/scan"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// On real sockets: two subscribers, a change, a change of format, one that leaves,
// and the end of the server.
func TestServe(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		s := startServer(t, l)
		p1 := dial(t, l)
		p1.expect("[text] watching a (not there)")
		p2 := dial(t, l)
		p2.expect("[text] watching a (not there)")
		s.feed.Publish([]wire.Event{change("a", 1)})
		p1.expect("[text] modified a")
		p2.expect("[text] modified a")
		p2.send("js")
		p2.send("on\r\nhow are you?\n")
		p2.expect("[json] watching a 1")
		p1.Close()
		s.feed.Publish([]wire.Event{change("a", 2)})
		p2.expect("[json] modified a 2")
		s.stop(t)
		p2.expectEnd()

		if l.Addr().Network() == "unix" {
			if _, err := os.Lstat(l.Addr().String()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket file is left: %v", err)
			}
		}
		if _, err := net.Dial(l.Addr().Network(), l.Addr().String()); err == nil {
			t.Error("it still listens")
		}
	})
}

// A peer that closes its side, or half of it, is closed at once, and the console
// has it.
func TestPeerCloses(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		s := startServer(t, l)
		var want []string
		for range 2 {
			p := dial(t, l)
			p.expect("[text] watching a (not there)")
			p.send("a word\n")
			who := p.LocalAddr().String()
			if l.Addr().Network() == "unix" {
				who = l.Addr().String()
			}
			check.Must(t, p.Conn.(interface{ CloseWrite() error }).CloseWrite()) // half of it is enough
			p.expectEnd()
			want = append(want, "subscriber connected: "+who+" (1 now)", "subscriber disconnected: "+who+" (0 now)")
		}
		s.stop(t)
		got := s.output.Take()
		slices.Sort(got)
		slices.Sort(want)
		check.Equal(t, "console", want, got)
	})
}

// Health probes are counted, not logged one by one, but for -v. A subscriber that has
// stayed or sent something is logged.
func TestVisits(t *testing.T) {
	const came, went = "subscriber connected: pipe (1 now)", "subscriber disconnected: pipe (0 now)"
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			s := newTestServer(newTestFeed("a"), wire.Text)
			s.server = newServer(s.feed, wire.Text, 1<<30, log.New(s.output, "", 0), all)
			s.start(t, l)
			expect := func(what string, probes int, want ...string) {
				t.Helper()
				synctest.Wait()
				switch {
				case all:
					want = append(want, slices.Repeat([]string{came, went}, probes)...)
				case probes > 0:
					want = append(want, fmt.Sprintf("subscribers: %d came and left at once (-v lists them)", probes))
				}
				check.Equal(t, what, want, s.output.Take(), cmpopts.EquateEmpty())
			}
			join := func() *peer {
				p := newPeer(t, l.dial())
				p.expect("[text] watching a (not there)")
				return p
			}
			visit := func() {
				p := join()
				time.Sleep(visitTime - 1)
				p.Close()
				synctest.Wait()
			}
			stays := join()
			time.Sleep(visitTime)
			expect("one that stays", 0, came)
			stays.Close()
			expect("and leaves", 0, went)
			sends := join()
			sends.send("?")
			expect("one that sends something", 0, came)
			sends.Close()
			time.Sleep(readInterval)
			expect("and leaves", 0, went)

			visit()
			visit()
			if !all {
				expect("probes", 0)
			}
			time.Sleep(visitLogInterval)
			expect("ten minutes later", 2)
			visit()
			s.stop(t)
			expect("at the end", 1)
		})
	}
}

// Connections that have ended leave no goroutines and no descriptors. (In the
// bubble of other tests a goroutine that is left fails the test.)
func TestDescriptors(t *testing.T) {
	const fds = "/proc/self/fd"
	count := func() int {
		list, err := os.ReadDir(fds)
		if err != nil {
			t.Skipf("descriptors cannot be counted here: %v", err)
		}
		return len(list)
	}
	count()
	transports(t, func(t *testing.T, l net.Listener) {
		s := startServer(t, l)
		warm := dial(t, l) // the network poller has descriptors of its own
		warm.expect("[text] watching a (not there)")
		warm.send("json\n")
		warm.expect("[json] watching a (not there)")
		before, goroutines := count(), runtime.NumGoroutine()
		for i := range 50 {
			conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
			check.Must(t, err)
			if c, ok := conn.(*net.TCPConn); ok && i%2 == 0 {
				c.SetLinger(0) // reset
			}
			conn.Close()
		}
		check.Eventually(t, "no descriptors and goroutines are left", func() bool {
			return count() <= before && runtime.NumGoroutine() <= goroutines
		})
		s.stop(t)
	})
}

// A subscriber that never reads is dropped after writeTimeout, with the reason, and
// delays no other.
func TestStuckSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		stuck, honest := l.dial(), newPeer(t, l.dial())
		honest.expect("[text] watching a (not there)")
		begin := time.Now()
		for i := range 5 {
			s.feed.Publish([]wire.Event{change("a", int64(i))})
			honest.expect("[text] modified a")
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("the honest one waited %v", took)
		}
		time.Sleep(writeTimeout + 1)
		synctest.Wait()
		s.feed.Publish([]wire.Event{change("a", 9)})
		honest.expect("[text] modified a")
		want := []string{
			"subscriber connected: pipe (2 now)", "subscriber connected: pipe (2 now)",
			"subscriber disconnected: pipe (1 now): dropped: reads too slowly (a 64 KiB write took more than 10s)",
		}
		check.Equal(t, "console", want, s.output.Take())
		if rest, _ := io.ReadAll(stuck); len(rest) > 0 {
			t.Errorf("it was still sent %q", rest)
		}
		s.stop(t)
	})
}

// A subscriber that reads a little within each writeTimeout stays, and gets
// everything.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		slow := newPeer(t, l.dial())
		slow.lines = bufio.NewReaderSize(slow.Conn, 16)
		for i := range 20 {
			s.feed.Publish([]wire.Event{change("a", int64(i))})
		}
		slow.expect("[text] watching a (not there)")
		for range 20 {
			time.Sleep(writeTimeout - time.Second)
			slow.expect("[text] modified a")
		}
		s.stop(t)
	})
}

// A large batch is written in pieces, with writeTimeout for each.
func TestPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		conn := l.dial()
		p := newPeer(t, conn)
		p.expect("[text] watching a (not there)")
		var events []wire.Event
		for i := range 10_000 {
			events = append(events, change("a", int64(i)))
		}
		s.feed.Publish(events)
		got := 0
		for buf := make([]byte, 1<<20); got < len(wire.Encode(wire.Text, events)); {
			time.Sleep(writeTimeout - 1)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			if n > writePiece {
				t.Fatalf("a piece of %d bytes", n)
			}
			got += n
		}
		s.stop(t)
	})
}

// The server ends soon whatever subscribers do: those that read get a regular end,
// and writes to those that do not are broken off.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		stuck, honest, flooding := l.dial(), newPeer(t, l.dial()), l.dial()
		honest.expect("[text] watching a (not there)")
		go func() {
			junk := make([]byte, 1000)
			for {
				if _, err := flooding.Write(junk); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Second)
		begin := time.Now()
		s.stop(t)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("took %v", took)
		}
		honest.expectEnd()
		stuck.Close()
		flooding.Close()
	})
}

// After a flood, the end of the connection is noticed soon.
func TestFloodEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		p := newPeer(t, l.dial())
		p.expect("[text] watching a (not there)")
		begin := time.Now()
		const sent = 1 << 20
		p.send(strings.Repeat("x", sent))
		p.Close()
		synctest.Wait()
		time.Sleep(readInterval)
		synctest.Wait()
		if took, most := time.Since(begin), (sent/floodBuffer+3)*readInterval; took > most || s.feed.Count() > 0 {
			t.Errorf("after %v it is still read, want %v", took, most)
		}
		s.stop(t)
	})
}

// At the end a stuck peer is reset, so that the kernel does not keep what the peer
// never read; a peer that sent something is not reset, so that it gets all.
func TestShutdownResetsTheStuck(t *testing.T) {
	ls, err := sock.Address{Network: "tcp", Name: "127.0.0.1:0"}.Listen(t.Context(), 0, t.Logf)
	check.Must(t, err)
	s := startServer(t, ls[0])
	stuck, honest := dial(t, ls[0]), dial(t, ls[0])
	stuck.expect("[text] watching a (not there)")
	honest.expect("[text] watching a (not there)")
	honest.send("anything\njson\n")
	honest.expect("[json] watching a (not there)")
	// More than the kernel's buffers at both ends take.
	huge := make([]wire.Event, 500)
	for i := range huge {
		huge[i] = change("a/"+strings.Repeat("x", 20_000), 1)
		huge[i].Target = "a"
	}
	s.feed.Publish(huge)
	for range huge {
		honest.expect("[json] modified " + huge[0].File + " 1")
	}
	begin := time.Now()
	s.stop(t)
	t.Logf("stopped after %v", time.Since(begin))
	honest.expectEnd()
	if n, err := io.Copy(io.Discard, stuck.lines); err == nil {
		t.Errorf("the stuck peer got a regular end, after %d bytes", n)
	}
}

// After a temporary error accept waits for a random time, below a limit that
// doubles until a connection is accepted. A final error ends the server.
func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, other := newPipeListener(), newPipeListener()
		s := startServer(t, l, other)
		start := time.Now()
		outOfFiles := &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", check.Errno(syscall.EMFILE, 10024))}
		l.accepts <- outOfFiles
		limit, longest := minAcceptRetry, time.Duration(0)
		for i := range 30 {
			begin := time.Now()
			l.accepts <- outOfFiles
			took := time.Since(begin)
			if took < minAcceptRetry || took > limit {
				t.Errorf("wait %d took %v, want %v to %v", i, took, minAcceptRetry, limit)
			}
			longest = max(longest, took)
			limit = min(2*limit, maxAcceptRetry)
		}
		if longest < 64*minAcceptRetry {
			t.Errorf("the longest wait took %v: they do not grow", longest)
		}
		p := newPeer(t, l.dial())
		p.expect("[text] watching a (not there)")
		l.accepts <- outOfFiles
		begin := time.Now()
		l.accepts <- outOfFiles
		if took := time.Since(begin); took != minAcceptRetry {
			t.Errorf("after a success it waits %v, want %v", took, minAcceptRetry)
		}
		s.feed.Publish([]wire.Event{change("a", 1)})
		p.expect("[text] modified a")
		final := errors.New("the network is on fire")
		other.accepts <- final
		if err := <-s.done; !errors.Is(err, final) || err.Error() != "accept at pipe: the network is on fire" {
			t.Errorf("serve: %v", err)
		}
		var complaints []string
		for _, line := range s.output.Take() {
			if strings.HasPrefix(line, "cannot") {
				complaints = append(complaints, line)
			}
		}
		want := "cannot accept subscribers at pipe for now: " + oserr.Cause(outOfFiles).Error()
		most := 1 + int(time.Since(start)/acceptLogInterval)
		if n := len(complaints); n == 0 || n > most || complaints[0] != want || complaints[n-1] != want {
			t.Errorf("console: %q, want 1 to %d of %q", complaints, most, want)
		}
		p.expectEnd()
		<-l.closed
		s.cancel()
	})
}

// A flood of anything, words too, costs one read in each readInterval.
func TestFlood(t *testing.T) {
	for _, line := range []string{strings.Repeat("x", 100), "text\n", "json\ntext\n"} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			s := startServer(t, l)
			p := newPeer(t, l.dial())
			p.expect("[text] watching a (not there)")
			begin := time.Now()
			for range 100 {
				p.send(line)
			}
			if took := time.Since(begin); took < 99*readInterval {
				t.Errorf("100 reads of %q took %v, want %v", line, took, 99*readInterval)
			}
			p.send("\njson\n")
			p.expect("[json] watching a (not there)")
			s.stop(t)
		})
	}
}

// A subscriber that asks for a scan is greeted again when a scan that begins later has
// ended, after its changes; once for what it asks for before a scan begins. Others are
// not, and one that has left is forgotten.
func TestScanWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := newTestServer(newTestFeed("a"), wire.Text)
		begun := uint64(0)
		s.ask = func() uint64 { return begun + 1 }
		s.start(t, l)
		p, other, leaves := newPeer(t, l.dial()), newPeer(t, l.dial()), newPeer(t, l.dial())
		for _, p := range []*peer{p, other, leaves} {
			p.expect("[text] watching a (not there)")
		}
		say := func(p *peer, words string) {
			p.send(words)
			time.Sleep(readInterval)
			synctest.Wait()
		}
		say(p, "scan\nscan\n")
		say(p, "scan\n")
		say(leaves, "scan\n")
		leaves.Close()
		begun = 1
		say(p, "scan\n")
		say(p, "scan\n")
		s.feed.Publish([]wire.Event{change("a", 1)})
		p.expect("[text] modified a")
		other.expect("[text] modified a")
		s.scanned(1)
		p.expect("[text] watching a")
		begun = 2
		s.scanned(2)
		p.expect("[text] watching a")
		say(p, "json\nscan\n")
		p.expect("[json] watching a 1")
		begun = 3
		s.scanned(3)
		p.expect("[json] watching a 1")
		check.Equal(t, "who waits", 0, len(s.awaiting.waits))

		// A scan that has ended before the subscriber waits for it will do.
		s.ask = func() uint64 { return 3 }
		say(p, "scan\n")
		p.expect("[json] watching a 1")
		s.feed.Publish([]wire.Event{change("a", 2)})
		p.expect("[json] modified a 2")
		other.expect("[text] modified a")
		s.stop(t)
	})
}

// shutdownGrace is for all pieces together.
func TestShutdownWhileTrickling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := startServer(t, l)
		p := newPeer(t, l.dial())
		p.expect("[text] watching a (not there)")
		s.feed.Publish(slices.Repeat([]wire.Event{change("a", 1)}, 100_000))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			buf := make([]byte, writePiece)
			for {
				if _, err := p.Read(buf); err != nil {
					return
				}
				time.Sleep(shutdownGrace / 2)
			}
		}()
		time.Sleep(time.Second)
		begin := time.Now()
		s.stop(t)
		if took := time.Since(begin); took > shutdownGrace+drainTimeout {
			t.Errorf("took %v", took)
		}
		<-ended
	})
}

// Input that was not read yet does not cost a peer the regular end.
func TestShutdownReadsFirst(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		s := startServer(t, l)
		p := dial(t, l)
		p.expect("[text] watching a (not there)")
		p.send(strings.Repeat("all work and no play\n", 1000))
		s.stop(t)
		p.expectEnd()
	})
}

func TestWords(t *testing.T) {
	spaces := strings.Repeat(" ", maxWord-len("json"))
	for _, test := range []struct {
		in   string
		want string // the last word, if any
	}{
		{"json\n", "json"},
		{"text\n", "text"},
		{"json\r\n", "json"},
		{" \t json \t \n", "json"},
		{"json", ""},
		{"\n \r\n", ""},
		{"\njson\n", "json"},
		{"json\ntext\n", "text"},
		{"json\nJSON\n", "json"},
		{"{\"type\":\"json\"}\n", ""},
		{"json text\n", ""},
		{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
		{"\x00\xff\njson\n", "json"},
		{"scan\n", "scan"},
		{" scan\r\n", "scan"},
		{"scan\njson\nscan\ntext\n", "text scan"},
		{"scan", ""},
		{"scan now\nSCAN\n", ""},
		{spaces + "scan\n", "scan"},
		{spaces + " scan\n", ""},
		{spaces + "json\n", "json"},
		{spaces + " json\n", ""},
		{spaces + spaces + "json\n", ""},
		{strings.Repeat("x", 10000) + "\njson\n", "json"},
		{strings.Repeat("x", maxWord+1) + "json\n", ""}, // the tail of a long line is no word
	} {
		for _, chunk := range []int{1, 3, 1 << 20} {
			var format, scan string
			var w words
			for r := (&chunks{[]byte(test.in), chunk}); len(r.b) > 0; {
				to, found := w.find(r.next())
				if to != nil {
					format = map[wire.Format]string{wire.Text: "text", wire.JSON: "json"}[*to]
				}
				if found {
					scan = " scan"
				}
			}
			if got := strings.TrimSpace(format + scan); got != test.want {
				t.Errorf("%.50q by %d: %q, want %q", test.in, chunk, got, test.want)
			}
		}
	}
}

// chunks is read a few bytes at a time.
type chunks struct {
	b []byte
	n int
}

func (c *chunks) next() []byte {
	n := min(c.n, len(c.b))
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p, c.b[:min(c.n, len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

// The words are those of the lines of a stream, however the reads cut it.
func FuzzWords(f *testing.F) {
	f.Add([]byte("json\n text\r\nx\n"), 3)
	f.Add([]byte(strings.Repeat(" ", 255)+"json\njson\n"), 100)
	f.Fuzz(func(t *testing.T, in []byte, chunk int) {
		if chunk < 1 {
			return
		}
		var got, want []wire.Format
		var gotScan, wantScan bool
		var w words
		for r := (&chunks{in, chunk}); len(r.b) > 0; {
			word, scan := w.find(r.next())
			if word != nil && (len(got) == 0 || got[len(got)-1] != *word) {
				got = append(got, *word)
			}
			gotScan = gotScan || scan
		}
		for line := range bytes.Lines(in) {
			line, ended := bytes.CutSuffix(line, []byte("\n"))
			word, ok := wire.ParseFormat(strings.Trim(string(line), " \t\r"))
			if ended && ok && len(line) <= maxWord {
				want = append(want, word)
			}
			if ended && strings.Trim(string(line), " \t\r") == "scan" && len(line) <= maxWord {
				wantScan = true
			}
		}
		if gotScan != wantScan {
			t.Errorf("%q by %d: asks for a scan: %v, want %v", in, chunk, gotScan, wantScan)
		}
		// Of several words in one read only the last counts.
		if len(want) > 0 && (len(got) == 0 || got[len(got)-1] != want[len(want)-1]) || len(want) == 0 && len(got) > 0 {
			t.Errorf("%q by %d: got %v, want %v", in, chunk, got, want)
		}
	})
}

// File system calls have as many descriptors as they can hold, and a third of them where
// there are few: a slow file system takes nothing from subscribers, nor they from it.
func TestShareFiles(t *testing.T) {
	for _, test := range []struct{ files, calls, subscribers int }{
		{1 << 20, scan.MaxCalls, 1<<20 - scan.MaxCalls - heldFiles - 2},
		{1024, scan.MaxCalls, 1024 - scan.MaxCalls - heldFiles - 2},
		{256, scan.MaxCalls, 256 - scan.MaxCalls - heldFiles - 2},
		{64, 16, 34},
		{20, minCalls, 2},
		{8, minCalls, 1},
	} {
		calls, subscribers := shareFiles(test.files, 2)
		check.Equal(t, fmt.Sprint(test.files, " files"), []int{test.calls, test.subscribers}, []int{calls, subscribers})
	}
}
