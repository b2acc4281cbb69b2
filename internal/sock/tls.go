package sock

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"net-watcher/internal/oserr"
)

// handshakeTimeout is how long a TLS handshake may take at a server. A client has
// dialTimeout for that and for connecting.
const handshakeTimeout = 10 * time.Second

// IsTLS reports whether a is a tls:// address. Only a TLSServer listens at one, and only
// a TLSClient connects to one.
func (a Address) IsTLS() bool { return a.Network == "tls" }

// errNeedsTLS keeps a tls:// address from being used in the clear.
var errNeedsTLS = errors.New("a tls:// address without TLS")

// tcp returns the address below the TLS.
func (a Address) tcp() Address { return Address{"tcp", a.Name} }

// TLSClient connects to tls:// addresses. Dial may be called by one goroutine at a time.
type TLSClient struct {
	files   CertFiles
	config  *tls.Config
	logf    func(format string, args ...any)
	trouble string // why the files cannot be read again, as the log has it
}

// NewTLSClient returns a client that trusts the authorities in files, or, if these name
// none, those of the system, and shows the certificate in files if they name one. The
// error is about one of the files. Dial reads them again, and uses the last good ones, and
// calls logf, if it cannot.
func NewTLSClient(files CertFiles, logf func(string, ...any)) (*TLSClient, error) {
	c := &TLSClient{files: files, logf: logf}
	var err error
	c.config, err = c.newConfig()
	return c, err
}

func (c *TLSClient) newConfig() (*tls.Config, error) {
	pair, authorities, err := c.files.load(x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: authorities}
	if pair != nil {
		// Shown even if the server names other authorities: then it says what is wrong.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return config, nil
}

// Dial connects to a, within 10 s or until ctx is done. The certificate of the server must
// be for the host of a. The error says what to do, and does not name the address.
func (c *TLSClient) Dial(ctx context.Context, a Address) (net.Conn, error) {
	trouble := ""
	if config, err := c.newConfig(); err == nil {
		c.config = config
	} else if trouble = err.Error(); trouble != c.trouble {
		c.logf("%s; the last good one is used", trouble)
	}
	c.trouble = trouble

	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := a.tcp().Dial(ctx)
	if err != nil {
		return nil, err
	}
	return c.Over(ctx, raw, a)
}

// Over returns a connection to a over raw, which it owns, when the handshake is done. It
// uses the files as Dial has read them last; the error is as that of Dial.
func (c *TLSClient) Over(ctx context.Context, raw net.Conn, a Address) (net.Conn, error) {
	config := c.config.Clone()
	config.ServerName = serverName(a)
	conn := newTLSConn(raw, func(below net.Conn) *tls.Conn { return tls.Client(below, config) })
	conn.client = true
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, handshakeError(err, a)
	}
	return conn, nil
}

// serverName returns what the certificate of a server at a must be for.
func serverName(a Address) string {
	host, _, _ := net.SplitHostPort(a.Name)
	host, _, _ = strings.Cut(host, "%") // the zone of a link-local address
	return strings.TrimSuffix(host, ".")
}

// handshakeError returns what err, from the handshake of a client with the server at a,
// means and what to do about it.
func handshakeError(err error, a Address) error {
	var header tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &header):
		return fmt.Errorf("the server does not speak TLS (without TLS: %s)", a.Name)
	case errors.As(err, &authority):
		return fmt.Errorf("%w (-ca FILE says which authority to trust)", authority)
	case errors.As(err, &name):
		return fmt.Errorf("the server's %w", name)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no TLS handshake within %v: does the server speak TLS? (without TLS: %s)", dialTimeout, a.Name)
	case errors.Is(err, io.EOF), oserr.IsReset(err):
		return errors.New("the server closed the connection during the TLS handshake")
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the server's certificate: %w", e.Err)
	}
	return alertError(err)
}

// The numbers of the alerts that have a way out, in RFC 8446.
const (
	alertBadCertificate      tls.AlertError = 42
	alertUnsupported         tls.AlertError = 43
	alertExpired             tls.AlertError = 45
	alertCertificateUnknown  tls.AlertError = 46
	alertUnknownCA           tls.AlertError = 48
	alertProtocolVersion     tls.AlertError = 70
	alertCertificateRequired tls.AlertError = 116
)

// alertError returns what err means to a client if it is an alert of the server, and err
// itself otherwise. Package tls has no type for such an error; its text is that of the
// alert.
func alertError(err error) error {
	e, ok := errors.AsType[*net.OpError](err)
	if !ok || e.Op != "remote error" {
		return err
	}
	switch e.Err.Error() {
	case alertCertificateRequired.Error():
		return errors.New("the server wants a client certificate (-cert FILE -key FILE)")
	case alertUnknownCA.Error(), alertBadCertificate.Error(), alertExpired.Error(), alertUnsupported.Error(), alertCertificateUnknown.Error():
		return fmt.Errorf("the server refuses the certificate of -cert: %w", e.Err)
	case alertProtocolVersion.Error():
		return errors.New("the server does not speak TLS 1.3")
	}
	return fmt.Errorf("the server ended the connection: %w", e.Err)
}

// tlsConn is a TLS connection, whose socket has the options that subscribers set. (It has
// no SyscallConn: what is written past the TLS would go over the wire in the clear.)
type tlsConn struct {
	*tls.Conn
	below  *belowTLS
	client bool
}

func newTLSConn(raw net.Conn, with func(below net.Conn) *tls.Conn) *tlsConn {
	below := &belowTLS{Conn: raw}
	return &tlsConn{Conn: with(below), below: below}
}

// Read reads as a tls.Conn. It takes a connection that is cut off for one that has ended,
// as over TCP: so end programs that are killed. At a client the error says what an alert
// means.
func (c *tlsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case err == io.ErrUnexpectedEOF:
		err = io.EOF
	case err != nil && c.client:
		err = alertError(err)
	}
	return n, err
}

// Write writes as a tls.Conn. The error is that of the socket.
func (c *tlsConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if e, ok := errors.AsType[*net.OpError](err); ok { // inside one that package tls keeps for later writes
		err = e
	}
	return n, err
}

// Close sends the end of TLS if the socket takes it now, and closes the connection. Unlike
// that of a tls.Conn it never waits for the peer.
func (c *tlsConn) Close() error {
	c.below.closing.Store(true)
	c.below.Conn.SetWriteDeadline(time.Now()) // ends a write that has the lock of package tls
	if err := c.Conn.Close(); errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // with any other error the peer does not get the end of TLS; the socket is closed
}

// SetLinger is that of net.TCPConn.
func (c *tlsConn) SetLinger(seconds int) error {
	if conn, ok := c.below.Conn.(interface{ SetLinger(int) error }); ok {
		return conn.SetLinger(seconds)
	}
	return errors.ErrUnsupported
}

// SetWriteBuffer is that of net.TCPConn.
func (c *tlsConn) SetWriteBuffer(bytes int) error {
	if conn, ok := c.below.Conn.(interface{ SetWriteBuffer(int) error }); ok {
		return conn.SetWriteBuffer(bytes)
	}
	return errors.ErrUnsupported
}
