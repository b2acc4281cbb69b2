//go:build linux

// Load is the other side of net-watcher's measurements: many subscribers, the
// bare loop of write calls that a server is compared with, and subscribers
// that come and go and behave badly. scripts/bench-fanout.sh and
// scripts/soak.sh use it, on Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: load subscribe -n N ADDRESS
       load bare -n N ADDRESS
       load churn [-n N] [-honest N] [-for DURATION] ADDRESS...

subscribe opens N connections, as fast as they come, and reads them. It says
when all are there, when all have their first line, and for each line after
that, but greetings, when it has come to all and how long after the first the
last had it. At the end of its input it closes all of them.

bare takes N connections. For each line of its input it writes an event to all
of them, one write call each, and says what that took.

churn has N subscribers that come, misbehave and go, and some honest ones that
stay. It fails if these are not all told the same. They must be there before
the first change: it says when they are.

ADDRESS is host:port or unix:PATH.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "load: %v\n%s", err, usage)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}

// usageError is an error in how the program was called.
type usageError struct{ error }

// run is the program: it does what the arguments say until that is done or ctx
// is.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError{errors.New("which part?")}
	}
	part, args := args[0], args[1:]
	flags := flag.NewFlagSet(part, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	n := flags.Int("n", 10_000, "")
	honest := flags.Int("honest", 20, "")
	duration := flags.Duration("for", time.Minute, "")
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	var addresses []address
	for _, arg := range flags.Args() {
		addresses = append(addresses, parseAddress(arg))
	}
	if len(addresses) == 0 {
		return usageError{errors.New("which address?")}
	}
	if *n < 1 || *honest < 1 {
		return usageError{errors.New("fewer than one")}
	}
	out := log.New(stdout, "", 0)
	switch part {
	case "subscribe":
		return subscribe(ctx, *n, addresses[0], stdin, out)
	case "bare":
		return bare(ctx, *n, addresses[0], stdin, out)
	case "churn":
		return churn(ctx, *n, *honest, *duration, addresses, out)
	}
	return usageError{fmt.Errorf("no part %q", part)}
}

// address is what package net dials and listens at.
type address struct{ network, name string }

func parseAddress(s string) address {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return address{"unix", path}
	}
	return address{"tcp", s}
}

// dial connects to a. Without keep-alive, which costs system calls and has
// nothing to find out on one machine.
func (a address) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	for {
		conn, err := d.DialContext(ctx, a.network, a.name)
		e, ok := errors.AsType[net.Error](err)
		if a.network != "unix" || !ok || !e.Timeout() || ctx.Err() != nil {
			return conn, err
		}
		// EAGAIN: the server's queue is full. TCP waits then, and so does a
		// connect(2) that may block, but not that of package net.
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

// milliseconds returns d as the scripts read it.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
