package scan

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxCalls is how many calls of the file system may be outstanding. One
	// that is never answered cannot be taken back and holds a thread; Go dies
	// of 10,000.
	MaxCalls = 64

	// maxHelpers is how many of those may be there because calls are slow, of
	// which network file systems serve many at a time. What hangs does not
	// count; but beyond maxShared all is kept for folders of targets that no
	// call is out for.
	maxHelpers = MaxCalls / 2
	maxShared  = MaxCalls * 3 / 4

	// maxScouts is how many targets in one folder may be without an answer
	// before no other there is tried: one mount point may be dead and the next
	// one to it alive.
	maxScouts = 4

	// slowCall is what a call takes, on average, where it pays to have several
	// at a time. Local file systems take some 2 µs, network file systems 0.2 to
	// 5 ms.
	slowCall = 100 * time.Microsecond

	// stall is how long targets wait for a caller to come back before another
	// begins.
	stall = 20 * time.Millisecond

	// doubt is how long a call has to answer before it counts as hung, and
	// patience how long before the target is unreadable.
	doubt    = time.Second
	patience = 5 * time.Second
)

// Why a target is unreadable of which nothing is heard.
const (
	noAnswer = "file system not responding for 5s"
	notDone  = "initial scan not finished after 5s"
	tooMany  = "too many hung file system calls (64)"
)

// parent is a folder that targets are in. What hangs for one of them most
// likely hangs for all.
type parent struct {
	targets []*target

	// Guarded by pool.mu.
	waiting  []*target     // to be looked at, those due for longest first
	out      int           // being looked at
	answered bool          // some have been looked at since none was
	last     time.Duration // when the last was taken
}

// pool is the goroutines that look at targets. As many are at work as it takes:
// one where the file system is fast, more while that is slow or hangs.
type pool struct {
	*looker
	epoch time.Time     // what durations below are counted from
	lag   atomic.Int64  // how much of the time since then the program was stopped (time.Duration)
	wake  chan struct{} // has room for one, which says that looks have ended

	mu      sync.Mutex // guards what follows
	callers [MaxCalls]caller
	busy    int           // callers that are not at rest
	queue   []*parent     // those with targets waiting
	turn    int           // in queue, of the next
	last    time.Duration // when the last target was taken
	open    int           // targets due that have neither been looked at nor lost
	hung    int           // calls without an answer, as of the last collect
	full    bool          // it was told that there can be no more calls
	checked time.Duration // the last collect, or the last add while none was due
	ended   []walk        // looks that have something to tell
	things  int           // what the last looks at all targets looked at
	slowest time.Duration // the longest that a target was due, of those that were known before
}

// caller looks at things, one call of the file system at a time.
type caller struct {
	*looker
	pool   *pool
	target *target      // guarded by pool.mu; nil at rest
	began  atomic.Int64 // when the call under way began (time.Duration since pool.epoch); 0 for none

	ended time.Duration // when the last call did

	entries []entry // of the folder listed last; kept for its memory

	// The latest calls, the time that they took, and how often end found that
	// to be long: once may be for want of a processor.
	calls int
	spent time.Duration
	long  int
}

func newPool(lr *looker) *pool {
	p := &pool{looker: lr, epoch: time.Now(), wake: make(chan struct{}, 1)}
	for i := range p.callers {
		p.callers[i].looker, p.callers[i].pool = lr, p
	}
	return p
}

// now returns the time since the epoch. It is never 0.
func (p *pool) now() time.Duration { return time.Since(p.epoch) - time.Duration(p.lag.Load()) + 1 }

// begin is to be called before one or more calls of the file system, and end
// after them with their number. It returns c.
func (c *caller) begin() *caller {
	c.began.Store(int64(c.pool.now()))
	return c
}

func (c *caller) end(calls int) {
	c.ended = c.pool.now()
	took := c.ended - time.Duration(c.began.Load())
	c.began.Store(0)
	c.calls += calls
	c.spent += took
	if took > time.Duration(calls)*slowCall {
		c.long++
	}
	if c.calls > 256 { // forget slowly
		c.calls, c.spent, c.long = c.calls/2, c.spent/2, c.long/2
	}
}

// slow reports whether the latest calls were slow.
func (c *caller) slow() bool {
	return c.long >= 3 && c.spent > time.Duration(c.calls)*slowCall
}

// add makes every target due that is not.
func (p *pool) add(parents []*parent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.open == 0 && len(p.queue) == 0 { // or else collect finds out whether the program was stopped
		p.checked = now
	}
	for _, d := range parents {
		if d.out == 0 {
			d.answered = false
		}
		for _, t := range d.targets {
			if t.since != 0 {
				continue
			}
			if len(d.waiting) == 0 {
				p.queue = append(p.queue, d)
			}
			t.since = now
			d.waiting = append(d.waiting, t)
			p.open++
		}
	}
	if p.busy == 0 {
		p.sendLocked(now)
	}
}

// sendLocked sends one more caller to look at the targets that wait, if there
// is one and they may be looked at.
func (p *pool) sendLocked(now time.Duration) {
	if p.busy == MaxCalls {
		return
	}
	if t := p.nextLocked(now); t != nil {
		go p.work(p.callerLocked(t))
	}
}

// crowdedLocked reports whether there may be no more callers for the sake of
// speed.
func (p *pool) crowdedLocked() bool {
	return p.busy-p.hung >= maxHelpers || p.busy >= maxShared
}

// callerLocked returns a caller for a look at t. There must be one at rest.
func (p *pool) callerLocked(t *target) *caller {
	i := 0
	for p.callers[i].target != nil {
		i++
	}
	c := &p.callers[i]
	c.target, c.calls, c.spent, c.long = t, 0, 0, 0
	p.busy++
	return c
}

// nextLocked takes a target that may be looked at from those that wait, the
// folders in turn. It returns nil if there is none.
func (p *pool) nextLocked(now time.Duration) *target {
	if p.stopped() {
		return nil
	}
	for range p.queue {
		p.turn %= len(p.queue)
		d := p.queue[p.turn]
		recent := now-d.last < doubt
		if d.out > 0 && (p.crowdedLocked() || recent && !d.answered || !recent && d.out >= maxScouts) {
			p.turn++
			continue
		}
		t := d.waiting[0]
		if d.waiting = d.waiting[1:]; len(d.waiting) > 0 {
			p.turn++
		} else {
			end := len(p.queue) - 1
			p.queue[p.turn] = p.queue[end]
			p.queue = p.queue[:end]
		}
		d.out++
		d.last, p.last = now, now
		return t
	}
	return nil
}

// work looks at targets until none waits.
func (p *pool) work(c *caller) {
	var w walk
	for t := c.target; t != nil; {
		w = walk{caller: c, first: !t.seen, of: t}
		w.delta = w.run(&t.root, t.name)
		t = p.done(&w)
	}
}

// done takes a look that has ended, and returns the next target for its
// caller, or nil if there is none: then the caller is at rest.
func (p *pool) done(w *walk) *target {
	t := w.of
	p.mu.Lock()
	defer p.mu.Unlock()
	t.in.out--
	t.in.answered = true
	if t.hung == "" {
		p.open--
		if t.seen {
			p.slowest = max(p.slowest, w.ended-t.since)
		}
	}
	p.things += w.count - t.things
	t.things = w.count
	if w.first || t.hung != "" || t.lost || w.changed() {
		p.ended = append(p.ended, *w)
	} else {
		t.since = 0
	}
	p.busy--
	if w.target = p.nextLocked(w.ended); w.target == nil {
		select {
		case p.wake <- struct{}{}:
		default:
		}
		return nil
	}
	p.busy++
	if w.slow() && !p.crowdedLocked() {
		p.sendLocked(w.ended)
	}
	return w.target
}

// help returns a caller that helps c, whose calls are slow, with its target, or
// nil if none is free. It is to be given back to rest.
func (p *pool) help(c *caller) *caller {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crowdedLocked() {
		return nil
	}
	return p.callerLocked(c.target)
}

// rest takes back a caller that has helped.
func (p *pool) rest(c *caller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.target, c.entries = nil, nil
	p.busy--
}

// news is what has happened since it was last asked for.
type news struct {
	ended  []walk        // looks that have something to tell
	lost   []*target     // what is to be said to be unreadable; hung says why
	full   bool          // there can be no more calls from now on
	took   time.Duration // the longest that a target was due
	things int           // what the last looks at all targets looked at
}

// collect returns what is new. It sees to it that other callers look at what
// waits if those at work do not come back, so it must be called as often as
// due says. Only one goroutine may call it.
func (p *pool) collect() news {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := news{ended: p.ended, took: p.slowest, things: p.things}
	p.ended = nil
	for _, w := range n.ended {
		w.of.since, w.of.hung = 0, ""
	}

	// The program may have been stopped, and the file system not.
	now := p.now()
	if late := now - p.checked - doubt; late > 0 {
		p.lag.Add(int64(late))
		now -= late
	}
	p.checked = now
	lose := func(t *target, why string) {
		if t.hung != "" {
			return
		}
		t.hung = why
		p.open--
		if !t.lost && !t.unreadable {
			t.lost = true
			n.lost = append(n.lost, t)
		}
	}
	// Whose call has had no answer, and for how long the longest in each folder.
	var hangs [MaxCalls]bool
	hung := make(map[*parent]time.Duration)
	p.hung = 0
	for i := range p.callers {
		c := &p.callers[i]
		if began := time.Duration(c.began.Load()); began != 0 && now-began >= doubt {
			hangs[i] = true
			hung[c.target.in] = max(hung[c.target.in], now-began)
			p.hung++
		}
	}
	for i := range p.callers {
		c := &p.callers[i]
		switch t := c.target; {
		case t == nil || now-t.since < patience:
		case hangs[i] && hung[t.in] >= patience:
			lose(t, noAnswer)
		case !t.seen:
			lose(t, notDone)
		}
	}
	full := p.hung == MaxCalls
	for _, d := range p.queue {
		for _, t := range d.waiting {
			if now-t.since < patience { // and those after it for less
				break
			}
			switch {
			case hung[d] > 0 && now-d.last >= doubt:
				lose(t, noAnswer)
			case full:
				lose(t, tooMany)
			case !t.seen:
				lose(t, notDone)
			}
		}
	}
	if now-p.last >= stall {
		p.sendLocked(now)
	}
	n.full = full && !p.full
	p.full = full || p.full && p.hung > MaxCalls/2
	return n
}

// due returns how long collect may be put off at most; 0 is for any time.
func (p *pool) due() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.open > 0 || len(p.ended) > 0:
		return stall
	case len(p.queue) > 0:
		return doubt
	}
	return 0
}

// end waits until all callers are at rest. Those in a call that is not answered
// are left to it.
func (p *pool) end() {
	deadline := time.After(100 * time.Millisecond)
	for p.atWork() {
		select {
		case <-p.wake:
		case <-deadline:
			return
		}
	}
}

func (p *pool) atWork() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy > 0
}

// isOpen reports whether something is waited for or has not been collected.
func (p *pool) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open > 0 || len(p.ended) > 0
}
