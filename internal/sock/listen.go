package sock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"net-watcher/internal/oserr"
)

// Listen listens at a. It returns two listeners for localhost, which stands for
// both loopback addresses, and one for any other address. The permissions of a
// Unix socket are mode, and logf is called when its file is gone and when it is made
// again; other addresses ignore both. The error names the address. The caller closes
// the listeners; closing that of a Unix socket removes its file. It refuses a tls://
// address: a TLSServer listens at that.
func (a Address) Listen(ctx context.Context, mode fs.FileMode, logf func(string, ...any)) ([]net.Listener, error) {
	if a.IsTLS() {
		return nil, errNeedsTLS
	}
	if a.Network == "unix" {
		l, err := listenUnix(a.Name, mode, logf)
		if err != nil {
			// Without the path of the call, which may be a temporary one.
			return nil, fmt.Errorf("listen on unix socket %q: %w", a.Name, oserr.Cause(err))
		}
		return []net.Listener{l}, nil
	}
	host, port, _ := net.SplitHostPort(a.Name)
	for try := 1; ; try++ {
		ls, err := listenTCP(ctx, addresses(host), port)
		// A port that is free on one address may be taken on the other.
		if oserr.IsInUse(err) && port == "0" && try < 20 {
			continue
		}
		return ls, err
	}
}

// listenTCP listens at the same port of each of the hosts, but for those that
// this machine lacks.
func listenTCP(ctx context.Context, hosts []string, port string) ([]net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	var ls []net.Listener
	var missing error
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
			missing = err
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
		return nil, missing
	}
	return ls, nil
}
