package sock

import (
	"net"
	"sync/atomic"
	"time"
)

// belowTLS is the connection that a tls.Conn reads from and writes to.
type belowTLS struct {
	net.Conn

	received atomic.Int64              // bytes
	waiting  atomic.Pointer[time.Time] // since when a Read or a Write waits; nil if none does
	closing  atomic.Bool               // no Write waits any more
}

func (c *belowTLS) Read(b []byte) (int, error) {
	c.waiting.Store(new(time.Now()))
	n, err := c.Conn.Read(b)
	c.waiting.Store(nil)
	c.received.Add(int64(n))
	return n, err
}

// waited returns for how long a call has been waiting for the peer, in a handshake, which
// makes one at a time.
func (c *belowTLS) waited() time.Duration {
	if since := c.waiting.Load(); since != nil {
		return time.Since(*since)
	}
	return 0
}

func (c *belowTLS) Write(b []byte) (int, error) {
	if c.closing.Load() {
		return writeAtOnce(c.Conn, b)
	}
	c.waiting.Store(new(time.Now()))
	defer c.waiting.Store(nil)
	return c.Conn.Write(b)
}
