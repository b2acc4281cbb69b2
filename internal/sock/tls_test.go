package sock

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
)

// greeter accepts connections, sends each one a line, and keeps it until the peer ends
// it.
type greeter struct {
	*TLSServer
	address Address
	console *check.Buffer
	stop    func()
}

func newGreeter(t *testing.T, cert, key, ca string, max int) *greeter {
	t.Helper()
	server, err := NewTLSServer(CertFiles{cert, key, ca}, max)
	check.Must(t, err)
	g := &greeter{TLSServer: server, console: &check.Buffer{}}
	console := log.New(g.console, "", 0)
	server.Refused = func(_ net.Addr, reason string) { console.Printf("refused: %s", reason) }
	ls, err := server.Listen(t.Context(), Address{"tls", "127.0.0.1:0"})
	check.Must(t, err)
	l := ls[0]
	g.address = Address{"tls", l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				io.WriteString(conn, "hello\n")
				io.Copy(io.Discard, conn)
			})
		}
	})
	g.stop = sync.OnceFunc(func() {
		l.Close()
		wg.Wait()
	})
	t.Cleanup(g.stop)
	return g
}

// greet connects, and returns the error up to the greeting.
func (g *greeter) greet(t *testing.T, cert, key, ca string) error {
	t.Helper()
	c, err := NewTLSClient(CertFiles{cert, key, ca}, t.Logf)
	check.Must(t, err)
	return greet(t, c, g.address)
}

func greet(t *testing.T, c *TLSClient, a Address) error {
	t.Helper()
	conn, err := c.Dial(t.Context(), a)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "hello\n" {
		t.Errorf("greeting %q", line)
	}
	return err
}

// expect waits until the console has the line, and no other one.
func (g *greeter) expect(t *testing.T, line string) {
	t.Helper()
	var got []string
	check.Eventually(t, line, func() bool {
		got = append(got, g.console.Take()...)
		return len(got) > 0
	})
	check.Equal(t, "console", []string{line}, got)
}

// Each end checks the other one, and says what is wrong.
func TestTLS(t *testing.T) {
	a, b := check.NewAuthority(t, "a"), check.NewAuthority(t, "b")
	cert, key := a.Issue("both", nil)
	elsewhere, elsewhereKey := a.Issue("elsewhere", func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"files.example"}, nil
	})
	foreign, foreignKey := b.Issue("foreign", nil)
	const refusedCert = "refused: tls: failed to verify certificate: x509: certificate signed by unknown authority"
	for _, test := range []struct {
		name                            string
		serverCert, serverKey, serverCA string
		clientCert, clientKey, clientCA string
		want, console                   string
	}{
		{"one way", cert, key, "", "", "", a.CA, "", ""},
		{"mutual", cert, key, a.CA, cert, key, a.CA, "", ""},
		{"a certificate that nobody asks for", cert, key, "", foreign, foreignKey, a.CA, "", ""},
		{"wrong name", elsewhere, elsewhereKey, "", "", "", a.CA,
			"the server's x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs", "refused: the client ended the TLS handshake: tls: bad certificate"},
		{"unknown authority", cert, key, "", "", "", b.CA,
			"x509: certificate signed by unknown authority (-ca FILE says which authority to trust)", "refused: the client ended the TLS handshake: tls: bad certificate"},
		{"no client certificate", cert, key, a.CA, "", "", a.CA,
			"the server wants a client certificate (-cert FILE -key FILE)", "refused: tls: client didn't provide a certificate"},
		{"foreign client certificate", cert, key, a.CA, foreign, foreignKey, a.CA,
			"the server refuses the certificate of -cert: tls: unknown certificate authority", refusedCert},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGreeter(t, test.serverCert, test.serverKey, test.serverCA, 8)
			err := g.greet(t, test.clientCert, test.clientKey, test.clientCA)
			check.Equal(t, "error", test.want, check.Message(err))
			if test.console != "" {
				g.expect(t, test.console)
			}
			g.stop()
			check.Equal(t, "console", []string(nil), g.console.Take())
		})
	}
}

// A tls:// address is never used in the clear.
func TestTLSNeedsCertificates(t *testing.T) {
	a := Address{"tls", "127.0.0.1:0"}
	if ls, err := a.Listen(t.Context(), 0, t.Logf); err != errNeedsTLS {
		t.Errorf("%v, %v", ls, err)
	}
	if conn, err := a.Dial(t.Context()); err != errNeedsTLS {
		t.Errorf("%v, %v", conn, err)
	}
	if s, err := NewTLSServer(CertFiles{}, 1); err == nil {
		t.Errorf("%v without certificates", s)
	}
}

// What does not speak TLS is named at either end, and gets no byte in the clear.
func TestNotTLS(t *testing.T) {
	a := check.NewAuthority(t, "ca")
	cert, key := a.Issue("server", nil)
	g := newGreeter(t, cert, key, "", 8)
	conn, err := g.address.tcp().Dial(t.Context())
	check.Must(t, err)
	defer conn.Close()
	io.WriteString(conn, "json\n")
	got, _ := io.ReadAll(conn)
	if len(got) > 0 && got[0] != 21 { // an alert
		t.Errorf("it sends %q", got)
	}
	g.expect(t, "refused: does not speak TLS")

	conn, err = g.address.tcp().Dial(t.Context())
	check.Must(t, err)
	conn.Close() // a health probe
	g.expect(t, "refused: ")

	conn, err = g.address.tcp().Dial(t.Context())
	check.Must(t, err)
	io.WriteString(conn, "\x16\x03\x01\x00\x05") // the header of a record that does not come
	conn.Close()
	g.expect(t, "refused: left during the TLS handshake")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.Must(t, err)
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			io.WriteString(conn, "2026-01-02T03:04:05.678Z watching a (not there)\n")
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	c, err := NewTLSClient(CertFiles{CA: a.CA}, t.Logf)
	check.Must(t, err)
	err = greet(t, c, Address{"tls", l.Addr().String()})
	check.Equal(t, "error", fmt.Sprintf("the server does not speak TLS (without TLS: %v)", l.Addr()), check.Message(err))
}

// Only TLS 1.3 is spoken.
func TestOldTLS(t *testing.T) {
	a := check.NewAuthority(t, "ca")
	cert, key := a.Issue("server", nil)
	g := newGreeter(t, cert, key, "", 8)
	if conn, err := tls.Dial("tcp", g.address.Name, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Errorf("TLS %x", conn.ConnectionState().Version)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	check.Must(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	check.Must(t, err)
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	c, err := NewTLSClient(CertFiles{CA: a.CA}, t.Logf)
	check.Must(t, err)
	err = greet(t, c, Address{"tls", l.Addr().String()})
	check.Equal(t, "error", "the server does not speak TLS 1.3", check.Message(err))
}

// Half handshakes, more than may be pending, keep nobody out.
func TestHandshakeFlood(t *testing.T) {
	a := check.NewAuthority(t, "ca")
	cert, key := a.Issue("server", nil)
	g := newGreeter(t, cert, key, "", 16)
	for range 500 {
		conn, err := g.address.tcp().Dial(t.Context())
		check.Must(t, err)
		defer conn.Close()
	}
	check.Must(t, g.greet(t, "", "", a.CA))
	g.mu.Lock()
	n := len(g.pending)
	g.mu.Unlock()
	if n > 16 {
		t.Errorf("%d handshakes are pending", n)
	}
	for _, line := range g.console.Take() {
		if line != "refused: more than 16 TLS handshakes at a time" {
			t.Errorf("console: %s", line)
		}
	}
}

// pipes is a listener for pipes, which work in a synctest bubble.
type pipes struct {
	net.Listener
	conns chan net.Conn
}

func (l pipes) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l pipes) Close() error { close(l.conns); return nil }

// A crowd that makes its handshakes loses none of them, though it is larger than what may
// be pending.
func TestHandshakeCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := check.NewAuthority(t, "ca") // valid in the bubble, whose clock is in 2000
		cert, key := a.Issue("server", nil)
		s, err := NewTLSServer(CertFiles{Cert: cert, Key: key}, 4)
		check.Must(t, err)
		s.Refused = func(_ net.Addr, reason string) { t.Errorf("refused: %s", reason) }
		c, err := NewTLSClient(CertFiles{CA: a.CA}, t.Logf)
		check.Must(t, err)
		config := c.config.Clone()
		config.ServerName = "localhost"
		inner := pipes{conns: make(chan net.Conn)}
		l := s.Over(inner)
		var wg sync.WaitGroup
		for range 40 {
			mine, theirs := net.Pipe()
			wg.Go(func() { inner.conns <- theirs })
			wg.Go(func() {
				check.Must(t, tls.Client(mine, config).Handshake())
				mine.Close()
			})
		}
		for range 40 {
			conn, err := l.Accept()
			check.Must(t, err)
			conn.Close()
		}
		wg.Wait()
		l.Close()
	})
}

// A handshake has its time. Of those that are pending, the host with most loses the one
// that has waited for longest, and none that has waited for a moment only.
func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &TLSServer{max: 2, pending: make(map[*handshake]bool), freed: make(chan struct{}, 1), config: &tls.Config{}}
		var mu sync.Mutex
		var reasons []string
		take := func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			taken := reasons
			reasons = nil
			return taken
		}
		s.Refused = func(_ net.Addr, reason string) {
			mu.Lock()
			defer mu.Unlock()
			reasons = append(reasons, reason)
		}
		inner := pipes{conns: make(chan net.Conn)}
		l := s.Over(inner)
		done := make(chan error)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		var peers []net.Conn
		dial := func() {
			mine, theirs := net.Pipe()
			inner.conns <- theirs
			peers = append(peers, mine)
			synctest.Wait()
		}
		dial()
		time.Sleep(handshakeTimeout - time.Millisecond)
		check.Equal(t, "just before the time", []string(nil), take())
		time.Sleep(time.Millisecond)
		check.Equal(t, "then", []string{"no TLS handshake within 10s"}, take())

		dial()
		dial()
		dial()
		time.Sleep(patience - 2*time.Millisecond)
		check.Equal(t, "a moment later", []string(nil), take())
		time.Sleep(patienceInterval)
		check.Equal(t, "then", []string{"more than 2 TLS handshakes at a time"}, take())

		begin := time.Now()
		l.Close()
		if took := time.Since(begin); took > 0 {
			t.Errorf("Close waits %v for half handshakes", took)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		check.Equal(t, "after the end", []string(nil), take())
		if len(s.pending) > 0 {
			t.Errorf("%d are pending", len(s.pending))
		}
		for _, p := range peers {
			p.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.ReadAll(p); err != nil {
				t.Errorf("a peer is still connected: %v", err)
			}
		}
	})
}

// Certificates that are replaced are used from then on, by both ends; broken ones are
// not, and are logged once.
func TestRotation(t *testing.T) {
	a, b := check.NewAuthority(t, "a"), check.NewAuthority(t, "b")
	cert, key := a.Issue("server", nil)
	newCert, newKey := b.Issue("server", nil)
	g := newGreeter(t, cert, key, "", 8)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go g.Keep(ctx, log.New(g.console, "", 0).Printf)
	var console check.Buffer
	ca := a.CA
	client, err := NewTLSClient(CertFiles{CA: ca}, log.New(&console, "", 0).Printf)
	check.Must(t, err)
	check.Must(t, greet(t, client, g.address))

	replace := func(name, with string) {
		t.Helper()
		check.Must(t, os.Rename(with, name))
	}
	broken := t.TempDir() + "/broken"
	check.Must(t, os.WriteFile(broken, []byte("half of a certifi"), 0o600))
	good, err := os.ReadFile(cert)
	check.Must(t, err)
	replace(cert, broken)
	g.expect(t, fmt.Sprintf("-cert %q: no certificate in it (PEM); the last good certificates stay in use", cert))
	check.Must(t, greet(t, client, g.address))

	check.Must(t, os.WriteFile(broken, good, 0o600))
	replace(cert, broken)
	g.expect(t, fmt.Sprintf("the certificates were read again (-cert %q)", cert))

	replace(key, newKey)
	var lines []string
	replace(cert, newCert)
	check.Eventually(t, "the new certificate", func() bool {
		lines = append(lines, g.console.Take()...)
		return len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "the certificates were read again")
	})
	if err := greet(t, client, g.address); !strings.Contains(check.Message(err), "unknown authority") {
		t.Errorf("with the new certificate: %v", err)
	}
	g.expect(t, "refused: the client ended the TLS handshake: tls: bad certificate")

	caBytes, err := os.ReadFile(b.CA)
	check.Must(t, err)
	check.Must(t, os.WriteFile(ca, nil, 0o600))
	for range 2 {
		if err := greet(t, client, g.address); !strings.Contains(check.Message(err), "unknown authority") {
			t.Errorf("with a broken -ca: %v", err)
		}
	}
	check.Equal(t, "the client's console", []string{fmt.Sprintf("-ca %q: no certificate in it (PEM); the last good one is used", ca)}, console.Take())
	check.Must(t, os.WriteFile(ca, caBytes, 0o600))
	check.Must(t, greet(t, client, g.address))
}

// Close sends the end of TLS, and waits for nobody. A connection that is cut off ends, too.
func TestTLSClose(t *testing.T) {
	a := check.NewAuthority(t, "ca")
	cert, key := a.Issue("server", nil)
	s, err := NewTLSServer(CertFiles{Cert: cert, Key: key}, 8)
	check.Must(t, err)
	ls, err := s.Listen(t.Context(), Address{"tls", "127.0.0.1:0"})
	check.Must(t, err)
	defer ls[0].Close()
	address := Address{"tls", ls[0].Addr().String()}
	client, err := NewTLSClient(CertFiles{CA: a.CA}, t.Logf)
	check.Must(t, err)
	connect := func() (server, peer net.Conn) {
		accepted := make(chan net.Conn)
		go func() {
			conn, err := ls[0].Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- conn
		}()
		peer, err := client.Dial(t.Context(), address)
		check.Must(t, err)
		t.Cleanup(func() { peer.Close() })
		peer.SetDeadline(time.Now().Add(30 * time.Second))
		return <-accepted, peer
	}

	server, peer := connect()
	io.WriteString(server, "hello\n")
	check.Must(t, server.Close())
	got, err := io.ReadAll(peer)
	if string(got) != "hello\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}

	server, peer = connect()
	server.(*tlsConn).below.Conn.Close()
	if _, err := io.ReadAll(peer); err != nil {
		t.Errorf("cut off: %v", err)
	}
	server, peer = connect()
	peer.(*tlsConn).below.Conn.Close() // as a program that is killed
	if _, err := io.ReadAll(server); err != nil {
		t.Errorf("at the server: %v", err)
	}
	server.Close()

	// A peer that reads nothing. Package tls would wait for 5 s.
	server, _ = connect()
	server.(*tlsConn).SetWriteBuffer(1 << 10)
	raw := server.(*tlsConn).below.Conn
	raw.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for err = nil; err == nil; {
		_, err = raw.Write(make([]byte, 64<<10)) // past the TLS, which so has seen no error
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
	raw.SetWriteDeadline(time.Time{})
	closed := make(chan error)
	begin := time.Now()
	go func() { closed <- server.Close() }()
	check.Must(t, <-closed)
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("Close waits for %v", took)
	}
}

func TestServerName(t *testing.T) {
	for in, want := range map[string]string{
		"localhost:7":      "localhost",
		"files.example.:7": "files.example",
		"[::1]:7":          "::1",
		"[fe80::1%eth0]:7": "fe80::1",
		"10.0.0.1:7":       "10.0.0.1",
	} {
		check.Equal(t, in, want, serverName(Address{"tls", in}))
	}
}
