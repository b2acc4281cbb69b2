package proof

import (
	"maps"
	"slices"
	"strings"

	"net-watcher/internal/wire"
)

// unreadableAfter is how long a call may hang or be inconclusive before its path is
// unreadable, in ms.
const unreadableAfter = 5000

// report is what a server has reported of a name, at some time.
type report struct {
	may   []value // what it says: one value, if it is not the first scan's, which says nothing
	wrong bool    // it was not so
	span  int     // the earliest span of the name that it can be based on
	t     int64   // ms
	index int     // of its record
}

// reporter judges what one server has reported by what was on disk.
type reporter struct {
	*disk
	chain   *chain
	asks    []*asked // that have ended clients of it
	reports map[name][]report
	unseen  map[string]bool // the targets that nothing is known of, unreadable from the start on
	found   []Violation
}

// reports checks each event against the file system: what it reports was so, after what was
// reported before (Honest). At each time, what is reported was so within an interval and a
// scan: what is then reported too late breaks Timely, and what never is, Reliable.
func (h History) reports(chains []*chain, asks []*asked) (found []Violation) {
	d := h.disk()
	var last *reporter
	for _, c := range chains {
		r := &reporter{disk: d, chain: c, reports: make(map[name][]report), unseen: make(map[string]bool)}
		for _, a := range asks {
			if a.chain.server == c.server && a.end >= 0 {
				r.asks = append(r.asks, a)
			}
		}
		for i := range c.spots[0].places {
			r.begin(&c.spots[0].places[i].now, last)
		}
		for i := range c.events {
			r.event(&c.events[i])
		}
		for _, n := range slices.SortedFunc(maps.Keys(r.reports), func(a, b name) int { return strings.Compare(a.file, b.file) }) {
			r.overdue(n, r.reports[n])
		}
		found = append(found, r.found...)
		last = r
	}
	return found
}

func (r *reporter) fail(p Promise, index int, format string, args ...any) {
	r.found = append(r.found, violation(p, index, format, args...))
}

// begin notes e, a Watching event. If the target has the state that the server before has
// last reported, all holds that that one has reported, but below what cannot be read.
func (r *reporter) begin(e *wire.Event, last *reporter) {
	n, unchanged := nameOf(e), false
	r.note(n, e, r.chain.from, r.chain.index)
	r.unseen[n.target] = e.Error != "" && !r.some(func(f *fault) bool {
		return f.name == "fail" && f.at(n) && f.reason == e.Error
	})
	if last != nil {
		at := slices.Index(last.chain.targets, n.target)
		unchanged = last.chain.last().places[at].now.State == e.State
		if from := r.since(n, last.chain.until); !unchanged && !r.changed(n.target, from, r.chain.from) {
			r.fail(Honest, r.chain.index, "%s has another state than before the start, and has not changed", n.target)
		}
	}
	for _, n := range r.below(n.target) {
		first := r.last(n)
		hidden := r.some(func(f *fault) bool {
			return f.overlaps(r.chain.began, r.chain.from) && above(f.path, n.path())
		})
		if unchanged && e.Error == "" && !hidden {
			first = last.last(n)
		}
		r.reports[n] = []report{first}
	}
}

// event notes an event.
func (r *reporter) event(e *published) {
	n := nameOf(&e.Event)
	r.note(n, &e.Event, e.t, e.index)
	if n.file != n.target || !r.unseen[n.target] || e.Change == wire.Unreadable {
		return
	}
	// Now the server knows what is below the target, and need not report it.
	r.unseen[n.target] = false
	for _, n := range r.below(n.target) {
		now := r.whatever(n, max(r.since(n, e.t), r.chain.began), e.t, e.index)
		if e.Change == wire.Removed {
			now.may = []value{{}}
		}
		r.reports[n] = append(r.reports[n], now)
	}
}

// note adds a report, and checks that it is honest.
func (r *reporter) note(n name, e *wire.Event, t int64, index int) {
	before, v := r.last(n), valueOf(e)
	now := report{[]value{v}, false, before.span, t, index}
	if v.kind == unreadable {
		now.wrong = !r.justified(n, e.Error, t)
	} else if now.span = r.find(n, before, now); now.span < 0 {
		now.wrong, now.span = true, before.span
	}
	if now.wrong {
		r.fail(Honest, index, "%q, but since the last report %s was not %v, or not for this reason, or could not be read", e.String(), n.file, v)
	}
	r.reports[n] = append(r.reports[n], now)
}

// last returns the last report about n. The first scan has reported whatever was there.
func (r *reporter) last(n name) report {
	if reports := r.reports[n]; len(reports) > 0 {
		return reports[len(reports)-1]
	}
	return r.whatever(n, r.chain.began, r.chain.from, r.chain.index)
}

// whatever returns the report that n is what a scan between two times has found. What is
// below a directory that cannot be read is not there for it; where the whole process has
// no descriptors, that may be so.
func (r *reporter) whatever(n name, from, t int64, index int) report {
	now := report{may: r.between(n, from, t), t: t, index: index}
	now.span = slices.IndexFunc(r.of(n), func(s span) bool { return s.until >= from })
	for _, f := range r.faults {
		switch fails := f.overlaps(from, t) && (f.name == "fail" || f.name == "inconclusive"); {
		case fails && f.at(n):
			now.may = append(now.may, value{kind: unreadable})
		case fails && f.path != "" && f.covers(from, t) && above(f.path, n.path()):
			now.may = []value{{}}
			return now
		case fails && above(f.path, n.path()):
			now.may = append(now.may, value{})
		}
	}
	return now
}

// find returns the earliest span that the report now can be based on, or -1. It is not
// before that of the report before it, and a later one if both say the same. What has become
// a file or a directory was removed.
func (r *reporter) find(n name, before, now report) int {
	v, since, was := now.may[0], r.since(n, now.t), r.between(n, r.chain.began, r.chain.from)
	for _, old := range r.reports[n] {
		if old.may[0].kind != unreadable {
			was = old.may
		}
	}
	for i, s := range r.of(n) {
		again := r.reports[n] != nil && len(before.may) == 1 && v.kind == file && v.is(before.may[0]) && i == before.span
		replaced := v.kind == absent && slices.ContainsFunc(was, func(w value) bool {
			return w.kind == file && s.kind == directory || w.kind == directory && s.kind == file
		})
		if i < before.span || again || s.from > now.t || !s.is(v) && !replaced {
			continue
		}
		hidden := r.some(func(f *fault) bool {
			return f.name == "fail" && f.at(n) && f.covers(max(s.from, since), min(s.until, now.t))
		})
		if v.kind == absent || !hidden {
			return i
		}
	}
	return -1
}

// justified reports whether n may be reported as unreadable for the reason at the time t,
// at the start of its server or later. What tells nothing, hangs or is slow must have
// lasted, be it in turns.
func (r *reporter) justified(n name, reason string, t int64) bool {
	from, starts := r.since(n, t), t == r.chain.from && n.file == n.target
	if starts {
		from = min(from, r.chain.began) // the reason is that of the first scan
	}
	silent := strings.HasPrefix(reason, "file system not responding") || strings.HasPrefix(reason, "initial scan not finished")
	late := r.some(func(f *fault) bool { return r.delays(f, n.target) && f.overlaps(from, t) })
	var lasting []fault
	for _, f := range r.faults {
		// A scan that was delayed may have listed the directory before it failed.
		at := f.at(n) || r.links[n.path()] || f.path == "" || late && above(f.path, n.path())
		switch {
		case f.name == "fail" && at && f.reason == reason && f.overlaps(from, t):
			return true
		case f.name == "inconclusive" && (at || starts && f.in(n.target)), n.file == n.target && r.delays(&f, n.target):
			lasting = append(lasting, f)
		}
	}
	begin := t
	for i := 0; i < len(lasting); i++ {
		if f := lasting[i]; f.from < begin && f.until >= begin-r.window {
			begin, i = f.from, -1
		}
	}
	return t-begin >= unreadableAfter-maxDelay && slices.ContainsFunc(lasting, func(f fault) bool {
		isReason := f.name == "inconclusive" && f.reason == reason ||
			f.name != "inconclusive" && (silent || strings.HasPrefix(reason, "too many hung"))
		return isReason && f.overlaps(from, t)
	})
}

// changed reports whether something at or below the target may have changed between two
// times, or could not be examined.
func (r *reporter) changed(target string, from, until int64) bool {
	for _, n := range append(r.below(target), name{target, target}) {
		for _, s := range r.of(n) {
			if s.from >= from && s.from <= until && !r.chosen.enters(n) {
				return true
			}
		}
	}
	return r.some(func(f *fault) bool {
		return f.overlaps(from, until) && (f.in(target) || r.delays(f, target))
	})
}

// overdue checks that each report about n is replaced by another one in time.
func (r *reporter) overdue(n name, reports []report) {
	var times []int64 // when a report may have become too old
	for _, s := range r.of(n) {
		times = append(times, s.until+r.window+1)
	}
	for _, f := range r.faults {
		times = append(times, f.until+r.window+1, f.from+r.window+1, f.from+r.window+unreadableAfter+1)
	}
	var last []report // of each scan
	for i, now := range reports {
		if i == len(reports)-1 || now.index != reports[i+1].index {
			last = append(last, now)
		}
	}
	for i, now := range last {
		next, end, isLast := now, r.chain.until, i == len(last)-1
		if !isLast {
			next, end = last[i+1], last[i+1].t
		}
		if now.wrong {
			continue
		}
		for _, t := range append(times, max(now.t, r.chain.from), end) {
			if t < now.t || t < r.chain.from || t > end || r.fits(n, now, t, r.window) {
				continue
			}
			p := Reliable
			if !isLast && r.fits(n, next, t, r.window) {
				p = Timely
			}
			r.fail(p, next.index, "at %d ms, %s is still reported as %v", t, n.file, now.may[0])
			break
		}
		for _, a := range r.asks {
			// Without an answer, what is wrong is that the client has ended.
			isLatest := a.until != never && now.index <= a.known && (isLast || a.known < next.index)
			if isLatest && !r.fits(n, now, a.until, a.until-a.from) {
				r.fail(Reliable, a.end, "%s ended after a scan that it asked for at %d ms, and %s is still reported as %v", a.reader, a.from, n.file, now.may[0])
			}
		}
	}
}

// fits reports whether now may be the last report about n at the time t, with a scan within
// a window before that, in ms.
func (r *reporter) fits(n name, now report, t, window int64) bool {
	isUnreadable := slices.Contains(now.may, value{kind: unreadable})
	if r.mustBeUnreadable(n, t, window) {
		return isUnreadable
	}
	excused := r.some(func(f *fault) bool {
		unknown := now.index == r.chain.index && n.file == n.target && f.name != "fail" && f.in(n.target)
		return f.overlaps(t-window, t) && (r.hides(f, n) || isUnreadable && (f.at(n) || unknown))
	})
	isOther := slices.ContainsFunc(now.may, func(v value) bool { return v.kind != unreadable })
	if r.chosen.enters(n) && isOther { // whether it is there is not reported
		return true
	}
	return excused || slices.ContainsFunc(r.between(n, t-window, t), func(v value) bool {
		return slices.ContainsFunc(now.may, v.is)
	})
}

// mustBeUnreadable reports whether n is there, and has been for that window, and one fault
// and no other one has kept scans from reading it for as long.
func (r *reporter) mustBeUnreadable(n name, t, window int64) bool {
	return r.some(func(f *fault) bool {
		from := t - window
		if f.name != "fail" {
			from -= unreadableAfter
		}
		applies := (f.name == "fail" || f.name == "inconclusive") && f.at(n) || f.name == "hang" && n.file == n.target && f.in(n.target) &&
			!(above(n.target, f.path) && r.chosen.leavesOut(name{n.target, f.path + "/"}))
		if !applies || f.path == "" || !f.covers(from, t) {
			return false
		}
		there := r.between(n, from, t)
		if above(n.target, f.path) {
			there = append(there, r.between(name{f.path, f.path}, from, t)...)
		}
		return !slices.Contains(there, value{}) && !r.some(func(g *fault) bool {
			return g != f && g.overlaps(from, t) && (g.in(n.target) || r.delays(g, n.target))
		})
	})
}
