package faults

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"net-watcher/internal/check"
)

// Network is a network in memory. Connections are as TCP on Linux has them on its
// loopback interface, until a test does something to their Links. The fields are to be
// set before the first connection.
type Network struct {
	// Buffer is how many bytes each direction of a connection holds that were sent and
	// not read yet; 64 KiB if it is 0. When it is full, writes wait.
	Buffer int

	// Backlog is how many connections wait for Accept at each listener; 128 if it is 0.
	// Further dials wait.
	Backlog int

	// Dialed is called with each new Link and the context of its Dial, before the
	// listener can accept it, if it is not nil. It must not use the Network.
	Dialed func(context.Context, *Link)

	mu        sync.Mutex // guards the fields below, and the listeners
	listeners map[netip.AddrPort]*Listener
	lastPort  uint16
	refusing  bool
	full      bool
	open      Level
	changed   signal // for dials and accepts that wait
}

// firstPort is the first of the ports that are given out.
const firstPort = 32768

var (
	errRefused  = number(syscall.ECONNREFUSED, 10061)
	errReset    = number(syscall.ECONNRESET, 10054)
	errInUse    = number(syscall.EADDRINUSE, 10048)
	errTimedOut = number(syscall.ETIMEDOUT, 10060)
	errNoConn   = number(syscall.ENOTCONN, 10057)
	errPipe     = number(syscall.EPIPE, 232)
)

// number returns an error number of this system, without a path.
func number(unix, windows syscall.Errno) error { return errors.Unwrap(check.Errno(unix, windows)) }

// signal wakes all that wait for a change. It is guarded by the lock of its owner.
type signal struct{ changed chan struct{} }

// wait returns a channel that the next broadcast closes.
func (s *signal) wait() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *signal) broadcast() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Refuse makes all dials fail, or only those to an address without a listener.
func (n *Network) Refuse(yes bool) { n.set(&n.refusing, yes) }

// Full makes all dials wait, as if every backlog were full, or the host gone.
func (n *Network) Full(yes bool) { n.set(&n.full, yes) }

func (n *Network) set(field *bool, yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*field = yes
	n.changed.broadcast()
}

// Opened returns how many ends of connections are not closed, those that wait for
// Accept too.
func (n *Network) Opened() Level {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

func (n *Network) count(ends int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open.add(ends)
}

// nextPortLocked returns a port that was not given out yet.
func (n *Network) nextPortLocked() uint16 {
	n.lastPort = max(n.lastPort+1, firstPort)
	return n.lastPort
}

// Listen listens at an address such as 127.0.0.1:60300, or at any port if that is 0.
func (n *Network) Listen(address string) (*Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), n.nextPortLocked())
	}
	l := &Listener{network: n, addr: at}
	if n.listeners[at] != nil {
		return nil, l.error("listen", os.NewSyscallError("bind", errInUse))
	}
	if n.listeners == nil {
		n.listeners = make(map[netip.AddrPort]*Listener)
	}
	n.listeners[at] = l
	return l, nil
}

// Dial connects to the address of a listener, and waits for that as long as ctx lets
// it.
func (n *Network) Dial(ctx context.Context, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		l := n.listeners[at]
		switch {
		case n.refusing || l == nil && !n.full:
			err = os.NewSyscallError("connect", errRefused)
		case !n.full && len(l.queue) < cmp.Or(n.Backlog, 128):
			return l.connectLocked(ctx), nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			err = os.ErrDeadlineExceeded
		default:
			err = ctx.Err()
		}
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(at), Err: err}
		}
		changed := n.changed.wait()
		n.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		n.mu.Lock()
	}
}

// Listener is a net.Listener of a Network.
type Listener struct {
	network *Network
	addr    netip.AddrPort
	queue   []accepted // guarded by network.mu, as the next ones
	failing bool       // the last call of Accept has failed, or the next one will
	closed  bool
}

// accepted is a result of Accept.
type accepted struct {
	conn *Conn
	err  error
}

// connectLocked returns the client's end of a new connection.
func (l *Listener) connectLocked(ctx context.Context) *Conn {
	n := l.network
	client := netip.AddrPortFrom(l.addr.Addr(), n.nextPortLocked())
	link := newLink(n, client, l.addr, cmp.Or(n.Buffer, 64<<10))
	n.open.add(2)
	if n.Dialed != nil {
		n.Dialed(ctx, link)
	}
	l.queue = append(l.queue, accepted{conn: link.ToServer.to})
	n.changed.broadcast()
	return link.ToServer.from
}

// Accept implements net.Listener, as the next methods do.
func (l *Listener) Accept() (net.Conn, error) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		changed := l.network.changed.wait()
		l.network.mu.Unlock()
		<-changed
		l.network.mu.Lock()
	}
	if l.closed {
		return nil, l.error("accept", net.ErrClosed)
	}
	next := l.queue[0]
	l.queue = l.queue[1:]
	l.network.changed.broadcast()
	if l.failing = next.err != nil; l.failing {
		return nil, l.error("accept", next.err)
	}
	return next.conn, nil
}

// Close resets connections that still wait for Accept.
func (l *Listener) Close() error {
	n := l.network
	n.mu.Lock()
	if l.closed {
		n.mu.Unlock()
		return l.error("close", net.ErrClosed)
	}
	l.closed = true
	delete(n.listeners, l.addr)
	queue := l.queue
	l.queue = nil
	n.changed.broadcast()
	n.mu.Unlock()
	for _, a := range queue {
		if a.conn != nil {
			a.conn.SetLinger(0)
			a.conn.Close()
		}
	}
	return nil
}

func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Fail makes the next call of Accept return err, unless connections wait for that or the
// last call has failed: no two calls in a row do, so that the wait after each is a short one.
func (l *Listener) Fail(err error) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.failing || len(l.queue) > 0 {
		return
	}
	l.failing = true
	l.queue = append(l.queue, accepted{err: err})
	l.network.changed.broadcast()
}

func (l *Listener) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.Addr(), Err: err}
}

// earlier returns the earlier of two times, the zero ones of which do not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
