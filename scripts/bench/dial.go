//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"
)

// address is a place to listen at or to connect to, in the terms of package net.
type address struct{ network, name string }

// parseAddress reads host:port, tls://host:port, or a path.
func parseAddress(s string) address {
	if name, ok := strings.CutPrefix(s, "tls://"); ok {
		return address{"tls", name}
	}
	if strings.Contains(s, "/") {
		return address{"unix", s}
	}
	return address{"tcp", s}
}

// dial connects to a. Without keep-alive, which costs system calls and is of no use
// on one machine.
func (a address) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if a.network == "tls" {
		t := tls.Dialer{NetDialer: &d, Config: &tls.Config{InsecureSkipVerify: true}}
		return t.DialContext(ctx, "tcp", a.name)
	}
	for {
		conn, err := d.DialContext(ctx, a.network, a.name)
		e, ok := errors.AsType[net.Error](err)
		if a.network != "unix" || !ok || !e.Timeout() || ctx.Err() != nil {
			return conn, err
		}
		// EAGAIN: the server's queue is full. With TCP, package net waits then.
		wait(ctx, time.Millisecond)
	}
}

// wait returns after d, or when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
