package proof

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"net-watcher/internal/wire"
)

// never is a time after all others, in ms.
const never = math.MaxInt64 >> 1

// keys is an event as a line in each format: two lines are the same if their keys are.
// (They are not encoded by wire, or what wire does wrong would be wrong in both.) The time
// of a greeting is no part, and how many things are unreadable, which a witness does not get.
type keys [wire.NumFormats]string

func keysOf(e *wire.Event) keys {
	at, size, mtime := e.Timestamp, int64(-1), int64(0)
	if e.Type == wire.Watching {
		at = 0
	}
	if e.Size != nil {
		size, mtime = *e.Size, e.Mtime.UnixNano()
	}
	text := fmt.Sprintf("%s %d %s %q %q %v", e.Type, at, e.Change, e.File, e.Error, e.Missing)
	return keys{wire.Text: text, wire.JSON: fmt.Sprintf("%s %q %d %d %d %d %d %s", text, e.Target, e.Protocol, e.Interval, e.Targets, size, mtime, e.State)}
}

// chain is what one server has published. A position in it is the number of events
// before it.
type chain struct {
	server      int
	began       int64 // ms, when its first scan did
	from, until int64 // ms, when it served, and scanned
	index       int   // of its Serve record
	targets     []string
	events      []published
	at          map[string][]int // the positions of the events with a key
	spots       []spot           // between two batches, ascending
}

// published is an event of a chain.
type published struct {
	wire.Event
	keys  keys
	index int   // of its record
	t     int64 // ms, of its record
}

// spot is a position between two batches, and how the targets were there.
type spot struct {
	pos    int
	t      int64   // ms, when the batch before it was published
	places []place // of the targets, in order
}

// place is how a target was.
type place struct {
	now              wire.Event // Watching
	last             int        // the position after its last change, 0 if there was none
	watching, missed keys       // the lines of a greeting, and of one who missed changes
}

func newPlace(now wire.Event, last int, timestamp int64) place {
	missed := wire.Event{Type: wire.Changed, Timestamp: timestamp, File: now.File, Change: wire.Missed, Size: now.Size, Mtime: now.Mtime, State: now.State}
	return place{now, last, keysOf(&now), keysOf(&missed)}
}

// chains returns those of all servers, in order.
func (h History) chains() (all []*chain) {
	byServer := make(map[int]*chain)
	for i, r := range h {
		switch c := byServer[r.Server]; r.Kind {
		case Serve:
			c = &chain{server: r.Server, began: r.T - r.Took, from: r.T, until: h[len(h)-1].T, index: i, at: make(map[string][]int)}
			first := spot{t: r.T}
			for _, e := range r.Events {
				c.targets = append(c.targets, e.File)
				first.places = append(first.places, newPlace(e, 0, 0))
			}
			c.spots = []spot{first}
			byServer[r.Server] = c
			all = append(all, c)
		case Publish:
			c.publish(i, &r)
		case End:
			if r.Reader == "" {
				c.until = r.T - r.Took
			}
		}
	}
	return all
}

// publish adds a batch, the record with the index.
func (c *chain) publish(index int, r *Record) {
	places := slices.Clone(c.last().places)
	for _, e := range r.Events {
		k := keysOf(&e)
		for _, key := range k {
			c.at[key] = append(c.at[key], len(c.events))
		}
		c.events = append(c.events, published{e, k, index, r.T})
		if i := slices.Index(c.targets, e.TargetName()); i >= 0 {
			now := places[i].now
			if now.State = e.State; e.Target == "" {
				now.Missing, now.Error, now.Size, now.Mtime = e.Change == wire.Removed, e.Error, e.Size, e.Mtime
			}
			places[i] = newPlace(now, len(c.events), e.Timestamp)
		}
	}
	c.spots = append(c.spots, spot{len(c.events), r.T, places})
}

// last returns the spot at the end.
func (c *chain) last() *spot { return &c.spots[len(c.spots)-1] }

// greeting returns the lines of a greeting at s.
func (s *spot) greeting(in wire.Format) (lines []string) {
	for _, p := range s.places {
		lines = append(lines, p.watching[in])
	}
	return lines
}

// summary returns the lines for one who goes on at s without the events from pos on: a
// Missed for each target that has changed, in the order of their last changes.
func (s *spot) summary(in wire.Format, pos int) (lines []string) {
	places := slices.SortedFunc(slices.Values(s.places), func(a, b place) int { return cmp.Compare(a.last, b.last) })
	for _, p := range places {
		if p.last > pos {
			lines = append(lines, p.missed[in])
		}
	}
	return lines
}
