//go:build unix

package main

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// Without waiting: nothing to read is no error, nor is no room to write; the
// end is one, and so is a descriptor that is none.
func TestSocketNow(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		defer l.Close()
		theirs := dial(t, l)
		mine, err := l.Accept()
		must(t, err)
		defer mine.Close()
		mine.SetDeadline(time.Now().Add(30 * time.Second)) // so that a failing test ends
		raw, err := mine.(syscall.Conn).SyscallConn()
		must(t, err)
		buf := make([]byte, 1<<20)
		now := func(do func(uintptr, []byte) (int, error)) (n int, err error) {
			must(t, raw.Control(func(fd uintptr) { n, err = do(fd, buf) }))
			return n, err
		}
		if n, err := now(readNow); n != 0 || err != nil {
			t.Errorf("of nothing, %d bytes are read, %v", n, err)
		}
		wrote := 0
		for {
			n, err := now(writeNow)
			must(t, err)
			if n == 0 {
				break
			}
			wrote += n
		}
		for wrote > 0 {
			n, err := theirs.Read(buf)
			must(t, err)
			wrote -= n
		}
		theirs.send("x")
		must(t, theirs.Close())
		must(t, raw.Read(func(fd uintptr) bool {
			n, err := readNow(fd, buf)
			if n == 1 {
				n, err = readNow(fd, buf)
			}
			if n == 0 && err == nil {
				return false // it is on its way
			}
			if n != 0 || err != io.EOF {
				t.Errorf("at the end, %d bytes are read, %v", n, err)
			}
			return true
		}))
		for _, do := range []func(uintptr, []byte) (int, error){readNow, writeNow} {
			if n, err := do(1<<31-1, buf); n != 0 || err != syscall.EBADF {
				t.Errorf("of no socket, %d, %v", n, err)
			}
		}
	})
}

// The kernel holds only so much for a subscriber.
func TestSendBuffer(t *testing.T) {
	transports(t, func(t *testing.T, l net.Listener) {
		defer l.Close()
		dial(t, l)
		conn, err := l.Accept()
		must(t, err)
		defer conn.Close()
		u := newTestServer(newTestFeed("a"), textLines).newSubscriber(conn)
		must(t, u.raw.Control(func(fd uintptr) {
			n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
			must(t, err)
			if n != sendBuffer && n != 2*sendBuffer { // Linux doubles it
				t.Errorf("it holds %d bytes, want %d", n, sendBuffer)
			}
		}))
	})
}
