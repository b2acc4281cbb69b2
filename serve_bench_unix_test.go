//go:build unix

package main

import (
	"context"
	"io"
	"log"
	"net"
	"slices"
	"testing"
	"time"

	"net-watcher/internal/wire"
)

// BenchmarkFanout measures how long one event takes to many subscribers, until the
// last has it, beside a bare loop that writes the same line to as many sockets, in
// the same run.
func BenchmarkFanout(b *testing.B) {
	b.Run("tcp", func(b *testing.B) { benchmarkFanout(b, false) })
	b.Run("tls", func(b *testing.B) { benchmarkFanout(b, true) })
}

// benchmarkFanout is BenchmarkFanout over TCP, with TLS or without it. The bare loop has
// none.
func benchmarkFanout(b *testing.B, withTLS bool) {
	const n = 200
	line := wire.Encode(wire.Text, []wire.Event{change("a", 1)})
	connect := func(l net.Listener) []net.Conn {
		var peers []net.Conn
		for range n {
			if l, ok := l.(tlsListener); ok {
				peers = append(peers, l.dial(b))
				continue
			}
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			peers = append(peers, conn)
		}
		for _, conn := range peers {
			b.Cleanup(func() { conn.Close() })
		}
		return peers
	}
	read := func(peers []net.Conn, bytes int) {
		buf := make([]byte, bytes)
		for _, p := range peers {
			if _, err := io.ReadFull(p, buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	listenHere := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		return l
	}

	var l net.Listener
	if withTLS {
		l = listenTLS(b)
	} else {
		l = listenHere()
	}
	ctx, cancel := context.WithCancel(b.Context())
	s := newServer(newTestFeed("a"), wire.Text, 1<<30, log.New(io.Discard, "", 0), false)
	done := make(chan error)
	go func() { done <- s.serve(ctx, l) }()
	peers := connect(l)
	read(peers, len(wire.TimeLayout)+len(" watching a (not there)\n"))

	l = listenHere()
	defer l.Close()
	barePeers := connect(l)
	var sockets []net.Conn
	for range n {
		conn, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		sockets = append(sockets, conn)
	}

	var served, bare []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		s.feed.Publish([]wire.Event{change("a", 1)})
		read(peers, len(line))
		served = append(served, time.Since(begin))
		begin = time.Now()
		for _, conn := range sockets {
			if _, err := conn.Write(line); err != nil {
				b.Fatal(err)
			}
		}
		read(barePeers, len(line))
		bare = append(bare, time.Since(begin))
	}
	b.ReportMetric(ratio(served, bare), "x-bare-write")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// ratio returns how many times the median of b the median of a is.
func ratio(a, b []time.Duration) float64 {
	slices.Sort(a)
	slices.Sort(b)
	return float64(a[len(a)/2]) / float64(max(b[len(b)/2], 1))
}
