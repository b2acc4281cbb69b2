//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"
)

// bareEvent is as long as the line of an event usually is.
const bareEvent = "2026-11-22T03:14:05.512+01:00 modified some/target/of/60.txt\n"

// bareWrite is the loop that the server is compared with. It listens at a, takes n
// connections, and for each line of stdin writes an event to all of them, with one
// write call each. It reports what that took.
func bareWrite(ctx context.Context, n int, a address, stdin io.Reader, report func(message)) error {
	l, err := net.Listen(a.network, a.name)
	if err != nil {
		return err
	}
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	report(message{What: "listening", Address: l.Addr().String()})

	var sockets []socket
	for range n {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		defer conn.Close()
		s, err := newSocket(conn)
		if err != nil {
			return err
		}
		sockets = append(sockets, s)
	}
	report(message{What: "accepted", N: n})

	event := []byte(bareEvent)
	lines := make(chan struct{})
	go readLines(stdin, lines)
	runtime.LockOSThread()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-lines:
			if !ok {
				return nil
			}
		}
		begin, used := time.Now(), cpu()
		for _, s := range sockets {
			if err := s.write(event); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
		used, took := cpu()-used, time.Since(begin)
		report(message{What: "wrote", N: n, MS: milliseconds(took), CPU: milliseconds(used)})
	}
}

// readLines sends a value for each line of r, and closes the channel when r
// ends.
func readLines(r io.Reader, lines chan<- struct{}) {
	defer close(lines)
	for s := bufio.NewScanner(r); s.Scan(); {
		lines <- struct{}{}
	}
}

// socket is the descriptor of a connection.
type socket int

// newSocket returns the socket of conn, which must stay open.
func newSocket(conn net.Conn) (s socket, err error) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(fd uintptr) { s = socket(fd) })
	return s, err
}

// write is one write call. It fails rather than wait.
func (s socket) write(b []byte) error {
	n, err := syscall.Write(int(s), b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// cpu returns the CPU time that this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
