package proof

import (
	"maps"
	"slices"

	"net-watcher/internal/wire"
)

// duty is an event that somebody has to hand on.
type duty struct {
	wire.Event
	index int   // of the record since which it has
	t     int64 // ms
}

// same reports whether a and b are the same. A client finds out by itself that it has
// missed something, and when: that time is not compared.
func same(a, b duty) bool {
	if a.Change == wire.Missed && b.Change == wire.Missed {
		a.Timestamp, b.Timestamp = 0, 0
	}
	return keysOf(&a.Event) == keysOf(&b.Event)
}

// collapsed reports whether a stands for all up to b that are about its target.
func collapsed(a, b duty) bool {
	return a.Change == wire.Missed && a.File == b.TargetName() && a.State == b.State
}

// duties returns the events of a record as such.
func duties(index int, r *Record) (all []duty) {
	for _, e := range r.Events {
		all = append(all, duty{e, index, r.T})
	}
	return all
}

// client is what is known of a client, and of its COMMAND, at some point of a history.
type client struct {
	states map[string]string // of each target
	due    []duty            // what it is to hand on
	done   []duty            // what it has handed on
	tasks  []duty            // what COMMAND is to get: what was done, but for what is unreadable

	options *Record  // nil if there was none
	chosen  *chooser // what it is to hand on

	closed       int64 // ms, when it has all that it will get, with -scan or -once; or never
	began, ended int64 // ms, of the last run
	broken       bool  // COMMAND could not be started since then
	restarted    bool  // the last run was told to end, because of tasks

	// What is wrong with that the last run was told to end, unless the client ends too.
	ending *Violation

	silent      bool // it hands on nothing
	command     bool // it has one
	unseen      bool // what it hands on to it: all that is due then counts as handed on
	started     bool // it has run without input, as it does once, with -initial
	running     bool
	failed      bool   // the last run: the next one gets the same, and more
	input       []duty // of the last run
	begin, next int    // the first of tasks that it has got, and that no run has got
}

// clients checks that each client has handed on each change that it got, and a Missed for
// each target that a greeting showed in another state than it had, in order, each once,
// and nothing else. COMMAND has got that, with no two runs at once, and the last run after
// the last change.
func (h History) clients(asks []*asked) (found []Violation) {
	readers := make(map[string]*client)
	for _, r := range h {
		if r.Kind == Handled || r.Kind == Run || r.Kind == Options {
			c := readers[r.Reader]
			if c == nil {
				c = &client{states: make(map[string]string), unseen: true, silent: true, chosen: new(Record).chooser(), closed: never}
				readers[r.Reader] = c
			}
			c.silent = c.silent && r.Kind == Options
			c.unseen = c.unseen && (r.Kind != Handled || r.Name == "command" && r.Events == nil)
		}
	}
	asking := make(map[int]*asked) // by connection
	for _, a := range asks {
		asking[a.id] = a
	}
	wrong := make(map[string]bool) // one violation each is enough
	report := func(v *Violation, reader string) {
		if v != nil && !wrong[reader] {
			v.Text = reader + " " + v.Text
			found = append(found, *v)
			wrong[reader] = true
		}
	}
	for i := range h {
		r := &h[i]
		if r.Kind == Fresh {
			for _, reader := range slices.Sorted(maps.Keys(readers)) {
				report(readers[reader].atEnd(h, r.T), reader)
			}
		}
		c := readers[r.Reader]
		if c == nil {
			continue
		}
		switch r.Kind {
		case Got:
			c.unseen = c.unseen && !c.silent
			lines := duties(i, r)
			if a := asking[r.Conn]; a != nil {
				lines, c.closed = lines[:a.readOf(i)], a.until
			}
			c.got(lines)
			if c.unseen {
				c.handled(c.due[len(c.done):])
			}
		case Leave:
			if c.options != nil && c.options.Once {
				c.closed = min(c.closed, r.T)
			}
		case Handled:
			c.command = c.command || r.Name == "command"
			report(c.handled(duties(i, r)), r.Reader)
		case Run:
			report(c.run(h, i, duties(i, r)), r.Reader)
		case Ran:
			report(c.ran(i, r), r.Reader)
		case Options:
			c.options, c.chosen = r, r.chooser()
		case End:
			if r.Name == "scanned" {
				report(c.scanned(i, r.Value), r.Reader)
			}
			wrong[r.Reader] = true // no more is expected
		}
	}
	return found
}

// got notes lines. Text, which comes before the server has read the word json, is skipped.
func (c *client) got(lines []duty) {
	for _, d := range lines {
		last, known := c.states[d.TargetName()]
		switch {
		case d.State == "":
			continue
		case d.Type == wire.Changed:
			if c.handsOn(&d.Event) {
				c.due = append(c.due, d)
			}
		case known && last != d.State:
			d.Event = wire.Event{Type: wire.Changed, File: d.File, Change: wire.Missed, Size: d.Size, Mtime: d.Mtime, State: d.State}
			c.due = append(c.due, d)
		}
		if known || d.Type == wire.Watching {
			c.states[d.TargetName()] = d.State
		}
	}
}

// handsOn reports whether the client is to hand on the change e. Of a directory that is
// only entered, it is that it cannot be read, and that it can be again.
func (c *client) handsOn(e *wire.Event) bool {
	n := nameOf(e)
	return !c.chosen.leavesOut(n) && (!c.chosen.enters(n) || e.Change == wire.Unreadable || e.Change == wire.Readable)
}

// handled notes what was handed on.
func (c *client) handled(done []duty) *Violation {
	for i, d := range done {
		if n := len(c.done); n == len(c.due) || !same(d, c.due[n]) {
			return blame(c.due, n, done[i:], "handed on")
		}
		if c.done = append(c.done, d); d.Change != wire.Unreadable {
			c.tasks = append(c.tasks, d)
		}
	}
	return nil
}

// blame says what is wrong with done, whose first one should be that of due at n.
func blame(due []duty, n int, done []duty, verb string) *Violation {
	d := done[0]
	is := func(o duty) bool { return same(d, o) || collapsed(d, o) }
	isNext := func(o duty) bool { return same(o, due[n]) }
	p, text := Honest, "which it did not get, or which it had missed nothing of"
	switch {
	case n < len(due) && slices.ContainsFunc(due[n:], is) && slices.ContainsFunc(done, isNext):
		p, text = Ordered, "before "+due[n].String()
	case n < len(due) && slices.ContainsFunc(due[n:], is):
		p, text = Reliable, "and left out "+due[n].String()
	case slices.ContainsFunc(due[:n], func(o duty) bool { return same(d, o) }):
		p, text = Once, "again"
	}
	return new(violation(p, d.index, "%s %q, %s", verb, d.String(), text))
}

// run notes a run of COMMAND, the record with the index. It gets what is due since the last
// run, after all that the last one got if that has failed. Without input it runs once, with
// -initial: when the first greeting is complete, which may be after one that was cut short
// and what was missed since.
func (c *client) run(h History, index int, input []duty) *Violation {
	switch {
	case c.running:
		return new(violation(NeverTwo, index, "runs COMMAND while it runs"))
	case len(input) == 0 && !c.failed && (c.started || c.options != nil && !c.options.Initial):
		return new(violation(Honest, index, "runs COMMAND for nothing"))
	case c.ending != nil:
		return c.ending
	}
	var timing *Violation
	if !c.restarted { // else the end of the last run was judged
		timing = c.begins(index, h[index].T, probe)
	}
	start, rest := c.next, input
	if n := len(c.input); c.failed && len(input) >= n && slices.EqualFunc(input[:n], c.input, same) {
		rest = input[n:]
	} else if c.failed {
		start = c.begin // it is collapsed now
	} else {
		c.begin = c.next
	}
	c.started = c.started || len(input) == 0
	c.command, c.running, c.failed, c.input = true, true, false, input
	c.began, c.broken, c.restarted = h[index].T, false, false
	for end := start; end <= len(c.tasks); end++ {
		exact, ok := cutCollapsed(rest, c.tasks[start:end])
		if ok && len(exact) <= len(c.tasks)-end && slices.EqualFunc(exact, c.tasks[end:end+len(exact)], same) {
			if c.next == end+len(exact) { // it got nothing that is new, and did not wait
				return nil
			}
			c.next = end + len(exact)
			return timing
		}
	}
	n := 0
	for n < min(len(rest)-1, len(c.tasks)-start) && same(rest[n], c.tasks[start+n]) {
		n++
	}
	return blame(c.tasks, start+n, rest[n:], "gave COMMAND")
}

// cutCollapsed returns what is in the input after a Missed for each target of the tasks,
// in the order of their last ones.
func cutCollapsed(input, tasks []duty) (rest []duty, ok bool) {
	var last []duty
	for i, d := range tasks {
		if !slices.ContainsFunc(tasks[i+1:], func(o duty) bool { return o.TargetName() == d.TargetName() }) {
			last = append(last, d)
		}
	}
	if len(last) > len(input) {
		return nil, false
	}
	return input[len(last):], slices.EqualFunc(input[:len(last)], last, collapsed)
}

// scanned says what the client has not done, though it has ended by -scan, the record with
// the index, with this exit status.
func (c *client) scanned(index int, status int64) *Violation {
	switch {
	case len(c.done) < len(c.due):
		return new(violation(Reliable, index, "has ended, and not handed on %q", c.due[len(c.done)].String()))
	case !c.command || status != 0 && (c.failed || c.broken):
		return nil
	case status != 0 || c.failed || c.broken:
		return new(violation(NeverTwo, index, "has ended with status %d, and COMMAND has failed or cannot be started: %v", status, c.failed || c.broken))
	case c.next < len(c.tasks):
		return new(violation(NeverTwo, index, "has ended, and did not run COMMAND after %q", c.tasks[c.next].String()))
	}
	return nil
}

// atEnd says what the client has not done by the time t of a Fresh, though it was due.
func (c *client) atEnd(h History, t int64) *Violation {
	if n := len(c.done); n < len(c.due) && c.due[n].t < h.deadline() {
		return new(violation(Reliable, c.due[n].index, "never handed on %q", c.due[n].String()))
	}
	switch {
	case c.waits(t):
		return nil // it is still to run
	case c.ending != nil:
		return c.ending
	case c.next < len(c.tasks) && c.command && (!c.running || c.options != nil && c.options.Restart) && c.tasks[c.next].t < h.deadline():
		return new(violation(NeverTwo, c.tasks[c.next].index, "did not run COMMAND after %q", c.tasks[c.next].String()))
	case c.closed < h.deadline() && !c.running:
		return new(violation(Reliable, h.first(Fresh), "has not ended, though it has had all since %d ms", c.closed))
	}
	return nil
}
