package sock

import (
	"context"
	"net"
	"sync"
)

// Local is a listener for connections from this process. Its methods may be called from
// any goroutine.
type Local struct {
	name   string
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// LocalNetwork is what Addr().Network() of a Local returns.
const LocalNetwork = "local"

// NewLocal returns a Local whose Addr has the name, which is for messages only.
func NewLocal(name string) *Local {
	return &Local{name: name, dialed: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial waits until Accept takes the connection. The error is that of ctx, or
// net.ErrClosed.
func (l *Local) Dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.dialed <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection. The only error is net.ErrClosed.
func (l *Local) Accept() (net.Conn, error) {
	select {
	case conn := <-l.dialed:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial, and leaves connections alone. It returns nil.
func (l *Local) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the address of l, with its name.
func (l *Local) Addr() net.Addr { return localAddr(l.name) }

type localAddr string

func (localAddr) Network() string  { return LocalNetwork }
func (a localAddr) String() string { return string(a) }
