package sock

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

func TestParse(t *testing.T) {
	tcp := func(host, port string) Address { return Address{"tcp", net.JoinHostPort(host, port)} }
	unix := func(path string) Address { return Address{"unix", path} }
	for _, test := range []struct {
		in   string
		want Address
		err  string
	}{
		{in: "localhost:60300", want: tcp("localhost", "60300")},
		{in: "localhost", want: tcp("localhost", "60300")},
		{in: "localhost:", want: tcp("localhost", "60300")},
		{in: ":7000", want: tcp("", "7000")},
		{in: ":0", want: tcp("", "0")},
		{in: "10.0.0.1", want: tcp("10.0.0.1", "60300")},
		{in: "10.0.0.1:1", want: tcp("10.0.0.1", "1")},
		{in: "::1", want: tcp("::1", "60300")},
		{in: "::", want: tcp("::", "60300")},
		{in: "[::1]", want: tcp("::1", "60300")},
		{in: "[::1]:7000", want: tcp("::1", "7000")},
		{in: "fe80::1%eth0", want: tcp("fe80::1%eth0", "60300")},
		{in: "unix:watch.sock", want: unix("watch.sock")},
		{in: "unix:/run/watch.sock", want: unix("/run/watch.sock")},
		{in: "./watch.sock", want: unix("./watch.sock")},
		{in: "/run/a:b", want: unix("/run/a:b")},
		{in: "UNIX:s", want: unix("s")},
		{in: "d/s", want: unix("d/s")},
		{in: "d:x/s", want: unix("d:x/s")},
		{in: "./h:1/", want: unix("./h:1/")},
		{in: "unix:h:1/", want: unix("h:1/")},
		{in: "./a://b", want: unix("./a://b")},
		{in: "tcp://there:7", want: tcp("there", "7")},
		{in: "TCP://there", want: tcp("there", "60300")},
		{in: "tcp://[::1]:7", want: tcp("::1", "7")},
		{in: "tcp://::1", want: tcp("::1", "60300")},
		{in: "tcp://:7", want: tcp("", "7")},
		{in: "größe_1.example:7", want: tcp("größe_1.example", "7")},

		{in: "tcp://", err: `address "tcp://" has no host`},
		{in: "tcp://h:1/", err: `address "tcp://h:1/": a host has no path (write tcp://h:1)`},
		{in: "tcp://h:x", err: `address "tcp://h:x": no port "x" (0 to 65535)`},
		{in: "tcp:///run/s", err: `address "tcp:///run/s": a Unix socket is unix:PATH (write unix:/run/s)`},
		{in: "unix:///run/s", err: `address "unix:///run/s": a Unix socket is unix:PATH (write unix:/run/s)`},
		{in: "Unix://s", err: `address "Unix://s": a Unix socket is unix:PATH (write unix:s)`},
		{in: "tls://h:1", want: Address{"tls", "h:1"}},
		{in: "TLS://h", want: Address{"tls", "h:60300"}},
		{in: "tls://:7", want: Address{"tls", ":7"}},
		{in: "tls://", err: `address "tls://" has no host`},
		{in: "tls://h:1/x", err: `address "tls://h:1/x": a host has no path (write tls://h:1)`},
		{in: "https://[::1]:1/events", err: `address "https://[::1]:1/events": HTTP is for browsers: give the address at which the server has TCP, TLS or a Unix socket`},
		{in: "ws://h", err: `address "ws://h": ws:// is not supported (for TCP: h)`},
		{in: "h:1/", err: `address "h:1/": a host has no path (write h:1, or unix:h:1/ for a Unix socket)`},
		{in: "h:1/events", err: `address "h:1/events": a host has no path (write h:1, or unix:h:1/events for a Unix socket)`},
		{in: ":1/", err: `address ":1/": a host has no path (write :1, or unix::1/ for a Unix socket)`},
		{in: "[::1]:1/", err: `address "[::1]:1/": a host has no path (write [::1]:1, or unix:[::1]:1/ for a Unix socket)`},
		{in: "::1/x", err: `address "::1/x": a host has no path (write ::1, or unix:::1/x for a Unix socket)`},
		{in: "[::1]/", err: `address "[::1]/": a host has no path (write [::1], or unix:[::1]/ for a Unix socket)`},
		{in: "10.0.0.1/x", err: `address "10.0.0.1/x": a host has no path (write 10.0.0.1, or unix:10.0.0.1/x for a Unix socket)`},
		{in: "LocalHost/x", err: `address "LocalHost/x": a host has no path (write LocalHost, or unix:LocalHost/x for a Unix socket)`},
		{in: "there/", err: `address "there/": a host has no path (write there, or unix:there/ for a Unix socket)`},
		{in: "*:7000", err: `address "*:7000": every interface is written :7000`},
		{in: "tcp://*", err: `address "tcp://*": every interface is written :60300`},
		{in: "me@there:7", err: `address "me@there:7": no host has the name "me@there" (such as localhost:60300, or unix:PATH)`},
		{in: "localhost 7000", err: `address "localhost 7000": no host has the name "localhost 7000" (such as localhost:60300, or unix:PATH)`},

		{in: "@x", err: `address "@x": abstract sockets have no permissions (for a file of that name: unix:./@x)`},
		{in: "--", err: `address "--" looks like a flag`},
		{in: "60300", err: `address "60300": is that a port? (then localhost:60300)`},
		{in: "", err: `empty address (such as localhost:60300, or unix:PATH)`},
		{in: "unix:", err: `address "unix:" has no path`},
		{in: "unix:@x", err: `address "unix:@x": abstract sockets have no permissions (for a file of that name: unix:./@x)`},
		{in: "@x/y", err: `address "@x/y": abstract sockets have no permissions (for a file of that name: unix:./@x/y)`},
		{in: "localhost:65536", err: `address "localhost:65536": no port "65536" (0 to 65535)`},
		{in: "localhost: 1", err: `address "localhost: 1": no port " 1" (0 to 65535)`},
		{in: "localhost:1 ", err: `address "localhost:1 ": no port "1 " (0 to 65535)`},
		{in: "localhost:+1", err: `address "localhost:+1": no port "+1" (0 to 65535)`},
		{in: "localhost:-1", err: `address "localhost:-1": no port "-1" (0 to 65535)`},
		{in: "a:b:c", err: `address "a:b:c": not host:port, and not unix:PATH either`},
		{in: "[]:7", err: `address "[]:7": no host between the brackets`},
		{in: "[::1", err: `address "[::1": not host:port, and not unix:PATH either`},
	} {
		got, err := Parse(test.in)
		if check.Message(err) != test.err {
			t.Errorf("%q: error %q, want %q", test.in, check.Message(err), test.err)
		}
		if got != test.want {
			t.Errorf("%q: got %+v, want %+v", test.in, got, test.want)
		}
	}
	if filepath.Separator != '/' {
		if got, err := Parse(`C:\run\watch.sock`); err != nil || got != unix(`C:\run\watch.sock`) {
			t.Errorf("a path of this system: %+v, %v", got, err)
		}
	}
}

func TestParseServer(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Address
		err  string
	}{
		{in: ":7", want: Address{"tcp", "localhost:7"}},
		{in: "there", want: Address{"tcp", "there:60300"}},
		{in: "tls://:7", want: Address{"tls", "localhost:7"}},
		{in: "tls://there:0", err: "a server cannot be at port 0"},
		{in: "unix:0", want: Address{"unix", "0"}},
		{in: "*:7", err: `address "*:7": every interface is written :7`},
		{in: "there:0", err: "a server cannot be at port 0"},
		{in: "@x", err: `address "@x": abstract sockets have no permissions (for a file of that name: unix:./@x)`},
	} {
		got, err := ParseServer(test.in)
		if check.Message(err) != test.err || got != test.want {
			t.Errorf("%q: %+v, %v; want %+v, %q", test.in, got, err, test.want, test.err)
		}
	}
}

// A path that is too long for a socket is an error in words.
func TestParseServerLength(t *testing.T) {
	most := len(syscall.RawSockaddrUnix{}.Path) - 1
	path := "./" + strings.Repeat("x", most)
	if _, err := ParseServer(path[:most]); err != nil {
		t.Errorf("%d bytes: %v", most, err)
	}
	want := fmt.Sprintf("address %q: path too long by 2 bytes (a socket's may have %d there)", path, most)
	if _, err := ParseServer(path); check.Message(err) != want {
		t.Errorf("error %q, want %q", check.Message(err), want)
	}
}

// A client tries each address that localhost has, as the server listens at each.
func TestDialLocalhost(t *testing.T) {
	for _, test := range []struct {
		in   Address
		want []string
	}{
		{Address{"tcp", "LocalHost:7"}, []string{"127.0.0.1:7", "[::1]:7"}},
		{Address{"tcp", "localhost.:7"}, []string{"127.0.0.1:7", "[::1]:7"}},
		{Address{"tcp", "there:7"}, []string{"there:7"}},
		{Address{"tcp", "[::1]:7"}, []string{"[::1]:7"}},
		{Address{"unix", "localhost:7"}, []string{"localhost:7"}},
	} {
		check.Equal(t, test.in.Name, test.want, test.in.names())
	}
	for _, ip := range check.Loopbacks(t) {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		check.Must(t, err)
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		local := Address{"tcp", "localhost:" + port}
		conn, err := local.Dial(t.Context())
		check.Must(t, err)
		conn.Close()
		l.Close()
		if _, err := local.Dial(t.Context()); !oserr.IsRefused(err) {
			t.Errorf("nobody listens: %v", err)
		}
	}
}

// What is no known host may be a Unix socket, whether or not a name server could say so.
func TestHostHint(t *testing.T) {
	for _, err := range []*net.DNSError{{Err: "no such host", Name: "s", IsNotFound: true}, {Err: "network is unreachable", Name: "s"}} {
		check.Equal(t, err.Err, " (for a Unix socket: unix:s)", hostHint(&net.OpError{Op: "listen", Err: err}))
	}
	check.Equal(t, "another error", "", hostHint(net.ErrClosed))
}
