package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// defaultPort is that of the classic example.
const defaultPort = "60300"

// dialTimeout is how long it may take to connect.
const dialTimeout = 10 * time.Second

// address is where a server is, in the words of package net.
type address struct {
	network string // "tcp" or "unix"
	name    string // host:port, where the host may be empty; or a path
}

// parseAddress reads an ADDRESS of the command line.
func parseAddress(s string) (address, error) {
	path, isUnix := strings.CutPrefix(s, "unix:")
	switch {
	case s == "":
		return address{}, errors.New("empty address (such as localhost:60300, or unix:PATH)")
	case s[0] == '-':
		return address{}, fmt.Errorf("address %q looks like a flag", s)
	case path == "":
		return address{}, fmt.Errorf("address %q has no path", s)
	case path[0] == '@':
		return address{}, fmt.Errorf("address %q: abstract sockets have no permissions (for a file of that name: unix:./%s)", s, path)
	case strings.HasPrefix(s, "[]"): // as of a variable that is empty
		return address{}, fmt.Errorf("address %q: no host between the brackets", s)
	case isUnix || strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == filepath.Separator }):
		return address{"unix", path}, nil
	}

	if _, err := strconv.Atoi(s); err == nil {
		return address{}, fmt.Errorf("address %q: is that a port? (then localhost:%s)", s, s)
	}
	whole := s
	if _, err := netip.ParseAddr(s); err == nil { // as IPv6 is often written
		whole = "[" + s + "]"
	}
	host, port, err := net.SplitHostPort(whole)
	if err != nil { // for want of a port, maybe
		host, port, err = net.SplitHostPort(whole + ":")
	}
	if err != nil {
		return address{}, fmt.Errorf("address %q: not host:port, and not unix:PATH either", s)
	}
	port = cmp.Or(port, defaultPort)
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return address{}, fmt.Errorf("address %q: no port %q (0 to 65535)", s, port)
	}
	return address{"tcp", net.JoinHostPort(host, strconv.Itoa(n))}, nil
}

// String returns a as messages name it.
func (a address) String() string { return wire.Printable(a.name) }

// dial connects to a.
func (a address) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive()}
	conn, err := d.DialContext(ctx, a.network, a.name)
	if err != nil {
		return nil, fmt.Errorf("%w%s", oserr.Cause(err), hostHint(err))
	}
	return conn, nil
}

// hostHint returns what to do about err if it says that there is no such host.
func hostHint(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return fmt.Sprintf(" (for a Unix socket: unix:%s)", e.Name)
	}
	return ""
}

// keepAlive is how both ends find out, within a minute, that the host at the
// other end of a quiet connection is gone.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second, Count: 3}
}

// listen listens at a. It returns two listeners for localhost, which stands
// for both loopback addresses, and one for all else. mode is the permissions
// of a Unix socket.
func listen(ctx context.Context, a address, mode fs.FileMode) ([]net.Listener, error) {
	if a.network == "unix" {
		l, err := listenUnix(a.name, mode)
		if err != nil {
			// Without the path, which may be one that was not asked for.
			return nil, fmt.Errorf("listen on unix socket %q: %w", a.name, oserr.Cause(err))
		}
		return []net.Listener{l}, nil
	}
	host, port, _ := net.SplitHostPort(a.name)
	hosts := []string{host}
	if strings.EqualFold(host, "localhost") {
		hosts = []string{"127.0.0.1", "::1"}
	}
	for try := 1; ; try++ {
		ls, err := listenTCP(ctx, hosts, port)
		// A port that is free on one address may be taken on the other.
		if oserr.IsInUse(err) && port == "0" && try < 20 {
			continue
		}
		return ls, err
	}
}

// listenTCP listens at one port of all these hosts that this machine has.
func listenTCP(ctx context.Context, hosts []string, port string) ([]net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: keepAlive()}
	var ls []net.Listener
	var lacking error
	for _, host := range hosts {
		network := "tcp"
		if host == "0.0.0.0" { // which package net takes for IPv6 too
			network = "tcp4"
		}
		l, err := config.Listen(ctx, network, net.JoinHostPort(host, port))
		switch {
		case err == nil:
			ls = append(ls, l)
			_, port, _ = net.SplitHostPort(l.Addr().String()) // port 0 is a new one each time
		case oserr.IsNoAddress(err):
			lacking = err
		default:
			for _, l := range ls {
				l.Close()
			}
			hint := hostHint(err)
			if oserr.IsInUse(err) {
				hint = " (for another port: -listen HOST:PORT)"
			} else if errors.Is(err, fs.ErrPermission) {
				hint = " (ports from 1024 on need no permission)"
			}
			return nil, fmt.Errorf("%w%s", err, hint)
		}
	}
	if len(ls) == 0 {
		return nil, lacking
	}
	return ls, nil
}

// unixListener listens on a Unix socket and owns its file.
type unixListener struct {
	*net.UnixListener
	path  string
	own   fs.FileInfo // of the socket at path
	close func() error
}

// Addr returns where the socket is. (It was bound somewhere else.)
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket, if it is still this listener's own, and closes it.
func (l *unixListener) Close() error { return l.close() }

// errLive is why a socket's path is not to be had.
var errLive = errors.New("another server is listening on it")

// listenUnix listens on a Unix socket at path with these permissions, which
// hold before anyone can connect (on Windows, those of its folder count). It
// replaces a socket that nobody listens on any more, and nothing else.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	stale, err := findStale(path)
	if err != nil {
		return nil, err
	}
	l := &unixListener{path: path}
	if runtime.GOOS != "windows" {
		err = l.bindAside(stale, mode)
	} else {
		if stale != nil {
			os.Remove(path)
		}
		err = l.bind(path)
	}
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would remove whatever is at the path by then
	l.close = sync.OnceValue(func() error {
		if info, err := os.Lstat(path); err == nil && os.SameFile(info, l.own) {
			os.Remove(path)
		}
		return l.UnixListener.Close()
	})
	return l, nil
}

// findStale returns what is at path if that is a socket without a server, nil
// if nothing is there, and an error if it must be left alone.
func findStale(path string) (fs.FileInfo, error) {
	// What the system would call an invalid argument: the path, or that in the
	// folder of bindAside, which os.MkdirTemp names by up to 10 digits.
	most := len(syscall.RawSockaddrUnix{}.Path) - 1
	folder, _ := filepath.Split(path)
	if over := max(len(path), len(folder+"./.4294967295/s")) - most; over > 0 {
		return nil, fmt.Errorf("path too long by %d bytes (a socket's may have %d there)", over, len(path)-over)
	}
	info, err := os.Lstat(path)
	switch {
	case oserr.IsNotExist(err):
		return nil, nil // a folder that is missing shows later
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("path exists and is not a socket")
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		conn.Close()
		return nil, errLive
	case oserr.IsNotExist(err):
		return nil, nil // its server has just ended
	case !oserr.IsRefused(err):
		// Say, a full backlog or no permission: someone may well listen.
		return nil, fmt.Errorf("another server may be listening on it: %w", oserr.Cause(err))
	}
	return info, nil
}

// bindAside binds the socket in a private folder beside its path, where nobody
// can connect until it has its permissions, and then gives it its path. The
// alternatives are worse: a chmod at the path comes after the first moment at
// which someone can connect, and the umask is that of the whole process.
func (l *unixListener) bindAside(stale fs.FileInfo, mode fs.FileMode) error {
	// All else of the path stays as it is: what ".." means depends on links, and
	// "@" at the beginning of a socket's path is not part of a name.
	dir, _ := filepath.Split(l.path)
	folder, err := os.MkdirTemp(cmp.Or(dir, "."), ".")
	if err == nil {
		defer os.RemoveAll(folder)
		err = makeUsable(folder)
	}
	if err != nil {
		return fmt.Errorf("directory not usable: %w", oserr.Cause(err))
	}
	socket := folder + "/s"
	if err = l.bind(socket); err != nil {
		return err
	}
	if err = os.Chmod(socket, mode); err == nil && stale != nil {
		err = takeAway(l.path, folder+"/old", stale)
	}
	if err == nil {
		err = place(socket, l.path)
	}
	if err != nil {
		l.UnixListener.Close()
	}
	return err
}

// makeUsable gives its owner back what the umask took away of a new folder. It
// keeps the bit that gives the group of the folder around it to a socket in it.
func makeUsable(folder string) error {
	info, err := os.Lstat(folder)
	if err != nil || info.Mode().Perm() == 0o700 {
		return err
	}
	return os.Chmod(folder, 0o700|info.Mode()&fs.ModeSetgid)
}

// takeAway moves the stale socket at path to old, unless a live one has come
// to be there. If that comes between the look and the move, it is put back: of
// two servers that start at once one always wins. (Of three, the third might
// come between the move and the putting back; no portable call rules that out.)
func takeAway(path, old string, stale fs.FileInfo) error {
	if info, err := os.Lstat(path); err == nil && !os.SameFile(info, stale) {
		return errLive
	}
	err := os.Rename(path, old)
	if oserr.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := os.Lstat(old); err == nil && os.SameFile(info, stale) {
		return nil
	}
	return cmp.Or(place(old, path), errLive)
}

// place moves a socket to path, unless something is there by now. A link does
// that at once and a rename does not, but not every system links sockets.
func place(socket, path string) error {
	switch err := os.Link(socket, path); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return errLive
	}
	if _, err := os.Lstat(path); !oserr.IsNotExist(err) {
		return errLive
	}
	return os.Rename(socket, path)
}

// bind binds and listens at path, and notes which socket that makes.
func (l *unixListener) bind(path string) error {
	var err error
	l.UnixListener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	if l.own, err = os.Lstat(path); err != nil {
		l.UnixListener.Close()
		return err
	}
	os.SameFile(l.own, l.own) // makes Windows find out now which file that is
	return nil
}
