package faults

import (
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// Conn is one end of a Link, with the methods of *net.TCPConn that matter here.
type Conn struct {
	Link *Link

	network       *Network
	local, remote netip.AddrPort
	in, out       *Way

	// The fields below are guarded by Link.mu.

	readDeadline, writeDeadline time.Time
	noLinger                    bool  // Close resets
	finished                    bool  // nothing more can be sent
	closed                      bool  // by Close
	dead                        bool  // there is no connection any more
	failure                     error // why, for the next call only
}

// failLocked ends the connection for c.
func (c *Conn) failLocked(err error) { c.dead, c.failure = true, err }

// Read implements net.Conn, as the next methods do.
func (c *Conn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	err = c.do("read", &c.readDeadline, func() (bool, error) {
		switch {
		case len(c.in.arrived) > 0:
			if c.in.piece > 0 {
				b = b[:min(len(b), c.in.piece)]
			}
			n = copy(b, c.in.arrived)
			c.in.arrived = c.in.arrived[n:]
			return true, nil
		case c.in.ended:
			return true, io.EOF
		case c.failure != nil:
			return true, c.takeFailureLocked()
		}
		return c.dead, io.EOF
	})
	return n, err
}

func (c *Conn) Write(b []byte) (int, error) { return c.write(b, false) }

// WriteNow writes as much of b as there is room for, maybe nothing, without waiting.
func (c *Conn) WriteNow(b []byte) (int, error) { return c.write(b, true) }

func (c *Conn) write(b []byte, now bool) (n int, err error) {
	err = c.do("write", &c.writeDeadline, func() (bool, error) {
		switch {
		case c.failure != nil:
			return true, c.takeFailureLocked()
		case c.dead || c.finished:
			return true, os.NewSyscallError("write", errPipe)
		}
		n += c.out.sendLocked(b[n:])
		return now || n == len(b), nil
	})
	return n, err
}

func (c *Conn) takeFailureLocked() error {
	err := c.failure
	c.failure = nil
	return err
}

// do calls try until it returns true, and the error that try has returned then.
func (c *Conn) do(op string, deadline *time.Time, try func() (bool, error)) error {
	l := c.Link
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		l.settleLocked()
		switch {
		case c.closed:
			return c.error(op, net.ErrClosed)
		case !deadline.IsZero() && !time.Now().Before(*deadline):
			return c.error(op, os.ErrDeadlineExceeded)
		}
		if done, err := try(); done {
			l.changed.broadcast()
			return c.error(op, err)
		}
		var due <-chan time.Time
		if next := earlier(l.nextLocked(), *deadline); !next.IsZero() {
			due = time.After(time.Until(next))
		}
		changed := l.changed.wait()
		l.mu.Unlock()
		select {
		case <-changed:
		case <-due:
		}
		l.mu.Lock()
	}
}

// error returns err as package net does.
func (c *Conn) error(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Close ends the connection regularly: with a reset if there is something to read, or
// after SetLinger(0).
func (c *Conn) Close() error {
	err := c.whileOpen("close", func() error {
		c.closed = true
		switch {
		case c.dead:
		case c.noLinger || len(c.in.arrived) > 0:
			c.out.pushLocked(reset, nil)
		case !c.finished:
			c.out.pushLocked(regular, nil)
		}
		c.in.arrived = nil
		return nil
	})
	if err == nil {
		c.network.count(-1)
	}
	return err
}

// CloseWrite says that nothing more is sent.
func (c *Conn) CloseWrite() error {
	return c.whileOpen("close", func() error {
		switch {
		case c.dead || c.finished && c.in.ended:
			return os.NewSyscallError("shutdown", errNoConn)
		case !c.finished:
			c.finished = true
			c.out.pushLocked(regular, nil)
		}
		return nil
	})
}

// SetLinger makes Close reset the connection if sec is 0.
func (c *Conn) SetLinger(sec int) error {
	return c.whileOpen("set", func() error { c.noLinger = sec == 0; return nil })
}

func (c *Conn) SetDeadline(t time.Time) error {
	return c.whileOpen("set", func() error { c.readDeadline, c.writeDeadline = t, t; return nil })
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.whileOpen("set", func() error { c.readDeadline = t; return nil })
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.whileOpen("set", func() error { c.writeDeadline = t; return nil })
}

// whileOpen calls do, unless c is closed, and then wakes the calls that wait at either
// end.
func (c *Conn) whileOpen(op string, do func() error) error {
	c.Link.mu.Lock()
	defer c.Link.mu.Unlock()
	if c.closed {
		return c.error(op, net.ErrClosed)
	}
	c.Link.settleLocked()
	err := do()
	c.Link.changed.broadcast()
	return c.error(op, err)
}

func (c *Conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
