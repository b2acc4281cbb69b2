package main

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// startLines returns the log lines about the targets at the start: of the first ten, or
// all, and of the first ten others that are missing or unreadable, as a name that is
// mistyped is.
func startLines(watching []wire.Event, interval time.Duration, all bool) []string {
	const most = 10
	var lines []string
	more, odd := 0, 0 // left out, and those of them that are missing or unreadable
	for i, e := range watching {
		isOdd := e.Missing || e.Error != ""
		if all || i < most || isOdd && len(lines) < 2*most {
			lines = append(lines, fmt.Sprintf("%s every %v", &e, interval))
			continue
		}
		more++
		if isOdd {
			odd++
		}
	}
	switch {
	case odd > 0:
		lines = append(lines, fmt.Sprintf("watching %d more, %d of them not there or unreadable (-v lists them)", more, odd))
	case more > 0:
		lines = append(lines, fmt.Sprintf("watching %d more (-v lists them)", more))
	}
	return lines
}

// unreadableLines returns the log lines about what cannot be read below each target at the
// start: one about each of the first ten such targets, or all.
func unreadableLines(below [][]string, all bool) []string {
	const most = 10
	var lines []string
	more := 0 // targets left out
	for _, unreadable := range below {
		switch {
		case len(unreadable) == 0:
		case all:
			for _, line := range unreadable {
				lines = append(lines, "cannot read "+line)
			}
		case len(lines) < most:
			lines = append(lines, "cannot read "+firstOf(unreadable))
		default:
			more++
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("cannot read all of %d more FILEs (-v lists what)", more))
	}
	return lines
}

// announce returns the log lines about the listeners of a: where they listen, how to try
// that with a program that is there, and a warning if other hosts can connect and are
// not asked for a certificate.
func announce(a sock.Address, ls []net.Listener, has func(program string) bool, asksForCertificates bool) []string {
	if a, ok := ls[0].Addr().(*net.UnixAddr); ok {
		try := "nc -U " + wire.Printable(a.Name)
		if !has("nc") {
			try = "net-watcher -connect " + wire.Printable("unix:"+a.Name)
		}
		return []string{fmt.Sprintf("listening on %s (try: %s)", wire.Printable(a.Name), try)}
	}
	host, port := tryAt(ls)
	try, with := fmt.Sprintf("nc %s %s", host, port), ""
	switch hasTLS := a.IsTLS(); {
	case hasTLS && has("openssl"):
		try, with = "openssl s_client -quiet -connect "+net.JoinHostPort(host, port), " with TLS"
	case hasTLS:
		try, with = "net-watcher -connect tls://"+net.JoinHostPort(host, port), " with TLS"
	case !has("nc"):
		try = "net-watcher -connect " + net.JoinHostPort(host, port)
	}
	if asksForCertificates && a.IsTLS() {
		try, with = try+" -cert FILE -key FILE", with+" for clients with a certificate"
	}
	return announceTCP(ls, "", with, try, asksForCertificates && a.IsTLS())
}

// announceWeb is announce for the listeners of a, an http:// or https:// ADDRESS.
func announceWeb(a sock.Address, ls []net.Listener, asksForCertificates bool) []string {
	host, port := tryAt(ls)
	scheme, with := transportName(true, a.IsTLS())+"://", ""
	try := "open " + scheme + net.JoinHostPort(host, port) + " in a browser"
	if asksForCertificates && a.IsTLS() {
		with = " for clients with a certificate"
	}
	return announceTCP(ls, scheme, with, try, with != "")
}

// tryAt returns the host and the port at which this host reaches the listeners.
func tryAt(ls []net.Listener) (host, port string) {
	a := ls[0].Addr().(*net.TCPAddr)
	host, port, _ = net.SplitHostPort(a.String())
	if len(ls) > 1 || a.IP.IsUnspecified() {
		host = "localhost"
	}
	return host, port
}

// announceTCP returns the log lines about listeners, and a warning if all hosts that can
// reach them can connect, which isPrivate rules out.
func announceTCP(ls []net.Listener, scheme, with, try string, isPrivate bool) []string {
	var where []string
	for _, l := range ls {
		where = append(where, scheme+l.Addr().String())
	}
	lines := []string{fmt.Sprintf("listening on %s%s (try: %s)", strings.Join(where, " and "), with, try)}
	if !ls[0].Addr().(*net.TCPAddr).IP.IsLoopback() && !isPrivate {
		lines = append(lines, fmt.Sprintf("warning: %s is open to the network: anyone who can reach it can read file names and change times", where[0]))
	}
	return lines
}

// isProgram reports whether PATH has the program.
func isProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}
