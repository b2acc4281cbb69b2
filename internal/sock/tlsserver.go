package sock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"net-watcher/internal/oserr"
)

const (
	// MaxHandshakes is how many TLS handshakes a server may have at a time, if it has
	// the descriptors for that. One takes some 10 kB, and at most 150 kB.
	MaxHandshakes = 256

	// patience is how long a handshake must have waited for its peer before another one
	// may take its place: a few round trips, and few enough for thousands a second.
	patience = 50 * time.Millisecond

	// patienceInterval is how often one that needs a place looks for it.
	patienceInterval = patience / 5

	// certInterval is how often a server looks whether the files of its certificates
	// have changed.
	certInterval = time.Second

	// maxReason is the length of a reason for the console, in bytes. Peers choose parts
	// of it.
	maxReason = 200
)

// TLSServer listens at tls:// addresses. Its listeners share its certificates and its
// handshakes. Refused is to be set before the first Accept of a listener; the methods may
// be called from any goroutine.
type TLSServer struct {
	// Refused is called, from any goroutine, with a peer that has got no connection,
	// and why; the reason is "" if it has left without sending anything.
	Refused func(peer net.Addr, reason string)

	max    int
	files  CertFiles
	config *tls.Config // which asks current for another one
	loaded [3]stamp    // of the files in current; of Keep's goroutine, once that is called

	mu      sync.Mutex // guards the fields below
	current *tls.Config
	pending map[*handshake]bool

	freed chan struct{} // has one element when a handshake has ended
}

// NewTLSServer returns a server with the certificate and the key in these files, which it
// must have. If they name authorities, it takes only clients whose certificate one of
// these has signed. It has at most max handshakes at a time. The error is about one of the
// files.
func NewTLSServer(files CertFiles, max int) (*TLSServer, error) {
	if files.Cert == "" || files.Key == "" {
		return nil, errNeedsTLS
	}
	s := &TLSServer{
		Refused: func(net.Addr, string) {},
		max:     max,
		files:   files,
		pending: make(map[*handshake]bool),
		freed:   make(chan struct{}, 1),
	}
	s.loaded = s.files.stamps()
	var err error
	if s.current, err = s.newConfig(); err != nil {
		return nil, err
	}
	s.config = &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.currentConfig(), nil },
	}
	return s, nil
}

// newConfig reads the files.
func (s *TLSServer) newConfig() (*tls.Config, error) {
	pair, authorities, err := s.files.load(x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{*pair},
		// A client that comes again shows its certificate again, to what -ca has then.
		SessionTicketsDisabled: true,
		// Events are small, and greetings are not waited for byte by byte: fewer writes.
		DynamicRecordSizingDisabled: true,
	}
	if authorities != nil {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authorities
	}
	return config, nil
}

func (s *TLSServer) currentConfig() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Keep reads the certificates again whenever their files have changed, until ctx is done,
// and logs that. If the new ones are no good, or the present one has expired, it logs
// why, and those that are in use stay. It is called once. It does not return while the
// file system hangs: nothing may wait for it.
func (s *TLSServer) Keep(ctx context.Context, logf func(string, ...any)) {
	tick := time.NewTicker(certInterval)
	defer tick.Stop()
	expired := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.files.stamps()
		if !now[0].equal(s.loaded[0]) || !now[1].equal(s.loaded[1]) || !now[2].equal(s.loaded[2]) {
			s.loaded = now
			config, err := s.newConfig()
			if err != nil {
				logf("%v; the last good certificates stay in use", err)
				continue
			}
			s.mu.Lock()
			s.current = config
			s.mu.Unlock()
			expired = false
			logf("the certificates were read again (-cert %q)", s.files.Cert)
		}
		if err := checkTime(s.currentConfig().Certificates[0].Leaf); err != nil && !expired {
			expired = true
			logf("-cert %q: %v, and clients refuse it", s.files.Cert, err)
		}
	}
}

// Listen listens at a, which is a tls:// address, as Address.Listen does.
func (s *TLSServer) Listen(ctx context.Context, a Address) ([]net.Listener, error) {
	ls, err := a.tcp().Listen(ctx, 0, nil)
	for i, l := range ls {
		ls[i] = s.Over(l)
	}
	return ls, err
}

// Over returns a listener for TLS over the connections of l, which it owns. Accept
// returns connections whose handshake is done. One goroutine at a time calls Accept.
func (s *TLSServer) Over(l net.Listener) net.Listener {
	return &tlsListener{Listener: l, server: s, ready: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
}

// tlsListener accepts TCP connections in one goroutine, which begins with the first
// Accept, and has one for each handshake.
type tlsListener struct {
	net.Listener
	server *TLSServer

	start, stop sync.Once
	ready       chan net.Conn
	failed      chan error // of accept
	closed      chan struct{}
	wg          sync.WaitGroup // of all goroutines
}

// Accept waits for a connection whose handshake is done. The error is that of accepting
// the TCP connection.
func (l *tlsListener) Accept() (net.Conn, error) {
	l.start.Do(func() { l.wg.Go(l.accept) })
	select {
	case conn := <-l.ready:
		return conn, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener and the connections that Accept has not returned.
func (l *tlsListener) Close() error {
	l.start.Do(func() {}) // or else Accept could begin while this waits
	err := net.ErrClosed
	l.stop.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
		l.server.closeAll(l)
	})
	l.wg.Wait()
	return err
}

func (l *tlsListener) accept() {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.failed <- err:
				continue
			case <-l.closed:
				return
			}
		}
		h := l.newHandshake(raw)
		for !l.server.begin(h) {
			select {
			case <-l.server.freed:
			case <-time.After(patienceInterval):
			case <-l.closed:
				raw.Close()
				return
			}
		}
		l.wg.Go(h.run)
	}
}

// handshake is one that is not done yet.
type handshake struct {
	listener *tlsListener
	conn     *tlsConn
	host     netip.Prefix // of the peer: an address, of IPv6 its network
	replaced bool         // another one has its place; guarded by TLSServer.mu
}

func (l *tlsListener) newHandshake(raw net.Conn) *handshake {
	h := &handshake{listener: l}
	h.conn = newTLSConn(raw, func(below net.Conn) *tls.Conn { return tls.Server(below, l.server.config) })
	if a, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		ip := a.AddrPort().Addr().Unmap()
		h.host, _ = ip.WithZone("").Prefix(min(ip.BitLen(), 64))
	}
	return h
}

// begin gives h a place among the pending, and reports whether there was one. If all are
// taken, that is the place of the one that has waited for its peer for longest, among
// those of the host that has most: so a flood takes the places of its own.
func (s *TLSServer) begin(h *handshake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-h.listener.closed: // and closeAll has been here
		return false
	default:
	}
	if len(s.pending) >= s.max {
		count := make(map[netip.Prefix]int)
		for p := range s.pending {
			count[p.host]++
		}
		var victim *handshake
		for p := range s.pending {
			waited := p.conn.below.waited()
			switch {
			case waited < patience:
			case victim == nil, count[p.host] > count[victim.host],
				count[p.host] == count[victim.host] && waited > victim.conn.below.waited():
				victim = p
			}
		}
		if victim == nil {
			return false
		}
		victim.replaced = true
		delete(s.pending, victim)
		victim.conn.below.Conn.Close()
	}
	s.pending[h] = true
	return true
}

// end takes h from the pending, and reports whether another one had its place before.
func (s *TLSServer) end(h *handshake) (replaced bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, h)
	select {
	case s.freed <- struct{}{}:
	default:
	}
	return h.replaced
}

// closeAll ends the handshakes of l.
func (s *TLSServer) closeAll(l *tlsListener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.pending {
		if h.listener == l {
			h.conn.below.Conn.Close()
		}
	}
}

// run makes the handshake, and hands the connection to Accept.
func (h *handshake) run() {
	l := h.listener
	h.conn.SetDeadline(time.Now().Add(handshakeTimeout))
	err := h.conn.Handshake()
	h.conn.SetDeadline(time.Time{})
	replaced := l.server.end(h)
	if err == nil {
		select {
		case l.ready <- h.conn:
			return
		case <-l.closed:
		}
	}
	h.conn.Close()
	select {
	case <-l.closed:
	default:
		reason := h.reason(err, replaced)
		l.server.Refused(h.conn.RemoteAddr(), reason[:min(len(reason), maxReason)])
	}
}

// reason returns why the handshake has failed, "" if the peer has sent nothing and left.
func (h *handshake) reason(err error, replaced bool) string {
	var header tls.RecordHeaderError
	switch {
	case replaced:
		return fmt.Sprintf("more than %d TLS handshakes at a time", h.listener.server.max)
	case errors.As(err, &header):
		return "does not speak TLS"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no TLS handshake within %v", handshakeTimeout)
	case err == io.EOF || err == io.ErrUnexpectedEOF || oserr.IsReset(err): // between records, or within one
		if h.conn.below.received.Load() == 0 {
			return ""
		}
		return "left during the TLS handshake"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return fmt.Sprintf("the client ended the TLS handshake: %v", e.Err)
	}
	return oserr.Cause(err).Error()
}
