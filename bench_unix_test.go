//go:build unix

package main

import (
	"context"
	"io"
	"log"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/wire"
)

// BenchmarkLook measures a look at files that are targets, and at one target
// that is a tree of them, beside a bare loop of the system call over the same
// paths, in the same run.
func BenchmarkLook(b *testing.B) {
	for _, test := range []struct {
		name           string
		folders, files int // files in each
		tree           bool
	}{
		{"files=1", 1, 1, false},
		{"files=1000", 1, 1000, false},
		{"files=10000", 10_000, 1, false},
		{"tree=100000", 1000, 100, true},
		{"folder=100000", 1, 100_000, true},
	} {
		b.Run(test.name, func(b *testing.B) {
			dir := b.TempDir()
			makeTree(b, dir, test.folders, test.files)
			names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
			if err != nil {
				b.Fatal(err)
			}
			targets := names
			if test.tree {
				targets = []string{dir}
			}
			p := newPoll(targets, time.Second, looker{})
			if _, err := p.start(b.Context()); err != nil {
				b.Fatal(err)
			}
			var looks, bare []time.Duration
			var st syscall.Stat_t
			b.ReportAllocs()
			for b.Loop() {
				begin := cpu()
				p.look()
				looks = append(looks, cpu()-begin)
				begin = cpu()
				for _, name := range names {
					if err := syscall.Stat(name, &st); err != nil {
						b.Fatal(err)
					}
				}
				bare = append(bare, cpu()-begin)
			}
			b.ReportMetric(ratio(looks, bare), "x-bare-stat")
		})
	}
}

// BenchmarkSlow measures a look at 10,000 files where each call takes 1 ms more.
func BenchmarkSlow(b *testing.B) {
	dir := b.TempDir()
	makeTree(b, dir, 100, 100)
	p := newPoll([]string{dir}, time.Second, looker{})
	slowDown(&p.looker, time.Millisecond)
	if _, err := p.start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p.look()
	}
}

// cpu returns the CPU time that this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFanout measures telling one event to many subscribers, until the
// last has it, beside a bare loop that writes the same line to as many sockets,
// in the same run.
func BenchmarkFanout(b *testing.B) {
	const n = 200
	line := wire.Encode(wire.Text, []wire.Event{change("a", 1)})
	connect := func(l net.Listener) []net.Conn {
		var peers []net.Conn
		for range n {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { conn.Close() })
			peers = append(peers, conn)
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

	l := listenHere()
	ctx, cancel := context.WithCancel(b.Context())
	s := newServer(newTestFeed("a"), wire.Text, log.New(io.Discard, "", 0), false)
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
		s.feed.publish([]wire.Event{change("a", 1)})
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
