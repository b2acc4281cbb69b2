package proof

import (
	"slices"

	"net-watcher/internal/wire"
)

// conn is a connection of a reader.
type conn struct {
	reader       string
	id           int
	index        int    // of its Join record
	chain        *chain // of its server
	joined, left int64  // ms
	local        bool   // the first one of a reader in the process of the server
	floor        int    // a position of the chain that was received before it joined, by anybody
	lines        []line

	// reach is, for each number of lines, where in the chain the reader may be after them.
	// Nowhere is after a line that breaks a promise.
	reach [][]int
}

// line is a line that was received.
type line struct {
	wire.Event
	in    wire.Format
	key   string
	index int   // of its record
	t     int64 // ms
}

// conns returns all connections, in order.
func (h History) conns(chains []*chain) (all []*conn) {
	byID, byServer, high := make(map[int]*conn), make(map[int]*chain), make(map[*chain]int)
	for _, c := range chains {
		byServer[c.server] = c
	}
	for i, r := range h {
		switch k := byID[r.Conn]; r.Kind {
		case Join:
			c := byServer[r.Server]
			k = &conn{reader: r.Reader, id: r.Conn, index: i, chain: c, joined: r.T, left: never, floor: high[c]}
			k.local = r.Name == "local" && !slices.ContainsFunc(all, func(o *conn) bool { return o.reader == k.reader })
			byID[r.Conn] = k
			all = append(all, k)
		case Got:
			for _, e := range r.Events {
				in := wire.JSON
				if e.State == "" {
					in = wire.Text
				}
				l := line{e, in, keysOf(&e)[in], i, r.T}
				k.lines = append(k.lines, l)
				if at := k.chain.at[l.key]; len(at) == 1 {
					high[k.chain] = max(high[k.chain], at[0]+1)
				}
			}
		case Leave:
			k.left = r.T
		}
	}
	for _, k := range all {
		k.walk()
	}
	return all
}

// walk sets reach.
func (k *conn) walk() {
	k.reach = make([][]int, len(k.lines)+1)
	step := func(i int, lines []string, pos int) {
		if to := min(i+len(lines), len(k.lines)); k.has(i, lines) && !slices.Contains(k.reach[to], pos) {
			k.reach[to] = append(k.reach[to], pos)
		}
	}
	for i, l := range k.lines {
		switch {
		case l.Type == wire.Watching:
			for _, s := range k.chain.spots {
				if i == 0 && s.pos >= k.floor && s.t <= l.t+maxDelay && !(k.local && s.pos > 0) || slices.Contains(k.reach[i], s.pos) {
					step(i, s.greeting(l.in), s.pos)
				}
			}
		case i == 0 || l.in != k.lines[i-1].in:
		case l.Change == wire.Missed:
			for _, s := range k.chain.spots {
				for _, pos := range k.reach[i] {
					step(i, s.summary(l.in, pos), s.pos)
				}
			}
		default:
			for _, pos := range k.chain.at[l.key] {
				if slices.Contains(k.reach[i], pos) {
					step(i, []string{l.key}, pos+1)
				}
			}
		}
	}
}

// has reports whether the lines from i on are these. A connection may end among them.
func (k *conn) has(i int, lines []string) bool {
	return len(lines) > 0 && k.common(i, lines) == min(len(lines), len(k.lines)-i)
}

// common returns how many lines from i on are the first of these.
func (k *conn) common(i int, lines []string) (n int) {
	for n < min(len(lines), len(k.lines)-i) && k.lines[i+n].key == lines[n] {
		n++
	}
	return n
}

// walks checks that the lines of each connection are a walk on the chain of its server.
func walks(conns []*conn) (found []Violation) {
	for _, k := range conns {
		i := len(k.lines)
		if i == 0 || k.reach[i] != nil {
			continue
		}
		for i > 0 && k.reach[i] == nil {
			i--
		}
		l, p, text := k.diagnose(i, k.reach[i])
		found = append(found, violation(p, l.index, "%s (connection %d) got %q, which %s", k.reader, k.id, l.String(), text))
	}
	return found
}

// diagnose says what is wrong with the line i, after which the reader cannot be anywhere,
// or with one after it in the same summary. Before, it may be at one of the positions in at.
func (k *conn) diagnose(i int, at []int) (l *line, p Promise, text string) {
	c, pos, begin := k.chain, k.floor, i
	if i > 0 {
		pos = slices.Max(at)
	}
	for _, s := range c.spots {
		i = max(i, begin+k.common(begin, s.summary(k.lines[begin].in, pos)))
	}
	l = &k.lines[i]
	isGreeting, isMissed := l.Type == wire.Watching, l.Change == wire.Missed
	known := slices.Clone(c.at[l.key]) // where such a line, or greeting, stands
	for _, s := range c.spots {
		if isGreeting && k.has(i, s.greeting(l.in)) {
			known = append(known, s.pos)
		}
		for _, p := range s.places {
			if p.missed[l.in] == l.key {
				known = append(known, p.last-1)
			}
		}
	}
	later := slices.ContainsFunc(known, func(p int) bool { return p >= pos })
	is := func(key string) func(line) bool { return func(l line) bool { return l.key == key } }
	switch {
	case i == 0 && !isGreeting:
		return l, Ordered, "comes before a greeting"
	case !isGreeting && l.in != k.lines[i-1].in:
		return l, Ordered, "is in another format than the line before, with no greeting between them"
	case len(known) == 0:
		return l, Honest, "the server never had"
	case i == 0 && k.local:
		return l, Reliable, "comes after the first changes, which are missed"
	case i == 0:
		return l, Once, "is from before what others had by then, so that comes again"
	case isGreeting && later:
		return l, Reliable, "hides changes in a greeting"
	case isGreeting:
		return l, Honest, "is no longer so"
	case isMissed && (!later || slices.ContainsFunc(k.lines[begin:i], is(l.key))):
		return l, Honest, "has no hole: nothing was missed"
	case isMissed:
		return l, Reliable, "leaves out another target that changed"
	case !later:
		return l, Once, "came before, or was covered by a greeting or a missed"
	case slices.ContainsFunc(k.lines[i:], is(c.events[pos].keys[l.in])):
		return l, Ordered, "comes before " + c.events[pos].String()
	}
	return l, Reliable, "leaves a hole without a missed: " + c.events[pos].String()
}
