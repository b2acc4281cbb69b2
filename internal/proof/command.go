package proof

// probe is how long COMMAND may be held back before a run, in ms: see internal/follow.
const probe = 4000

// maxSettle is how many times the time of -settle tasks wait at most.
const maxSettle = 10

// pending returns the time, in ms, from which the tasks that no run has got wait for
// COMMAND. With -restart its run does not keep them waiting. There are options and tasks.
func (c *client) pending() int64 {
	idle := c.ended
	if c.options.Restart {
		idle = c.began
	}
	return max(idle, c.tasks[c.next].t)
}

// settled returns between which times, in ms, the tasks that wait from the time on have
// settled, or will not wait any more.
func (c *client) settled(from int64) (early, late int64) {
	settle := c.options.Settle
	bound := func(quiet int64) int64 { // how long nothing must have come
		last := from
		for _, d := range c.tasks[c.next:] {
			if d.t-last >= quiet {
				break
			}
			last = max(last, d.t)
		}
		return min(last+settle, from+maxSettle*settle, max(from, c.closed))
	}
	return bound(settle-1) - 1, bound(settle+2) + 1 // what comes at the same time may come after
}

// begins checks that a run, or with -restart the end of one, is when the tasks have
// settled. Who has not said how its COMMAND runs may be late.
func (c *client) begins(index int, t, late int64) *Violation {
	if c.options == nil || c.broken || c.next == len(c.tasks) {
		return nil
	}
	switch first, last := c.settled(c.pending()); {
	case t < first:
		return new(violation(NeverTwo, index, "did not wait until %d ms, when nothing had changed for the time of -settle", first))
	case t > last+late+maxDelay:
		return new(violation(NeverTwo, index, "waited longer than until %d ms for COMMAND", last))
	}
	return nil
}

// waits reports whether COMMAND need not have run by the time t on the tasks that wait.
func (c *client) waits(t int64) bool {
	if c.options == nil || c.next == len(c.tasks) {
		return false
	}
	_, last := c.settled(c.pending())
	return t <= last+probe+maxDelay
}

// ran notes the end of a run, the record with the index. A run was told to end only by
// -restart, because of tasks that wait, unless the client ends too.
func (c *client) ran(index int, r *Record) (v *Violation) {
	if r.Name == "not started" {
		c.broken = true
		return nil
	}
	killed, asked := r.Name == "killed", r.T-r.Took
	switch {
	case c.options == nil:
	case killed && (!c.options.Restart || c.next == len(c.tasks)):
		c.ending = new(violation(NeverTwo, index, "has ended COMMAND, and nothing had changed or it has no -restart"))
	case killed:
		c.ending = c.begins(index, asked, 0)
		c.restarted = true
	case c.options.Restart && c.next < len(c.tasks):
		if _, last := c.settled(c.pending()); asked > last+maxDelay && !c.broken {
			v = new(violation(NeverTwo, index, "did not end COMMAND by %d ms, though -restart asks for it", last))
		}
	}
	c.running, c.failed, c.ended = false, r.Value != 0 || killed, r.T
	return v
}
