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
//	local.go       a listener for connections from this process
//	tls.go         TLSClient, and what a TLS connection lacks: an end that never waits
//	tlsserver.go   TLSServer: the listener of tls://, with a limit for handshakes
//	certs.go       the files of certificates, and what makes them unusable
//
// Package main calls Listen at the start and closes the listeners at the end;
// Dial may be called from any goroutine. The limits: connecting takes 10 s at
// most, and so does a TLS handshake, of which there are MaxHandshakes at a time; a host
// that is gone is noticed within a minute of silence (keepAlive).
package sock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"net-watcher/internal/oserr"
)

// DefaultPort is the port of net-watcher, the teaching example for Node.
const DefaultPort = "60300"

// dialTimeout is the longest time that Dial takes.
const dialTimeout = 10 * time.Second

// Address is a place to listen at or to connect to, in the terms of package net.
type Address struct {
	Network string // "tcp", "tls" (over TCP) or "unix"
	Name    string // host:port, where the host may be empty; or a path
}

// Parse reads an ADDRESS of the command line. The error names the address and,
// where it can be guessed, the right spelling.
func Parse(s string) (Address, error) {
	path := s
	isUnix := len(s) >= len("unix:") && strings.EqualFold(s[:len("unix:")], "unix:")
	if isUnix {
		path = s[len("unix:"):]
	}
	scheme, rest, isURL := strings.Cut(s, "://")
	switch {
	case s == "":
		return Address{}, errors.New("empty address (such as localhost:60300, or unix:PATH)")
	case s[0] == '-':
		return Address{}, fmt.Errorf("address %q looks like a flag", s)
	case isURL && !strings.ContainsFunc(scheme, isNoHostChar):
		return parseURL(s, strings.ToLower(scheme), rest)
	case path == "":
		return Address{}, fmt.Errorf("address %q has no path", s)
	case path[0] == '@':
		return Address{}, fmt.Errorf("address %q: abstract sockets have no permissions (for a file of that name: unix:./%s)", s, path)
	case strings.HasPrefix(s, "[]"): // as of a variable that is empty
		return Address{}, fmt.Errorf("address %q: no host between the brackets", s)
	case isUnix:
		return Address{"unix", path}, nil
	case strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == filepath.Separator }):
		if host, rest, found := strings.Cut(s, "/"); found && looksLikeHost(host, rest) {
			return Address{}, fmt.Errorf("address %q: a host has no path (write %s, or unix:%s for a Unix socket)", s, host, s)
		}
		return Address{"unix", path}, nil
	}
	return parseTCP(s, s)
}

// parseURL reads the address s, which has a scheme, in lower case, before "://" and
// the rest. tcp:// and tls:// are ours.
func parseURL(s, scheme, rest string) (Address, error) {
	host, _, hasPath := strings.Cut(rest, "/")
	switch {
	case isHTTP(scheme): // which no client follows
		return Address{}, fmt.Errorf("address %q: HTTP is for browsers: give the address at which the server has TCP, TLS or a Unix socket", s)
	case scheme == "unix" || host == "" && hasPath:
		return Address{}, fmt.Errorf("address %q: a Unix socket is unix:PATH (write unix:%s)", s, rest)
	case host == "":
		return Address{}, fmt.Errorf("address %q has no host", s)
	case scheme != "tcp" && scheme != "tls":
		return Address{}, fmt.Errorf("address %q: %s:// is not supported (for TCP: %s)", s, scheme, host)
	case hasPath:
		return Address{}, fmt.Errorf("address %q: a host has no path (write %s://%s)", s, scheme, host)
	}
	a, err := parseTCP(s, host)
	if err == nil {
		a.Network = scheme
	}
	return a, err
}

// IsHTTP reports whether an ADDRESS is for ParseHTTP.
func IsHTTP(s string) bool {
	scheme, _, isURL := strings.Cut(s, "://")
	return isURL && isHTTP(strings.ToLower(scheme))
}

func isHTTP(scheme string) bool { return scheme == "http" || scheme == "https" }

// ParseHTTP reads an ADDRESS that begins with http:// or https://, to listen at. It returns
// what is below HTTP: TCP or TLS.
func ParseHTTP(s string) (Address, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	host, _, hasPath := strings.Cut(rest, "/")
	_, port, err := net.SplitHostPort(host)
	switch {
	case err != nil || port == "":
		return Address{}, fmt.Errorf("address %q: HTTP needs a host and a port, and no path (such as http://localhost:8080)", s)
	case hasPath:
		return Address{}, fmt.Errorf("address %q: a host has no path (write %s://%s)", s, scheme, host)
	}
	a, err := parseTCP(s, host)
	if err == nil && strings.EqualFold(scheme, "https") {
		a.Network = "tls"
	}
	return a, err
}

// parseTCP reads hostPort, the address s without a scheme.
func parseTCP(s, hostPort string) (Address, error) {
	if _, err := strconv.Atoi(hostPort); err == nil {
		return Address{}, fmt.Errorf("address %q: is that a port? (then localhost:%s)", s, hostPort)
	}
	if isIP(hostPort) { // as IPv6 is often written
		hostPort = "[" + hostPort + "]"
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil { // the port may be missing
		host, port, err = net.SplitHostPort(hostPort + ":")
	}
	if err != nil {
		return Address{}, fmt.Errorf("address %q: not host:port, and not unix:PATH either", s)
	}
	port = cmp.Or(port, DefaultPort)
	n, err := net.LookupPort("tcp", port)
	switch {
	case err != nil || strings.ContainsFunc(port, isNoHostChar): // LookupPort takes " 1" and "+1"
		return Address{}, fmt.Errorf("address %q: no port %q (0 to 65535)", s, port)
	case host == "*":
		return Address{}, fmt.Errorf("address %q: every interface is written :%s", s, port)
	case !isIP(host) && strings.ContainsFunc(host, isNoHostChar):
		return Address{}, fmt.Errorf("address %q: no host has the name %q (such as localhost:60300, or unix:PATH)", s, host)
	}
	return Address{"tcp", net.JoinHostPort(host, strconv.Itoa(n))}, nil
}

// looksLikeHost reports whether the beginning of a path, which the rest follows
// after a slash, is rather meant as a host.
func looksLikeHost(s, rest string) bool {
	host, port, err := net.SplitHostPort(s)
	if _, noNumber := strconv.ParseUint(port, 10, 16); err == nil && noNumber == nil {
		return !strings.ContainsFunc(host, isNoHostChar) || isIP(host)
	}
	isName := strings.Trim(s, ".") != "" && !strings.ContainsFunc(s, isNoHostChar)
	return isIP(strings.Trim(s, "[]")) || len(addresses(s)) > 1 || isName && rest == ""
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// isNoHostChar reports whether r is in no name of a host.
func isNoHostChar(r rune) bool {
	return r < utf8.RuneSelf && r != '-' && r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// addresses returns both loopback addresses for localhost, because not every
// program tries both, and the host itself for any other one. No name server is
// asked about localhost.
func addresses(host string) []string {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return []string{"127.0.0.1", "::1"}
	}
	return []string{host}
}

// ParseServer reads an ADDRESS to connect to. A host that is left out is
// localhost, and port 0 is refused.
func ParseServer(s string) (Address, error) {
	a, err := Parse(s)
	if err != nil {
		return a, err
	}
	if a.Network == "unix" {
		if err := checkLength(a.Name, len(a.Name)); err != nil {
			return Address{}, fmt.Errorf("address %q: %w", s, err)
		}
		return a, nil
	}
	host, port, _ := net.SplitHostPort(a.Name)
	if port == "0" {
		return Address{}, errors.New("a server cannot be at port 0")
	}
	return Address{a.Network, net.JoinHostPort(cmp.Or(host, "localhost"), port)}, nil
}

// Dial connects to a. For localhost it tries both loopback addresses. It gives up
// after 10 s, or when ctx is done. The error does not name the address. It refuses a
// tls:// address: a TLSClient connects to that.
func (a Address) Dial(ctx context.Context) (net.Conn, error) {
	if a.IsTLS() {
		return nil, errNeedsTLS
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: keepAlive, Control: limitUnacked}
	var why error
	for _, name := range a.names() {
		conn, err := d.DialContext(ctx, a.Network, name)
		if err == nil {
			return conn, nil
		}
		if why == nil || oserr.IsNoAddress(why) {
			why = err
		}
	}
	hint := hostHint(why)
	if a.Network == "unix" && oserr.IsRefused(why) {
		if info, err := os.Stat(a.Name); err == nil && info.Mode().Type() != fs.ModeSocket {
			hint = " (it is not a socket)"
		}
	}
	return nil, fmt.Errorf("%w%s", oserr.Cause(why), hint)
}

// names returns what to connect to, in this order.
func (a Address) names() []string {
	if a.Network == "unix" {
		return []string{a.Name}
	}
	host, port, _ := net.SplitHostPort(a.Name)
	var names []string
	for _, host := range addresses(host) {
		names = append(names, net.JoinHostPort(host, port))
	}
	return names
}

// hostHint returns what to do about err if it says that the host is unknown, or that no
// name server could be asked.
func hostHint(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf(" (for a Unix socket: unix:%s)", e.Name)
	}
	return ""
}

// keepAlive lets both ends notice within a minute that the host at the other end
// of a silent connection is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second, Count: 3}

// unackedTimeout is how long a host may take to acknowledge what a client sends,
// where the system can limit that: until then keep-alive does not run. A client
// sends something each 30 s at least, so that is a minute too.
const unackedTimeout = 30 * time.Second
