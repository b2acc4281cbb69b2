package sock

import (
	"net"
	"strings"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

// localhost is every loopback address, at one port.
func TestListenLocalhost(t *testing.T) {
	ls, err := Address{"tcp", "localhost:0"}.Listen(t.Context(), 0, t.Logf)
	check.Must(t, err)
	var ips []string
	for _, l := range ls {
		defer l.Close()
		a := l.Addr().(*net.TCPAddr)
		ips = append(ips, a.IP.String())
		if want := ls[0].Addr().(*net.TCPAddr).Port; a.Port != want {
			t.Errorf("%v is not at port %d", a, want)
		}
	}
	check.Equal(t, "events", check.Loopbacks(t), ips)
}

// A port that is taken on any of the addresses is an error, and the others are
// let go of.
func TestListenLocalhostInUse(t *testing.T) {
	for _, ip := range check.Loopbacks(t) {
		taken, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		check.Must(t, err)
		defer taken.Close()
		_, port, _ := net.SplitHostPort(taken.Addr().String())
		_, err = Address{"tcp", "LocalHost:" + port}.Listen(t.Context(), 0, t.Logf)
		if !oserr.IsInUse(err) || !strings.HasSuffix(err.Error(), " (for another port: -listen HOST:PORT)") {
			t.Errorf("%s taken: %v", ip, err)
		}
		taken.Close()
		ls, err := Address{"tcp", "localhost:" + port}.Listen(t.Context(), 0, t.Logf)
		if err != nil {
			t.Errorf("%s free again: %v", ip, err)
		}
		for _, l := range ls {
			l.Close()
		}
	}
}

func TestListenUnknownHost(t *testing.T) {
	// No name server is asked about a name like this.
	_, err := Address{"tcp", "no such host:0"}.Listen(t.Context(), 0, t.Logf)
	if err == nil || !strings.HasSuffix(err.Error(), " (for a Unix socket: unix:no such host)") {
		t.Errorf("error %v", err)
	}
}
