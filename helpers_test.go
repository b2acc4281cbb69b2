package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/feed"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
	"net-watcher/internal/wire/wiretest"
)

// newTestFeed returns a feed of targets that do not exist.
func newTestFeed(targets ...string) *feed.Feed { return feed.New(wiretest.Missing(targets...)) }

// change returns a Modified event of a target whose size, time and state are all
// n.
func change(target string, n int64) wire.Event { return wiretest.Change(target, n) }

// pipeListener returns the server's ends of pipes, or errors. It works in a
// synctest bubble, where real sockets do not.
type pipeListener struct {
	accepts chan any // net.Conn or error
	closed  chan struct{}
	once    sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{accepts: make(chan any), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepts:
		if err, ok := a.(error); ok {
			return nil, err
		}
		return a.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (l *pipeListener) dial() net.Conn {
	mine, theirs := net.Pipe()
	l.accepts <- theirs
	synctest.Wait() // until it is served
	return mine
}

// testServer is a server that runs until its test calls stop.
type testServer struct {
	*server
	output *check.Buffer // the console's
	cancel context.CancelFunc
	done   chan error // the result of serve
}

// newTestServer returns a server of f, which is yet to be started.
func newTestServer(f *feed.Feed, in wire.Format) *testServer {
	s := &testServer{output: &check.Buffer{}, done: make(chan error, 1)}
	s.server = newServer(f, in, 1<<30, log.New(s.output, "", 0), false)
	return s
}

func (s *testServer) start(t *testing.T, listeners ...net.Listener) {
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	go func() { s.done <- s.serve(ctx, listeners...) }()
}

func startServer(t *testing.T, listeners ...net.Listener) *testServer {
	s := newTestServer(newTestFeed("a"), wire.Text)
	s.start(t, listeners...)
	return s
}

// stop ends the server and checks that it ends as it should.
func (s *testServer) stop(t *testing.T) {
	t.Helper()
	s.cancel()
	if err := <-s.done; err != nil {
		t.Errorf("serve: %v", err)
	}
	if n := s.feed.Count(); n > 0 {
		t.Errorf("%d readers are left", n)
	}
}

// peer is a subscriber's end of a connection.
type peer struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

func newPeer(t *testing.T, conn net.Conn) *peer { return &peer{t, conn, bufio.NewReader(conn)} }

// expect reads as many lines as there are in want, in the short form of
// wiretest.Short.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		line, err := p.lines.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%v after %q, want %q", err, line, w)
		}
		if got := wiretest.Short(p.t, []byte(line)); got != w {
			p.t.Errorf("got %q, want %q", got, w)
		}
	}
}

// next reads a line of JSON.
func (p *peer) next() wire.Event {
	p.t.Helper()
	line, err := p.lines.ReadBytes('\n')
	check.Must(p.t, err)
	e, err := wire.Decode(line)
	check.Must(p.t, err)
	return e
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

// expectEnd reads on until the server's end, which must come with nothing more
// and be a regular one.
func (p *peer) expectEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.lines); err != nil || len(rest) > 0 {
		p.t.Errorf("at the end: %q, %v", rest, err)
	}
}

// transports listens on each transport in turn and runs do for it.
func transports(t *testing.T, do func(t *testing.T, l net.Listener)) {
	sockets(t, do)
	t.Run("tls", func(t *testing.T) { do(t, listenTLS(t)) })
}

// tlsListener is at a tls:// address, and has a client for it.
type tlsListener struct {
	net.Listener
	client *sock.TLSClient
}

// listenTLS listens at 127.0.0.1, for clients with a certificate.
func listenTLS(tb testing.TB) tlsListener {
	tb.Helper()
	a := check.NewAuthority(tb, "ca")
	cert, key := a.Issue("both", nil)
	files := sock.CertFiles{Cert: cert, Key: key, CA: a.CA}
	server, err := sock.NewTLSServer(files, sock.MaxHandshakes)
	check.Must(tb, err)
	client, err := sock.NewTLSClient(files, tb.Logf)
	check.Must(tb, err)
	ls, err := server.Listen(tb.Context(), sock.Address{Network: "tls", Name: "127.0.0.1:0"})
	check.Must(tb, err)
	return tlsListener{ls[0], client}
}

func (l tlsListener) dial(tb testing.TB) net.Conn {
	tb.Helper()
	conn, err := l.client.Dial(tb.Context(), sock.Address{Network: "tls", Name: l.Addr().String()})
	check.Must(tb, err)
	return conn
}

// sockets is transports for those without TLS.
func sockets(t *testing.T, do func(t *testing.T, l net.Listener)) {
	for _, a := range []struct{ name, address string }{
		{"tcp", "127.0.0.1:0"},
		{"unix", "unix:" + filepath.Join(check.SocketDir(t), "s")},
	} {
		t.Run(a.name, func(t *testing.T) {
			if a.name == "unix" {
				check.NeedUnix(t)
			}
			parsed, err := sock.Parse(a.address)
			check.Must(t, err)
			ls, err := parsed.Listen(t.Context(), 0o600, t.Logf)
			check.Must(t, err)
			do(t, ls[0])
		})
	}
}

func dial(t *testing.T, l net.Listener) *peer {
	t.Helper()
	if l, ok := l.(tlsListener); ok {
		return dialed(t, l.dial(t))
	}
	return dialTo(t, l.Addr().Network(), l.Addr().String())
}

func dialTo(t *testing.T, network, address string) *peer {
	t.Helper()
	conn, err := net.Dial(network, address)
	check.Must(t, err)
	return dialed(t, conn)
}

func dialed(t *testing.T, conn net.Conn) *peer {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second)) // so that a failing test ends
	return newPeer(t, conn)
}

// openFiles returns how many descriptors this process has, or 0 where the
// system does not say.
func openFiles(t *testing.T) int {
	if runtime.GOOS == "windows" {
		return 0 // and wine shows the descriptors of its own process
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	return len(list)
}
