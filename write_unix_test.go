//go:build unix

package main

import (
	"net"
	"syscall"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// A write without room in the socket is no error.
func TestWriteNow(t *testing.T) {
	sockets(t, func(t *testing.T, l net.Listener) {
		defer l.Close()
		dial(t, l)
		conn, err := l.Accept()
		check.Must(t, err)
		defer conn.Close()
		raw, err := conn.(syscall.Conn).SyscallConn()
		check.Must(t, err)
		buf := make([]byte, 1<<20)
		check.Must(t, raw.Control(func(fd uintptr) {
			for n, err := 1, error(nil); n > 0; {
				n, err = writeNow(fd, buf)
				check.Must(t, err)
			}
		}))
		if n, err := writeNow(1<<31-1, buf); n != 0 || err != syscall.EBADF {
			t.Errorf("to no socket, %d, %v", n, err)
		}
	})
}

// The kernel holds only so much for a subscriber.
func TestSendBuffer(t *testing.T) {
	sockets(t, func(t *testing.T, l net.Listener) {
		defer l.Close()
		dial(t, l)
		conn, err := l.Accept()
		check.Must(t, err)
		defer conn.Close()
		u := newSubscriber(newTestServer(newTestFeed("a"), wire.Text).server, conn, "pipe", wire.Text)
		check.Must(t, u.writer.socket.Control(func(fd uintptr) {
			n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
			check.Must(t, err)
			if n != sendBuffer && n != 2*sendBuffer { // Linux doubles it
				t.Errorf("the send buffer has %d bytes, want %d", n, sendBuffer)
			}
		}))
	})
}
