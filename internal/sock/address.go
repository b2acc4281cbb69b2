// Package sock is an ADDRESS of the command line: parse it, listen at it, connect
// to it. It owns the files of Unix sockets.
//
//	address.go     Parse and Dial
//	listen.go      Listen
//	listener.go    the listener of a Unix socket, which makes its file again if
//	               that is gone
//	unix.go        how a Unix socket is bound: its permissions hold from the first
//	               moment, and it replaces stale sockets only
//	bind_linux.go  permissions before bind
//
// Package main calls Listen at the start and closes the listeners at the end;
// Dial may be called from any goroutine. The limits: connecting takes 10 s at
// most; a host that is gone is noticed within a minute of silence (keepAlive).
package sock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"net-watcher/internal/oserr"
)

// DefaultPort is the port of net-watcher, the teaching example for Node.
const DefaultPort = "60300"

// dialTimeout is the longest time that Dial takes.
const dialTimeout = 10 * time.Second

// Address is a place to listen at or to connect to, in the terms of package net.
type Address struct {
	Network string // "tcp" or "unix"
	Name    string // host:port, where the host may be empty; or a path
}

// Parse reads an ADDRESS of the command line. The error names the address and,
// where it can be guessed, the right spelling.
func Parse(s string) (Address, error) {
	path, isUnix := strings.CutPrefix(s, "unix:")
	switch {
	case s == "":
		return Address{}, errors.New("empty address (such as localhost:60300, or unix:PATH)")
	case s[0] == '-':
		return Address{}, fmt.Errorf("address %q looks like a flag", s)
	case path == "":
		return Address{}, fmt.Errorf("address %q has no path", s)
	case path[0] == '@':
		return Address{}, fmt.Errorf("address %q: abstract sockets have no permissions (for a file of that name: unix:./%s)", s, path)
	case strings.HasPrefix(s, "[]"): // as of a variable that is empty
		return Address{}, fmt.Errorf("address %q: no host between the brackets", s)
	case isUnix || strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == filepath.Separator }):
		return Address{"unix", path}, nil
	}

	if _, err := strconv.Atoi(s); err == nil {
		return Address{}, fmt.Errorf("address %q: is that a port? (then localhost:%s)", s, s)
	}
	whole := s
	if _, err := netip.ParseAddr(s); err == nil { // as IPv6 is often written
		whole = "[" + s + "]"
	}
	host, port, err := net.SplitHostPort(whole)
	if err != nil { // the port may be missing
		host, port, err = net.SplitHostPort(whole + ":")
	}
	if err != nil {
		return Address{}, fmt.Errorf("address %q: not host:port, and not unix:PATH either", s)
	}
	port = cmp.Or(port, DefaultPort)
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: no port %q (0 to 65535)", s, port)
	}
	return Address{"tcp", net.JoinHostPort(host, strconv.Itoa(n))}, nil
}

// ParseServer reads an ADDRESS to connect to. A host that is left out is
// localhost, and port 0 is refused.
func ParseServer(s string) (Address, error) {
	a, err := Parse(s)
	if err != nil || a.Network != "tcp" {
		return a, err
	}
	host, port, _ := net.SplitHostPort(a.Name)
	if port == "0" {
		return Address{}, errors.New("a server cannot be at port 0")
	}
	return Address{"tcp", net.JoinHostPort(cmp.Or(host, "localhost"), port)}, nil
}

// Dial connects to a. It gives up after 10 s, or when ctx is done. The error
// does not name the address.
func (a Address) Dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	conn, err := d.DialContext(ctx, a.Network, a.Name)
	if err != nil {
		return nil, fmt.Errorf("%w%s", oserr.Cause(err), hostHint(err))
	}
	return conn, nil
}

// hostHint returns what to do about err if it says that the host is unknown.
func hostHint(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return fmt.Sprintf(" (for a Unix socket: unix:%s)", e.Name)
	}
	return ""
}

// keepAlive lets both ends notice within a minute that the host at the other end
// of a silent connection is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second, Count: 3}
