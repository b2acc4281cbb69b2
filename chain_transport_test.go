package main

import (
	"context"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/proof"
	"net-watcher/internal/sock"
)

// chainAddresses are where the servers of a chain listen, by transport.
var chainAddresses = map[string]sock.Address{
	"tcp":   {Network: "tcp", Name: "127.0.0.1:60300"},
	"tls":   {Network: "tls", Name: "127.0.0.1:60301"},
	"http":  {Network: "tcp", Name: "127.0.0.1:60302"},
	"https": {Network: "tls", Name: "127.0.0.1:60303"},
}

// chainTransports are those of a run: most runs do without the work of TLS. Readers have
// them by turns, and a client of none of HTTP.
var chainTransports = [8][]string{
	{"tcp"}, {"tcp"}, {"tcp"}, {"tcp", "http"}, {"tcp", "http", "http"}, {"tcp", "tls"}, {"tcp", "tls", "tls", "http"}, {"tcp", "tls", "http", "https"},
}

func isTLS(transport string) bool { return chainAddresses[transport].IsTLS() }

func isHTTP(transport string) bool { return strings.HasPrefix(transport, "http") }

// chainTLS is what TLS needs at both ends.
type chainTLS struct {
	authority  *check.Authority
	files      sock.CertFiles // of both
	client     *sock.TLSClient
	handshakes int // that a server may have at a time
}

// newChainTLS makes certificates, which are valid by the clock of its bubble.
func newChainTLS(t *testing.T, handshakes int) *chainTLS {
	t.Helper()
	c := &chainTLS{authority: check.NewAuthority(t, "ca"), handshakes: handshakes}
	c.files.CA = c.authority.CA
	c.files.Cert, c.files.Key = c.issue()
	var err error
	c.client, err = sock.NewTLSClient(c.files, t.Logf)
	check.Must(t, err)
	return c
}

// issue makes another certificate in the same files, which servers read soon.
func (c *chainTLS) issue() (cert, key string) { return c.authority.Issue("both", nil) }

// overTransports are the listeners of a server.
type overTransports struct {
	listeners []net.Listener
	names     map[net.Listener]string // as server has them
	secure    *sock.TLSServer         // nil without TLS
}

// overTransports returns what listens at each transport over the listeners, as watch does.
func (c *chain) overTransports(ctx context.Context, listeners []*faults.Listener, console *log.Logger) (o overTransports) {
	if c.secure != nil {
		var err error
		o.secure, err = sock.NewTLSServer(c.secure.files, c.secure.handshakes)
		check.Must(c.T, err)
		go o.secure.Keep(ctx, console.Printf)
	}
	o.names = make(map[net.Listener]string)
	for i, t := range c.transports {
		l := net.Listener(listeners[i])
		if isTLS(t) {
			l = o.secure.Over(l)
		}
		if t != "tcp" {
			o.names[l] = t
		}
		o.listeners = append(o.listeners, l)
	}
	return o
}

func (o *overTransports) close() {
	for _, l := range o.listeners {
		l.Close()
	}
}

// dial connects to the server for a reader, as sock.Address.Dial and sock.TLSClient.Dial
// do, and over HTTP asks for the events. It calls begun before the server answers anything.
func (c *chain) dial(ctx context.Context, reader, transport string, begun func(*readerEnd)) (*readerEnd, error) {
	e := newReaderEnd(c.record, reader)
	e.shaking = isTLS(transport)
	if isHTTP(transport) {
		e.lines = new(proof.Stream).Lines
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, dialing{}, e), 10*time.Second)
	defer cancel()
	address := chainAddresses[transport]
	conn, err := c.network.Dial(ctx, address.Name)
	if err != nil {
		return nil, err
	}
	e.Conn, e.sock = conn, conn.(*faults.Conn)
	begun(e)
	if isTLS(transport) {
		if conn, err = c.secure.client.Over(ctx, conn, address); err != nil {
			e.Close()
			return nil, err
		}
		e.over(conn)
	}
	if isHTTP(transport) { // while the answers are read, or both ends could wait to write
		go io.WriteString(conn, chainRequests[e.id%len(chainRequests)])
	}
	return e, nil
}

// chainRequests ask for the events, the first ones at once, others after something else.
var chainRequests = []string{
	getEvents,
	"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:60302\r\n\r\n" + getEvents,
	getEvents,
	"\r\nGET /metrics HTTP/1.1\nhost: [::1]\n\n" + "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\nGET /events?x HTTP/1.0\r\n\r\n",
}

// A peer that reads nothing of its handshake keeps no subscriber out, also where that does
// not fit into a socket.
func TestHandshakeNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, "d")
		c.network.Buffer, c.transports, c.secure = 300, []string{"tcp", "tls"}, newChainTLS(t, 1)
		server := c.serve(locals{})
		ctx, cancel := context.WithCancel(t.Context())
		go c.dial(ctx, "stuck", "tls", func(e *readerEnd) { e.link.ToClient.Stall() })
		synctest.Wait()
		honest := c.read("tls")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		got := slices.ContainsFunc(c.record.history, func(r proof.Record) bool { return r.Kind == proof.Got && r.Reader == honest.name })
		check.Equal(t, "the honest one is greeted", true, got)
		cancel()
		honest.stop()
		server.stop()
		c.close()
	})
}
