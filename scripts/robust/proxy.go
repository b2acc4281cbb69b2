//go:build linux

package main

import (
	"crypto/tls"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"net-watcher/internal/proof"
)

// maxStall is how long a proxy may hold back lines: less than the 10 s after which a client
// takes the server for no server.
const maxStall = 3 * time.Second

// plan is what a proxy does with a connection. The zero one passes everything on.
type plan struct {
	name  string
	after int           // bytes, before it does that
	size  int           // of the pieces, if not 0, from there on
	stall time.Duration // then
	end   bool          // after that
	reset bool          // that end is a reset
}

// drawPlan returns a plan.
func drawPlan(r *rand.Rand) plan {
	p := plan{after: r.IntN(3000)}
	if r.IntN(3) == 0 {
		p.after = r.IntN(200) // within the greeting
	}
	switch n := r.IntN(10); {
	case n < 3:
		p = plan{}
	case n < 5:
		p.name, p.end, p.reset = "cut", true, r.IntN(2) == 0
	case n < 7:
		p.name, p.size = "split", 1+r.IntN(40)
	case n < 9:
		p.name, p.stall, p.end = "stall", upTo(r, maxStall), r.IntN(2) == 0
	default:
		p.name, p.after, p.end = "refuse", 0, true
	}
	return p
}

// proxy is the way from the server to one reader. It records what it passes on, before the
// reader can have it.
type proxy struct {
	round    *round
	listener net.Listener
	network  string // to the server
	wg       sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	rand   *rand.Rand // nil: pass everything on
	reader string
	conns  map[net.Conn]connState // of the reader
}

// connState is how a connection is.
type connState int

const (
	disturbed connState = iota
	waiting             // everything is passed on
	good                // and lines have come
)

// newProxy returns a proxy for the reader, which listens at address, maybe over "tls", and
// connects to the server over another network. Without rng it passes everything on.
func newProxy(r *round, reader, network, address, server string, rng *rand.Rand) (*proxy, error) {
	below := network
	if network == "tls" {
		below = "tcp"
	}
	l, err := net.Listen(below, address)
	if err != nil {
		return nil, err
	}
	if network == "tls" {
		l = tls.NewListener(l, r.secure.config)
	}
	p := &proxy{round: r, listener: l, network: server, rand: rng, reader: reader, conns: make(map[net.Conn]connState)}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		plan, reader := plan{}, p.reader
		if p.rand != nil {
			plan = drawPlan(p.rand)
		}
		if p.conns[conn] = disturbed; plan.name == "" {
			p.conns[conn] = waiting
		}
		p.mu.Unlock()
		p.wg.Go(func() {
			p.pass(conn, reader, &plan)
			conn.Close()
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
		})
	}
}

// pass is one connection.
func (p *proxy) pass(conn net.Conn, reader string, plan *plan) {
	if plan.name == "refuse" {
		return
	}
	if c, ok := conn.(*tls.Conn); ok { // or else what is recorded would wait for that
		c.SetDeadline(time.Now().Add(connectTime))
		if err := c.Handshake(); err != nil {
			return
		}
		c.SetDeadline(time.Time{})
	}
	if plan.name != "" {
		defer p.round.rec.fault(plan.name, "", reader, "")(func() {})
	}
	server, id, err := p.round.dial(reader, p.network)
	if err == nil {
		go func() {
			io.Copy(server, conn) // ends with conn, which is closed soon
			server.Close()
		}()
		p.forward(conn, server, plan, proof.Record{Kind: proof.Got, Reader: reader, Conn: id})
		server.Close()
	}
	if id != 0 {
		p.round.rec.add(proof.Record{Kind: proof.Leave, Reader: reader, Conn: id})
	}
	if plan.reset {
		below := conn
		if c, ok := conn.(*tls.Conn); ok {
			below = c.NetConn()
		}
		if c, ok := below.(*net.TCPConn); ok {
			c.SetLinger(0)
		}
	} else if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite() // what the reader has sent would make a reset of a Close
		conn.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, conn)
	}
}

// forward passes on what the server sends, as planned, and records it as got.
func (p *proxy) forward(conn, server net.Conn, plan *plan, got proof.Record) {
	buf, n := make([]byte, 64<<10), 0
	linesOf := new(proof.Plain).Lines
	if p.network == "http" {
		linesOf = new(proof.Stream).Lines
	}
	write := func(b []byte) bool {
		got.Events = nil
		lines, err := linesOf(b)
		if err != nil {
			p.round.fail(err)
		}
		for _, l := range lines {
			e, err := proof.DecodeLine([]byte(l))
			if err != nil {
				p.round.fail(err)
			}
			got.Events = append(got.Events, e)
		}
		if len(got.Events) > 0 {
			p.round.rec.add(got)
			p.mu.Lock()
			if p.conns[conn] == waiting {
				p.conns[conn] = good
			}
			p.mu.Unlock()
		}
		n += len(b)
		_, err = conn.Write(b)
		return err == nil
	}
	for {
		count, err := server.Read(buf)
		b := buf[:count]
		if plan.name != "" && n+len(b) > plan.after {
			early := b[:max(0, plan.after-n)]
			if b = b[len(early):]; !write(early) {
				return
			}
			time.Sleep(plan.stall)
			plan.stall = 0
			if plan.end {
				return
			}
			for plan.size > 0 && len(b) > plan.size {
				if !write(b[:plan.size]) {
					return
				}
				b = b[plan.size:]
				time.Sleep(100 * time.Microsecond)
			}
		}
		if len(b) > 0 && !write(b) || err != nil {
			return
		}
	}
}

// calm makes p pass everything on, and ends what it disturbs.
func (p *proxy) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rand = nil
	for conn, state := range p.conns {
		if state == disturbed {
			conn.Close()
		}
	}
}

// isGood reports whether the reader is connected, and has got something.
func (p *proxy) isGood() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(p.conns)), good)
}

// setReader makes the next connection one of this reader.
func (p *proxy) setReader(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reader = name
}

// close ends all connections.
func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
