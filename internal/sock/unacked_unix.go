//go:build unix

package sock

import (
	"runtime"
	"syscall"
	"time"
)

// limitUnacked makes the system give up a connection after unackedTimeout, where it
// can. Without that Linux sends again for a quarter of an hour.
func limitUnacked(_, _ string, socket syscall.RawConn) error {
	var option, value int
	switch runtime.GOOS {
	case "linux":
		option, value = 0x12, int(unackedTimeout/time.Millisecond) // TCP_USER_TIMEOUT
	case "darwin":
		option, value = 0x80, int(unackedTimeout/time.Second) // TCP_RXT_CONNDROPTIME
	default:
		return nil
	}
	return socket.Control(func(fd uintptr) {
		// It fails for a Unix socket, which does without.
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, option, value)
	})
}
