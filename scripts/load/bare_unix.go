//go:build unix

package main

import (
	"io"
	"net"
	"syscall"
	"time"
)

// socket is the descriptor of a connection.
type socket int

// newSocket returns the socket of conn, which must stay open.
func newSocket(conn net.Conn) (s socket, err error) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(fd uintptr) { s = socket(fd) })
	return s, err
}

// write is one write call. It fails rather than wait.
func (s socket) write(b []byte) error {
	n, err := syscall.Write(int(s), b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// cpu returns the CPU time that this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
