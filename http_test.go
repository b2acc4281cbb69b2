package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/web"
	"net-watcher/internal/wire"
)

// startHTTP returns a server with a front at each listener.
func startHTTP(t *testing.T, listeners ...net.Listener) *testServer {
	s := newTestServer(newTestFeed("a"), wire.Text)
	s.transports = make(map[net.Listener]string)
	for _, l := range listeners {
		s.transports[l] = "http"
	}
	s.front = &web.Front{MaxConns: 10, Health: func() (bool, string) { return true, "ok\n" }, Metrics: func() []byte { return nil }}
	s.start(t, listeners...)
	return s
}

const getEvents = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"

// stream is a subscriber's end of a stream of events.
type stream struct{ *peer }

// newStream asks for the events and reads the head of the answer.
func newStream(p *peer) stream {
	p.t.Helper()
	go p.Conn.Write([]byte(getEvents))
	a, err := http.ReadResponse(p.lines, nil)
	check.Must(p.t, err)
	check.Equal(p.t, "type", "text/event-stream", a.Header.Get("Content-Type"))
	s := stream{p}
	s.expect("retry: 1000")
	return s
}

// expect reads an event for each element of want: its short form, or the line itself if it
// has no data.
func (s stream) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		line, err := s.lines.ReadString('\n')
		check.Must(s.t, err)
		blank, err := s.lines.ReadString('\n')
		check.Must(s.t, err)
		got := strings.TrimSuffix(line, "\n")
		if data, ok := strings.CutPrefix(got, "data: "); ok {
			e, err := wire.Decode([]byte(data))
			check.Must(s.t, err)
			got = e.String()
		}
		if got != w || blank != "\n" {
			s.t.Errorf("got %q and %q, want %q", got, blank, w)
		}
	}
}

// A stream is a subscriber like any other: greeting, changes, the end; what it sends is
// no word. Others on the same connection before it are answered.
func TestEventStream(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		s := startHTTP(t, l)
		healthy := func() *peer {
			t.Helper()
			p := dial(t, l)
			p.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
			a, err := http.ReadResponse(p.lines, nil)
			check.Must(t, err)
			text, _ := io.ReadAll(a.Body)
			check.Equal(t, "health", "200 OK ok\n", a.Status+" "+string(text))
			return p
		}
		p := healthy()
		first, second := newStream(p), newStream(dial(t, l))
		first.expect("watching a (not there)")
		second.expect("watching a (not there)")
		first.send("text\nscan\n")
		s.feed.Publish([]wire.Event{change("a", 1), change("a", 2)})
		first.expect("modified a", "modified a")
		second.expect("modified a", "modified a")
		second.Close()
		check.Eventually(t, "one is left", func() bool { return s.feed.Count() == 1 })
		subscribers, _, _ := s.counts.now()
		check.Equal(t, "counted", map[string]int{"http": 1}, subscribers)
		waits := healthy()
		s.stop(t)
		first.expectEnd()
		waits.expectEnd()
	})
}

// A comment comes each 15 s, to all streams and to nobody else, and never within an
// event. A stream that does not read is dropped, and delays nobody.
func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		words, l := newPipeListener(), newPipeListener()
		s := newTestServer(newTestFeed("a"), wire.JSON)
		s.transports = map[net.Listener]string{l: "http"}
		s.front = &web.Front{MaxConns: 10}
		s.start(t, words, l)
		synctest.Wait()
		plain := newPeer(t, words.dial())
		plain.expect("[json] watching a (not there)")
		one, stuck := newStream(newPeer(t, l.dial())), newStream(newPeer(t, l.dial()))
		one.expect("watching a (not there)")
		stuck.expect("watching a (not there)")
		time.Sleep(beatInterval)
		one.expect(":")
		stuck.expect(":")
		begin := time.Now()
		s.feed.Publish([]wire.Event{change("a", 1)})
		one.expect("modified a")
		plain.expect("[json] modified a 1")
		if took := time.Since(begin); took > 0 {
			t.Errorf("the others waited %v", took)
		}
		time.Sleep(writeTimeout)
		synctest.Wait()
		check.Equal(t, "subscribers", 2, s.feed.Count())
		_, drops, _ := s.counts.now()
		check.Equal(t, "drops", map[string]int{"slow": 1}, drops)
		time.Sleep(beatInterval - writeTimeout)
		one.expect(":")
		time.Sleep(beatInterval)
		synctest.Wait() // the stream is being sent the comment
		s.feed.Publish([]wire.Event{change("a", 2)})
		one.expect(":", "modified a")
		plain.expect("[json] modified a 2")
		s.stop(t)
		one.expectEnd()
	})
}

// Requests that do not end hold nothing for long, and never more than the limit.
func TestSlowHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.Must(t, err)
	s := startHTTP(t, l)
	var slow []*peer
	for range 100 {
		p := dial(t, l)
		p.send("GET /events HTTP/1.1\r\nHost")
		slow = append(slow, p)
	}
	honest := newStream(dial(t, l))
	honest.expect("watching a (not there)")
	check.Eventually(t, "the first are closed", func() bool { return s.conns.Load() <= int64(s.front.MaxConns)+1 })
	slow[len(slow)-1].send(": localhost\r\n\r\n")
	_, err = http.ReadResponse(slow[len(slow)-1].lines, nil)
	check.Must(t, err)
	s.stop(t)
}

// The real program: the health, the numbers, the page and a stream.
func TestHTTPProgram(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	check.Must(t, os.WriteFile(name, nil, 0o600))
	p := start(t, "-listen", "http://127.0.0.1:0", "-interval", "20ms", name)
	url := p.await(`listening on (http://127\.0\.0\.1:\d+) `)
	get := func(path string) string {
		t.Helper()
		a, err := http.Get(url + path)
		check.Must(t, err)
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		check.Must(t, err)
		return a.Status + "\n" + string(text)
	}
	check.Equal(t, "health", "200 OK\nok\n", get("/healthz"))
	if got := get("/"); !strings.Contains(got, "<title>net-watcher</title>") {
		t.Errorf("the page is %q", got)
	}
	events, err := http.Get(url + "/events")
	check.Must(t, err)
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	for _, want := range []string{"retry:", "", `data: {"type":"watching"`, ""} {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
			t.Fatalf("got %q, %v; want %q", lines.Text(), lines.Err(), want)
		}
	}
	check.Must(t, os.WriteFile(name, []byte("more"), 0o600))
	if !lines.Scan() || !strings.Contains(lines.Text(), `"change":"modified"`) {
		t.Errorf("got %q, %v", lines.Text(), lines.Err())
	}
	got := strings.Split(get("/metrics"), "\n")
	for _, want := range []string{
		"net_watcher_targets 1", "net_watcher_files 1", "net_watcher_unreadable_targets 0", "net_watcher_hung_calls 0",
		`net_watcher_changes_total{change="created"} 0`, `net_watcher_subscribers{transport="http"} 1`,
		`net_watcher_dropped_subscribers_total{reason="slow"} 0`, "net_watcher_missed_total 0",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("/metrics lacks %q:\n%s", want, strings.Join(got, "\n"))
		}
	}
	p.stop()
}

// A target that hangs makes the health bad after a while, with the reason, and its return
// good. The others do not matter to it.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ff := faults.Made()
		p := newTestPoll(ctx, ff, "nfs/a", "b")
		mustStart(t, p)
		go func() {
			for range p.changes(ctx) {
			}
		}()
		expect := func(what string, ok bool, lines string) {
			t.Helper()
			gotOK, got := p.health()
			check.Equal(t, what, fmt.Sprint(ok, lines), fmt.Sprint(gotOK, got))
		}
		time.Sleep(1500 * time.Millisecond)
		expect("at first", true, "ok\n")
		ff.Hang("nfs/")
		time.Sleep(p.maxScanAge() - time.Second)
		expect("before it is too long", true, "ok\n")
		time.Sleep(2 * time.Second)
		expect("then", false, "nfs/a: not scanned for 10s: a file system call has not been answered for 9s\n")
		check.Equal(t, "hung calls", 1, p.scanner.Totals().Hung)
		if !p.isAlive() {
			t.Error("a file system that hangs is taken for a program that does")
		}
		ff.Release("nfs/")
		time.Sleep(2 * time.Second)
		expect("at the end", true, "ok\n")
	})
}
