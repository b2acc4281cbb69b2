//go:build unix

package sock

import (
	"io"
	"net"
	"os"
	"syscall"
)

// writeAtOnce writes b if the socket takes it without waiting.
func writeAtOnce(conn net.Conn, b []byte) (int, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, os.ErrDeadlineExceeded
	}
	socket, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	writeErr := socket.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true
	})
	switch {
	case writeErr != nil:
		return 0, writeErr
	case err != nil:
		return 0, err
	case n < len(b):
		return n, io.ErrShortWrite
	}
	return n, nil
}
