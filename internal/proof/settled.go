package proof

import (
	"slices"

	"net-watcher/internal/wire"
)

// maxDelay is how long a subscriber or a scan may be delayed by what is disturbed
// elsewhere, and how long what is published may take to a subscriber, in ms.
const maxDelay = 100

// deadline returns when all must be up to date, in ms: two intervals and 5 s after calm.
func (h History) deadline() int64 {
	i := h.first(Calm)
	if i < 0 {
		return never
	}
	return h[i].T + 2*h[0].Interval + 5000
}

// settled checks that by the deadline the server, the readers that are connected then and
// the clients among them have the states of a server that is started afresh. A reader of
// text, which has no states, has all that was published.
func (h History) settled(chains []*chain, conns []*conn) (found []Violation) {
	i, deadline := h.first(Fresh), h.deadline()
	if i < 0 {
		return nil
	}
	for _, c := range chains {
		at := c.asOf(deadline)
		for n, e := range h[i].Events {
			if c.until >= deadline && (n >= len(at.places) || !sameShape(at.places[n].now, e)) {
				found = append(found, violation(Convergent, i, "after calm server %d has another %q than one that is started afresh", c.server, e.String()))
			}
		}
	}
	for _, k := range conns {
		if k.joined > deadline || k.left < deadline || k.chain.until < deadline {
			continue
		}
		states, handled, n := make(map[string]string), make(map[string]string), 0
		for ; n < len(k.lines) && k.lines[n].t <= deadline; n++ {
			states[k.lines[n].TargetName()] = k.lines[n].State
		}
		for _, r := range h {
			switch {
			case r.Reader != k.reader || r.T > deadline:
			case r.Kind == Options && len(r.Only)+len(r.Ignore) > 0:
				handled = nil // it does not hand on all that changes the state
			case r.Kind == Handled && handled != nil:
				for _, e := range r.Events {
					handled[e.TargetName()] = e.State
				}
			}
		}
		isText := n > 0 && k.lines[n-1].in == wire.Text
		lacks := isText && !slices.Contains(k.reach[n], k.chain.asOf(deadline).pos)
		for _, e := range h[i].Events {
			state, ok := handled[e.File]
			lacks = lacks || !isText && states[e.File] != e.State || ok && state != e.State
		}
		if lacks {
			found = append(found, violation(Convergent, k.index, "after calm %s (connection %d) does not have, or hand on, the states of a server that is started afresh", k.reader, k.id))
		}
	}
	return found
}

// sameShape reports whether two Watching events show their targets in the same way.
func sameShape(a, b wire.Event) bool {
	a.Mtime = b.Mtime // with -content, that of the last change that was reported
	return keysOf(&a) == keysOf(&b)
}

// asOf returns the last spot of c by the time t in ms.
func (c *chain) asOf(t int64) *spot {
	last := &c.spots[0]
	for i := range c.spots {
		if c.spots[i].t <= t {
			last = &c.spots[i]
		}
	}
	return last
}

// delivery checks that what a server has published has reached each reader that is
// connected and not disturbed within maxDelay.
func (h History) delivery(conns []*conn) (found []Violation) {
	faults := h.faults()
	for _, k := range conns {
		if len(k.lines) > 0 && k.reach[len(k.lines)] == nil {
			continue // it is no walk
		}
		n := 0 // the lines with which the reader has all before s
		for _, s := range k.chain.spots {
			for n < len(k.reach) && (k.reach[n] == nil || slices.Max(k.reach[n]) < s.pos) {
				n++
			}
			due, got := max(s.t, k.joined)+maxDelay, min(k.left, k.chain.until)
			if n < len(k.reach) {
				got = k.lines[n-1].t
			}
			excused := slices.ContainsFunc(faults, func(f fault) bool {
				return f.disturbs(k.reader) && f.overlaps(due-maxDelay, got)
			})
			if got > due && !excused {
				found = append(found, violation(Timely, k.index, "%s (connection %d) got what server %d published at %d ms only at %d ms, if at all", k.reader, k.id, k.chain.server, s.t, got))
				break
			}
		}
	}
	return found
}

// limits checks what was measured in the run itself: that nobody was delayed by what is
// disturbed elsewhere, that nothing has grown beyond its limit or was left behind, and
// that nothing was removed that is not ours.
func (h History) limits() (found []Violation) {
	for i, r := range h {
		switch {
		case r.Kind == Delay && r.Value > maxDelay:
			found = append(found, violation(Isolated, i, "%s was delayed by %d ms while %s", r.Name, r.Value, r.Cause))
		case r.Kind == Usage && r.Value > r.Limit:
			found = append(found, violation(Bounded, i, "%s: %d, limit %d", r.Name, r.Value, r.Limit))
		case r.Kind == Left:
			found = append(found, violation(Clean, i, "%s %s", r.Name, r.Path))
		}
	}
	return found
}
