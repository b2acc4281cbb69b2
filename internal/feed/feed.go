package feed

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"time"

	"net-watcher/internal/wire"
)

// What the log of a feed may hold for those who are behind. A batch that is
// larger than that by itself is kept until the next one comes.
const (
	maxLogEvents = 1 << 16
	maxLogBytes  = 16 << 20
)

// MaxOnWay is how many bytes may be on their way to readers, apart from the
// latest. That is more than the log may hold, because greetings, and batches
// that the log has let go of, stay for as long as anybody is being told them.
const MaxOnWay = 64 << 20

// Feed is what there is to tell: how the targets are, and a log of the batches
// of changes that not everyone has read yet. All readers read that same log,
// each at a place of its own. The methods may be called from any goroutine.
type Feed struct {
	// more has a value whenever a batch has come that waiting readers have not
	// been started for, or too much may be on its way. Who receives from it calls
	// waiting.
	More chan struct{}

	MaxEvents, maxBytes int // of log
	MaxOnWay            int

	mu      sync.Mutex // guards what follows, and the fields of the readers
	targets []*tracked // in the order of the command line
	byName  map[string]*tracked
	readers map[*Reader]struct{}
	using   [wire.NumFormats]int // readers with that format
	busy    int                  // readers being told
	behind  bool                 // a batch has come since the last call of waiting
	closed  bool

	tellings uint64 // so far

	head   uint64  // the number of the next batch
	log    []batch // the last of them; the newest is number head-1
	events int     // in log
	bytes  int     // in log

	greetings [wire.NumFormats]*blob // of the last who joined, a line per target
	summaries [wire.NumFormats]summary
}

// tracked is a target as the feed knows it from the events so far.
type tracked struct {
	now  wire.Event // Watching
	last uint64     // number of the last batch that told of it, 0 for none
	when int64      // timestamp of that batch
}

// blob is lines of the wire that any number of readers are told.
type blob struct {
	lines []byte
	head  uint64 // of the feed when it was made
	made  time.Time
	stale bool // a greeting that another has replaced; guarded by feed.mu
}

// newBlobLocked returns the events as lines, made now. It must be called with mu
// held.
func (f *Feed) newBlobLocked(in wire.Format, events []wire.Event) *blob {
	lines := wire.Encode(in, events)
	return &blob{lines: bytes.Clone(lines), head: f.head, made: time.Now()} // with no room to spare
}

// batch is the events of one look, encoded in every format that a reader had
// when they came.
type batch struct {
	events int
	bytes  int
	lines  [wire.NumFormats]*blob
}

// Reader is one subscriber's place in the feed.
type Reader struct {
	Of any // who it is; for the one that joins it, to be set before that

	// What follows belongs to the feed.

	cursor uint64 // the batch to read next
	format wire.Format
	want   wire.Format // to change to when all that waits is read
	first  *blob       // the greeting, until it is read
	holds  *blob       // what it is being told
	began  uint64      // the number of that telling
	busy   bool        // being told
	gone   bool
}

// New returns a feed of the targets that the Watching events describe.
func New(watching []wire.Event) *Feed {
	f := &Feed{
		More:      make(chan struct{}, 1),
		MaxEvents: maxLogEvents,
		maxBytes:  maxLogBytes,
		MaxOnWay:  MaxOnWay,
		byName:    make(map[string]*tracked, len(watching)),
		readers:   make(map[*Reader]struct{}),
		head:      1,
	}
	for _, e := range watching {
		t := &tracked{now: e}
		f.targets = append(f.targets, t)
		f.byName[e.File] = t
	}
	return f
}

// Publish adds the events, one or more, of one look. It never waits for a
// reader.
func (f *Feed) Publish(events []wire.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range events {
		f.applyLocked(&events[i])
	}
	f.head++
	if len(f.readers) == 0 {
		return
	}
	b := batch{events: len(events)}
	for i, n := range f.using {
		if n > 0 {
			b.lines[i] = f.newBlobLocked(wire.Format(i), events)
			b.bytes += len(b.lines[i].lines)
		}
	}
	f.log = append(f.log, b)
	f.events += b.events
	f.bytes += b.bytes
	for len(f.log) > 1 && (f.events > f.MaxEvents || f.bytes > f.maxBytes) {
		f.events -= f.log[0].events
		f.bytes -= f.log[0].bytes
		f.log[0] = batch{} // for the garbage collector
		f.log = f.log[1:]
	}
	f.behind = true
	f.wake()
}

// wake lets whoever receives from more call waiting.
func (f *Feed) wake() {
	select {
	case f.More <- struct{}{}:
	default: // not received yet, and so will do for this too
	}
}

// applyLocked brings the target that e tells of up to date, for the next
// greeting. It must be called with mu held.
func (f *Feed) applyLocked(e *wire.Event) {
	t := f.byName[cmp.Or(e.Target, e.File)]
	t.last, t.when = f.head, e.Timestamp
	t.now.Apply(e)
}

// Join adds r, in the format want and about to be told a greeting: its caller
// must see to it that r is told. It returns how many readers there are now, or
// false if the feed is closed.
func (f *Feed) Join(r *Reader, want wire.Format) (int, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, false
	}
	f.readers[r] = struct{}{}
	r.busy = true
	f.busy++
	r.want = want
	f.using[want]++
	r.first = f.greetLocked(r)
	return len(f.readers), true
}

// greetLocked moves r to the head of the feed and to the format that it wants,
// and returns the greeting that belongs there. It must be called with mu held.
func (f *Feed) greetLocked(r *Reader) *blob {
	r.format, r.cursor = r.want, f.head
	return f.greetingLocked(r.format)
}

// Switch makes r change to another format when it has read what waits for it. It
// reports whether the caller must see to it that r is told.
func (f *Feed) Switch(r *Reader, want wire.Format) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.want = want
	return r.want != r.format && f.startLocked(r)
}

// Waiting returns the readers that there may be something for and that are not
// being told: the caller must see to it that they are. It appends to rs, which
// may be nil. The others that it returns are to be dropped: they have been
// told the same for so long that too much is on its way.
func (f *Feed) Waiting(rs []*Reader) (waiting, slow []*Reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var late []*Reader                // who is being told something else than the latest
	told := make(map[*blob][]*Reader) // the same by what that is
	over := -f.MaxOnWay
	for r := range f.readers {
		if f.behind && f.startLocked(r) {
			rs = append(rs, r)
		}
		b := r.holds
		if b == nil || b.head+1 >= f.head && !b.stale {
			continue
		}
		if told[b] == nil {
			over += len(b.lines)
		}
		told[b] = append(told[b], r)
		late = append(late, r)
	}
	f.behind = false
	f.letGoLocked() // all may have left
	if over > 0 {
		slices.SortFunc(late, func(a, b *Reader) int { return cmp.Compare(a.began, b.began) })
	}
	for ; over > 0; late = late[1:] {
		if b := late[0].holds; told[b] != nil {
			over -= len(b.lines)
			slow = append(slow, told[b]...)
			told[b] = nil
		}
	}
	return rs, slow
}

// startLocked marks r as being told and reports whether it was not before.
// It must be called with mu held.
func (f *Feed) startLocked(r *Reader) bool {
	if r.busy {
		return false
	}
	r.busy = true
	f.busy++
	return true
}

// Next returns the lines that r is to be told next, which must not be changed;
// what it returned before has been told by then. If there are none, r must not
// be told any longer; and if gone is true, r has left while it was being told,
// and its connection is for the caller to close.
func (f *Feed) Next(r *Reader) (lines []byte, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.head - uint64(len(f.log))
	var b *blob
	skip := 0
	switch {
	case r.first != nil:
		b, r.first = r.first, nil
	case r.gone:
		gone = true
	case r.cursor < oldest:
		b, skip = f.summaries[r.format].since(f, r.format, r.cursor)
		r.cursor = f.head
	case r.cursor < f.head:
		b = f.log[r.cursor-oldest].lines[r.format]
		r.cursor++
	case r.want != r.format:
		f.using[r.format]--
		f.using[r.want]++
		b = f.greetLocked(r)
	default:
		r.busy = false
		f.busy--
		f.letGoLocked()
	}
	f.tellings++
	r.began = f.tellings
	if r.holds = b; b == nil {
		return nil, gone
	}
	return b.lines[skip:], false
}

// letGoLocked empties the log if everyone has read all of it. It must be called
// with mu held.
func (f *Feed) letGoLocked() {
	if f.busy == 0 && !f.behind {
		f.log, f.events, f.bytes = nil, 0, 0
	}
}

// Count returns how many readers there are.
func (f *Feed) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.readers)
}

// Leave removes r, and returns how many readers there are now and whether r is
// still being told: if so, next tells the one who does.
func (f *Feed) Leave(r *Reader) (now int, busy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, r)
	f.using[r.format]--
	r.gone = true
	if r.busy {
		f.busy--
		f.letGoLocked()
	}
	return len(f.readers), r.busy
}

// Close keeps readers from joining and returns those that have.
func (f *Feed) Close() []*Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var rs []*Reader
	for r := range f.readers {
		rs = append(rs, r)
	}
	return rs
}

// greetingLocked returns a line per target as it is at the head of f, shared by
// all who join there. It is made once for each change; and once a second if
// nothing changes, because its text says when it was made. It must be called
// with mu held.
func (f *Feed) greetingLocked(in wire.Format) *blob {
	g := f.greetings[in]
	if now := time.Now(); g == nil || g.head != f.head || now.Sub(g.made) >= time.Second {
		events := make([]wire.Event, len(f.targets))
		for i, t := range f.targets {
			events[i] = t.now
			events[i].Timestamp = now.UnixMilli()
		}
		if g != nil {
			g.stale = true
			f.wake() // whoever is still told that may make it too much
		}
		g = f.newBlobLocked(in, events)
		f.greetings[in] = g
	}
	return g
}

// summary is a Missed line per target, as it was at one place in the feed,
// shared by all who jump there. The targets stand in the order of their last
// change, so that what a reader missed is the end of it.
type summary struct {
	*blob
	marks []mark // ascending
}

// mark says where in a summary the targets begin whose last batch is this one
// or a later one.
type mark struct {
	last   uint64
	offset int
}

// since returns a summary, at the end of which, from the offset that it also
// returns, there is a Missed line for every target that a batch from number
// cursor on told of. It must be called with f.mu held.
func (s *summary) since(f *Feed, in wire.Format, cursor uint64) (*blob, int) {
	if s.blob == nil || s.head != f.head {
		*s = summary{blob: &blob{head: f.head}}
		order := slices.SortedStableFunc(slices.Values(f.targets), func(a, b *tracked) int {
			return cmp.Compare(a.last, b.last)
		})
		for _, t := range order {
			s.marks = append(s.marks, mark{t.last, len(s.lines)})
			s.lines = append(s.lines, wire.Encode(in, []wire.Event{t.now.AsMissed(t.when)})...)
		}
	}
	i, _ := slices.BinarySearchFunc(s.marks, cursor, func(m mark, cursor uint64) int {
		return cmp.Compare(m.last, cursor)
	})
	return s.blob, s.marks[i].offset
}
