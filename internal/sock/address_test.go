package sock

import (
	"net"
	"path/filepath"
	"testing"

	"net-watcher/internal/check"
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

		{in: "@x", err: `address "@x": abstract sockets have no permissions (for a file of that name: unix:./@x)`},
		{in: "--", err: `address "--" looks like a flag`},
		{in: "60300", err: `address "60300": is that a port? (then localhost:60300)`},
		{in: "", err: `empty address (such as localhost:60300, or unix:PATH)`},
		{in: "unix:", err: `address "unix:" has no path`},
		{in: "unix:@x", err: `address "unix:@x": abstract sockets have no permissions (for a file of that name: unix:./@x)`},
		{in: "@x/y", err: `address "@x/y": abstract sockets have no permissions (for a file of that name: unix:./@x/y)`},
		{in: "localhost:65536", err: `address "localhost:65536": no port "65536" (0 to 65535)`},
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
		{in: "unix:0", want: Address{"unix", "0"}},
		{in: "there:0", err: "a server cannot be at port 0"},
		{in: "@x", err: `address "@x": abstract sockets have no permissions (for a file of that name: unix:./@x)`},
	} {
		got, err := ParseServer(test.in)
		if check.Message(err) != test.err || got != test.want {
			t.Errorf("%q: %+v, %v; want %+v, %q", test.in, got, err, test.want, test.err)
		}
	}
}
