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
	waiting  atomic.Pointer[time.Time] // since when a Read waits; nil if none does
	closing  atomic.Bool               // no Write waits any more
}

func (c *belowTLS) Read(b []byte) (int, error) {
	now := time.Now()
	c.waiting.Store(&now)
	n, err := c.Conn.Read(b)
	c.waiting.Store(nil)
	c.received.Add(int64(n))
	return n, err
}

// waited returns for how long a Read has been waiting for the peer.
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
	return c.Conn.Write(b)
}
