package faults

import (
	"bytes"
	"net/netip"
	"sync"
	"time"
)

// Link is a connection of a Network, from a client to a server.
type Link struct {
	ToServer, ToClient *Way

	mu       sync.Mutex // guards the fields below, the ways and both ends
	timedOut time.Time  // when both ends notice that the other is gone; zero for never
	changed  signal     // for calls at either end that wait
}

// Way is one direction of a Link. Bytes that were sent are in flight until they
// arrive, and then wait to be read. The end of a connection passes like bytes, in
// their order.
type Way struct {
	link     *Link
	from, to *Conn
	limit    int // of bytes that may be sent and not yet read

	stalled bool
	delay   time.Duration
	piece   int  // most bytes of one read; 0 for any number
	left    int  // how many bytes pass before it is cut; -1 if it is not to be cut
	reset   bool // how it is cut
	cut     bool // it was cut: what is sent goes nowhere

	flight   []segment
	inFlight int    // bytes
	arrived  []byte // and not read
	ended    bool   // a regular end has arrived
}

// segment is what passes at a time.
type segment struct {
	at   time.Time // when it arrives, or later with what was sent before
	what kindOf
	data []byte
}

type kindOf int8

const (
	data    kindOf = iota
	regular        // the end of what is sent (FIN)
	reset          // the end of the connection (RST)
)

func newLink(n *Network, client, server netip.AddrPort, limit int) *Link {
	l := &Link{}
	c := &Conn{Link: l, network: n, local: client, remote: server}
	s := &Conn{Link: l, network: n, local: server, remote: client}
	l.ToServer = &Way{link: l, from: c, to: s, limit: limit, left: -1}
	l.ToClient = &Way{link: l, from: s, to: c, limit: limit, left: -1}
	c.out, c.in, s.out, s.in = l.ToServer, l.ToClient, l.ToClient, l.ToServer
	return l
}

// Cut ends the connection for both ends, after what is in flight: with a reset or
// regularly, as a proxy does that is killed or stopped.
func (l *Link) Cut(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutLocked(reset)
}

func (l *Link) cutLocked(withReset bool) {
	for _, w := range []*Way{l.ToServer, l.ToClient} {
		if w.cut {
			continue
		}
		w.cut = true
		if withReset {
			w.pushLocked(reset, nil)
		} else if !w.from.finished {
			w.pushLocked(regular, nil)
		}
	}
	l.changed.broadcast()
}

// Lose makes nothing pass any more, as if each end were gone without a word, and makes
// the ends notice that after a time, as keep-alive does, or with 0 never.
func (l *Link) Lose(after time.Duration) {
	l.ToServer.Stall()
	l.ToClient.Stall()
	if after > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.timedOut = time.Now().Add(after)
		l.changed.broadcast()
	}
}

// Stall makes nothing arrive until Release, not even the end of the connection.
func (w *Way) Stall() { w.set(func() { w.stalled = true }) }

// Release takes back Stall.
func (w *Way) Release() { w.set(func() { w.stalled = false }) }

// Delay makes what is sent from now on arrive after a time.
func (w *Way) Delay(d time.Duration) { w.set(func() { w.delay = d }) }

// Split makes each read return n bytes at most, or with 0 any number.
func (w *Way) Split(n int) { w.set(func() { w.piece = n }) }

// CutAfter cuts the Link when n more bytes were sent this way. The rest of a write is
// lost, though it succeeds.
func (w *Way) CutAfter(n int, reset bool) { w.set(func() { w.left, w.reset = n, reset }) }

// Room returns how many bytes can be written this way at once.
func (w *Way) Room() int {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	w.link.settleLocked()
	return w.roomLocked()
}

func (w *Way) roomLocked() int { return max(0, w.limit-w.inFlight-len(w.arrived)) }

func (w *Way) set(change func()) {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	change()
	w.link.changed.broadcast()
}

// sendLocked sends as much of b as there is room for, and returns how much that was.
func (w *Way) sendLocked(b []byte) int {
	if w.cut {
		w.from.in.pushLocked(reset, nil)
		return len(b)
	}
	b = b[:min(len(b), w.roomLocked())]
	passing := b
	if w.left >= 0 {
		passing = b[:min(len(b), w.left)]
		w.left -= len(passing)
	}
	if len(passing) > 0 {
		w.pushLocked(data, passing)
	}
	if len(b) > 0 && w.left == 0 {
		w.link.cutLocked(w.reset)
	}
	return len(b)
}

// pushLocked sends without regard to room.
func (w *Way) pushLocked(what kindOf, b []byte) {
	w.flight = append(w.flight, segment{time.Now().Add(w.delay), what, bytes.Clone(b)})
	w.inFlight += len(b)
	w.link.changed.broadcast()
}

// settleLocked makes arrive what does by now.
func (l *Link) settleLocked() {
	now := time.Now()
	if !l.timedOut.IsZero() && !now.Before(l.timedOut) {
		l.ToServer.to.failLocked(errTimedOut)
		l.ToClient.to.failLocked(errTimedOut)
		l.timedOut = time.Time{}
	}
	for l.ToServer.arriveLocked(now) || l.ToClient.arriveLocked(now) {
	}
}

// nextLocked returns when something arrives, zero if only a change can bring that.
func (l *Link) nextLocked() time.Time {
	return earlier(l.timedOut, earlier(l.ToServer.nextLocked(), l.ToClient.nextLocked()))
}

// nextLocked returns when something arrives, zero if nothing does.
func (w *Way) nextLocked() time.Time {
	if w.stalled || len(w.flight) == 0 {
		return time.Time{}
	}
	return w.flight[0].at
}

// arriveLocked makes one segment arrive, if that is due now.
func (w *Way) arriveLocked(now time.Time) bool {
	next := w.nextLocked()
	if next.IsZero() || next.After(now) {
		return false
	}
	s := w.flight[0]
	w.flight = w.flight[1:]
	w.inFlight -= len(s.data)
	switch to := w.to; {
	case to.closed && s.what == data:
		to.out.pushLocked(reset, nil)
	case to.closed || to.dead:
	case s.what == data:
		w.arrived = append(w.arrived, s.data...)
	case s.what == regular:
		w.ended = true
	case w.ended: // its peer has said that nothing more comes, and then did not read
		to.failLocked(errPipe)
	default:
		to.failLocked(errReset)
	}
	return true
}
