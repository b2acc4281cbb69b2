package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
	"time"
)

// bareEvent is as long as the line of an event usually is.
const bareEvent = "2026-11-22T03:14:05.512+01:00 modified some/target/of/60.txt\n"

// bare listens at a, takes n connections, and for each line of stdin writes an
// event to all of them. What that takes it writes to out.
func bare(ctx context.Context, n int, a address, stdin io.Reader, out *log.Logger) error {
	l, err := net.Listen(a.network, a.name)
	if err != nil {
		return err
	}
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	out.Printf("listening on %v", l.Addr())

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
	out.Printf("accepted %d", n)

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
		if err := writeAll(sockets, []byte(bareEvent)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		used, took := cpu()-used, time.Since(begin)
		out.Printf("wrote %d in %.3f ms, CPU %.3f ms", n, milliseconds(took), milliseconds(used))
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

// writeAll is the loop that a server is compared with.
func writeAll(sockets []socket, b []byte) error {
	for _, s := range sockets {
		if err := s.write(b); err != nil {
			return err
		}
	}
	return nil
}
