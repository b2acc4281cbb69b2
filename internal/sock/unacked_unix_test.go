//go:build unix

package sock

import (
	"net"
	"runtime"
	"syscall"
	"testing"

	"net-watcher/internal/check"
)

// Of a host that is gone a client knows soon, also when it has sent something: on
// Linux and macOS.
func TestDialUnacked(t *testing.T) {
	option, want := 0x12, 30_000
	switch runtime.GOOS {
	case "linux":
	case "darwin":
		option, want = 0x80, 30
	default:
		t.Skip("no such option")
	}
	l, err := net.Listen("tcp", net.JoinHostPort(check.Loopbacks(t)[0], "0"))
	check.Must(t, err)
	defer l.Close()
	conn, err := Address{"tcp", l.Addr().String()}.Dial(t.Context())
	check.Must(t, err)
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	check.Must(t, err)
	defer file.Close()
	got, err := syscall.GetsockoptInt(int(file.Fd()), syscall.IPPROTO_TCP, option)
	if err != nil || got != want {
		t.Errorf("the limit is %d, %v; want %d", got, err, want)
	}
}
