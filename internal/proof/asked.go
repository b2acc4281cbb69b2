package proof

import (
	"slices"

	"net-watcher/internal/wire"
)

// asked is what became of a scan that a client with -scan has asked for: it does so in each
// connection, after the first greeting in JSON, and ends with the next one.
type asked struct {
	*conn
	end   int   // the index of the record of the client's end, if it ended by this scan; or -1
	from  int64 // ms, when it asked; never before that
	until int64 // ms, when it had the greeting after the scan; never before that
	read  int   // the number of lines up to that greeting, which are all that it handles
	known int   // the index of the last record of the chain that it had then; -1 if that is not known
}

// asks returns them, one for each connection.
func (h History) asks(conns []*conn) (all []*asked) {
	last := make(map[string]*asked) // by reader
	for _, r := range h {
		if r.Kind == Options && r.Ask {
			last[r.Reader] = nil
		}
	}
	for _, k := range conns {
		if _, ok := last[k.reader]; !ok {
			continue
		}
		a := &asked{k, -1, never, never, len(k.lines), -1}
		if ends := k.greetings(); len(ends) > 0 {
			a.from = k.lines[ends[0]-1].t
			if len(ends) > 1 {
				a.until, a.read = k.lines[ends[1]-1].t, ends[1]
			}
		}
		if at := k.reach[a.read]; at != nil {
			a.known = k.chain.index
			if pos := slices.Max(at); pos > 0 {
				a.known = k.chain.events[pos-1].index
			}
		}
		last[k.reader] = a
		all = append(all, a)
	}
	for i, r := range h {
		if a := last[r.Reader]; a != nil && r.Kind == End && r.Name == "scanned" {
			a.end = i
		}
	}
	return all
}

// readOf returns how many lines of the record with the index it handles.
func (a *asked) readOf(index int) (n int) {
	for _, l := range a.lines[:a.read] {
		if l.index == index {
			n++
		}
	}
	return n
}

// greetings returns the numbers of lines after which there was another greeting in JSON.
func (k *conn) greetings() (ends []int) {
	n := 0
	for i, l := range k.lines {
		if l.Type != wire.Watching || l.in != wire.JSON {
			n = 0
		} else if n++; n == l.Targets {
			ends, n = append(ends, i+1), 0
		}
	}
	return ends
}

// answers checks that a scan which was asked for is over soon, unless something keeps
// scans or the reader from their work, and that the client ends only then. (What it must
// have got is in reports, what it must have done with that in clients.)
func (h History) answers(asks []*asked) (found []Violation) {
	faults := h.faults()
	for _, a := range asks {
		if a.end >= 0 && a.until == never {
			found = append(found, violation(Reliable, a.end, "%s has ended before the scan that it asked for", a.reader))
			continue
		}
		due, got := a.from+3*h[0].Scan+2*maxDelay, min(a.until, a.left, a.chain.until)
		excused := slices.ContainsFunc(faults, func(f fault) bool {
			// The scan may wait for as long as one that was late before.
			isOfScans := f.reader == "" && f.name != "fail" && f.overlaps(a.from-(f.until-f.from), got)
			return isOfScans || f.disturbs(a.reader) && f.overlaps(a.from, got)
		})
		if got > due && !excused {
			found = append(found, violation(Timely, a.index, "%s (connection %d) asked for a scan at %d ms, which was over at %d ms, if at all", a.reader, a.id, a.from, got))
		}
	}
	return found
}
