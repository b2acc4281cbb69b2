// Package feed is what a server has to send: how the targets are now, and one log
// of encoded batches that all readers share.
//
//	Publish ──▶ the targets, copied on write ──▶ greetings and summaries ─┐
//	   └──────▶ the log, a batch for each Publish ────────────────────────┴─▶ Next ──▶ Frame
//
// A Reader has a place in the log, the cursor, and reads from there on. It begins
// with a greeting: a Watching line for each target, as they are at its cursor. If
// the log no longer has what the cursor points to, a summary takes the place of
// all that is left to read: a Missed line for each target that changed there.
//
// # Who calls what
//
// One goroutine calls Publish. One goroutine receives from More, and then calls
// Ready, flushes all that it returns, calls Overdue, and drops all that that
// returns. Each subscriber has a goroutine that calls Join, Switch and Leave. All
// other methods may be called from anywhere.
//
// # The flush token
//
// Next is called by one goroutine at a time for each Reader, the one that has its
// flush token. Join, Switch and Ready hand it out. A goroutine may pass it on, with
// the rest of a Frame that a socket does not take yet. Next takes it back when it
// returns Idle. A Reader that leaves while its token is out never gives it
// back: Next returns Left, and then the connection is for the flusher to close.
// So a subscriber's frames go out in order, and a connection is closed once.
//
// # Encoding
//
// Nothing is encoded while Feed.mu is held. Publish encodes its batch in each
// format that a reader has, and checks under the lock that there is no further
// one: so a batch in the log has every frame that Next will return, and counts
// with its bytes. (Encoding batches later, as greetings, was not chosen: each would
// keep its events too, and the bytes in the log would be unknown.)
//
// A greeting or a summary has a line for each target, which takes 200 ms for
// 100,000 of them, and one reader can ask for one at each change. So Next only
// fixes what is in it: the list of targets, which is never written to again,
// because Publish replaces it and each target that it changes. (It is a list of
// pointers. Copying 100,000 takes 2 ms, once a batch and before the lock; the scan
// before it made as many system calls.) The first call of Frame.Lines encodes it; the
// calls for the same Frame wait, and no others do. A goroutine that flushes many
// readers calls Frame.Encoded first, and leaves a Frame that is not encoded to a
// goroutine of its own.
//
// # Limits
//
// The log has at most maxLogEvents and maxLogBytes, or the newest batch
// whatever its size, and is empty when every reader has read all of it. What
// readers are being sent stays in memory though the log has let go of it, and so
// do greetings and summaries; Overdue keeps that below maxInFlight.
package feed

import (
	"math"
	"sync"

	"net-watcher/internal/wire"
)

// The limits of a Feed.
const (
	// maxLogEvents and maxLogBytes are what the log has for readers that are
	// behind. JSON lines of 256 bytes reach both at the same time.
	maxLogEvents = 1 << 16
	maxLogBytes  = 256 * maxLogEvents

	// maxInFlight is the bytes of all frames that readers are being sent, but for
	// the newest. It has room for a whole log, which is in flight when readers are
	// stuck at each of its batches, and three times that for greetings.
	maxInFlight = 4 * maxLogBytes
)

// Subscriber is what a Reader reads for. Both methods return at once.
type Subscriber interface {
	// Flush sends what Next returns until that is Idle or Left. Its caller hands
	// over the flush token.
	Flush()

	// Drop ends the subscription soon, for a reason that the console shows, or ""
	// if the server ends.
	Drop(reason string)
}

// State is what Next found for a Reader.
type State int

const (
	Idle State = iota // nothing more for now; the flush token is given back
	More              // a Frame to send
	Left              // the Reader has left, and its connection is to be closed
)

// Feed is the present state of the targets, and the log.
type Feed struct {
	// Fields for tests: New sets them, and only tests change them, before Join.
	MaxLogEvents, MaxLogBytes, MaxInFlight int

	Encode func(wire.Format, []wire.Event) []byte // wire.Encode

	more  chan struct{}
	index map[string]int // by the name of a target, in targets; never written to

	mu        sync.Mutex // guards all below and the fields of all Readers
	targets   []*target  // in the order of the command line; immutable
	head      uint64     // number of the next batch, from 1 on; targets has those before it
	log       batchLog   // up to head
	behind    bool       // a batch came after the last Ready
	owed      []*Reader  // idle ones that are to get more than batches, since the last Ready
	closed    bool
	readers   map[*Reader]struct{}
	formats   [wire.NumFormats]int // readers of each format
	flushing  int                  // readers whose flush token is out
	sends     uint64               // frames that Next has returned
	greetings [wire.NumFormats]*frame
	summaries [wire.NumFormats]*frame
	missed    uint64 // summaries that Next has returned
}

// Reader is one subscriber's place in a Feed. The zero value is one that has not
// joined. Feed.mu guards all fields.
type Reader struct {
	subscriber Subscriber
	cursor     uint64 // number of the batch to read next
	format     wire.Format
	want       wire.Format // to change to when all up to the head has been read
	renew      bool        // to be greeted anew then
	beat       bool        // to get a comment then
	greeting   *frame      // to be read first, or nil
	inFlight   *frame      // what Next returned last, or nil
	sendSeq    uint64      // Feed.sends at that time
	flushing   bool        // its flush token is out
	left       bool
}

// New returns a feed of the targets that the Watching events describe.
func New(watching []wire.Event) *Feed {
	f := &Feed{
		MaxLogEvents: maxLogEvents,
		MaxLogBytes:  maxLogBytes,
		MaxInFlight:  maxInFlight,
		Encode:       wire.Encode,
		more:         make(chan struct{}, 1),
		index:        make(map[string]int, len(watching)),
		head:         1,
		readers:      make(map[*Reader]struct{}),
	}
	for i, e := range watching {
		f.targets = append(f.targets, &target{now: e})
		f.index[e.File] = i
	}
	return f
}

// More returns a channel that has a value whenever Ready may have something to
// return, and when a frame has been encoded since Overdue was called. (Overdue
// may count a frame without that, when Next returns an old batch or a greeting is
// renewed; but no more memory is in use then.)
func (f *Feed) More() <-chan struct{} { return f.more }

func (f *Feed) wake() {
	select {
	case f.more <- struct{}{}:
	default: // the value that is there will do
	}
}

// Publish adds the events of one scan, at least one, each of a target of this
// feed. It waits for no reader.
func (f *Feed) Publish(events []wire.Event) {
	// Only this goroutine writes targets and head, so it reads them without mu.
	targets := apply(f.targets, f.index, events, f.head)
	b := batch{events: len(events)}
	f.mu.Lock()
	defer f.mu.Unlock()
	for in, ok := f.unencodedLocked(&b); ok; in, ok = f.unencodedLocked(&b) {
		f.mu.Unlock()
		lines := f.Encode(in, events)
		b.frames[in] = newFrame(f.head+1, lines)
		b.bytes += len(lines)
		f.mu.Lock() // readers with another format may have come
	}
	f.targets = targets
	f.head++
	if len(f.readers) == 0 {
		f.log = batchLog{}
		return
	}
	f.log.add(b, f.MaxLogEvents, f.MaxLogBytes)
	f.behind = true
	f.wake()
}

// unencodedLocked returns a format that a reader has and b has not.
func (f *Feed) unencodedLocked(b *batch) (in wire.Format, ok bool) {
	for in, readers := range f.formats {
		if readers > 0 && b.frames[in] == nil {
			return wire.Format(in), true
		}
	}
	return 0, false
}

// Join adds r, which reads for s in a format and begins with a greeting, and
// hands out its flush token. It returns how many readers there are now, or false
// if the feed is closed.
func (f *Feed) Join(r *Reader, s Subscriber, in wire.Format) (now int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, false
	}
	r.subscriber, r.want = s, in
	f.readers[r] = struct{}{}
	f.formats[in]++
	f.startLocked(r)
	r.greeting = f.greetLocked(r)
	return len(f.readers), true
}

// Switch makes r change to another format, with a greeting, when it has read what
// is in the log. If it reports true, it hands out the flush token.
func (f *Feed) Switch(r *Reader, to wire.Format) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.want = to
	return r.want != r.format && f.startLocked(r)
}

// Renew makes r get a greeting again, when it has read what is in the log. Ready hands
// out its flush token for that.
func (f *Feed) Renew(r *Reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.renew = true
	f.oweLocked(r)
}

// Beat makes each reader of SSE get a comment, when it has read what is in the log.
func (f *Feed) Beat() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.formats[wire.SSE] == 0 {
		return
	}
	for r := range f.readers {
		if r.format == wire.SSE {
			r.beat = true
			f.oweLocked(r)
		}
	}
}

// oweLocked has Ready hand out the flush token of r, if that is not out.
func (f *Feed) oweLocked(r *Reader) {
	if !r.flushing && !r.left {
		f.owed = append(f.owed, r)
		f.wake()
	}
}

// comment is in the format SSE. It is never overdue: it holds no memory.
var comment = newFrame(math.MaxUint64-1, []byte(wire.Comment))

// startLocked hands out the flush token of r, and reports false if it is out.
func (f *Feed) startLocked(r *Reader) bool {
	if r.flushing {
		return false
	}
	r.flushing = true
	f.flushing++
	return true
}

// Next returns what r is to be sent next. What it returned before has been sent
// by then. Its caller has the flush token.
func (f *Feed) Next(r *Reader) (Frame, State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.head - uint64(len(f.log.batches))
	var next *frame
	since, state := r.cursor, More
	switch {
	case r.greeting != nil: // though it may have left
		next, r.greeting = r.greeting, nil
	case r.left:
		state = Left
	case r.cursor < oldest:
		next, r.cursor = f.summaryLocked(r.format), f.head
		f.missed++
	case r.cursor < f.head:
		next = f.log.batches[r.cursor-oldest].frames[r.format]
		r.cursor++
	case r.want != r.format || r.renew:
		f.formats[r.format]--
		f.formats[r.want]++
		r.renew = false
		next = f.greetLocked(r)
	case r.beat:
		next, r.beat = comment, false
	default:
		state, r.flushing = Idle, false
		f.flushing--
		f.trimLocked()
	}
	f.sends++
	r.inFlight, r.sendSeq = next, f.sends
	return Frame{next, since}, state
}

// trimLocked empties the log if every reader has read all of it.
func (f *Feed) trimLocked() {
	if f.flushing == 0 && !f.behind {
		f.log = batchLog{}
	}
}

// Ready appends to ready, which may be nil, the subscribers that a batch, Renew or Beat
// has come for since the last call and that nobody is flushing. It hands out their flush
// tokens.
func (f *Feed) Ready(ready []Subscriber) []Subscriber {
	f.mu.Lock()
	defer f.mu.Unlock()
	start := func(r *Reader) {
		if f.startLocked(r) {
			ready = append(ready, r.subscriber)
		}
	}
	if f.behind {
		for r := range f.readers {
			start(r)
		}
	}
	for _, r := range f.owed {
		if !r.left {
			start(r)
		}
	}
	f.behind, f.owed = false, nil
	f.trimLocked() // all may have left
	return ready
}

// Leave removes r. It returns how many readers there are now, and whether the
// flush token of r is out: if not, its connection is for the caller to close.
func (f *Feed) Leave(r *Reader) (now int, flushing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, r)
	f.formats[r.format]--
	r.left = true
	if r.flushing {
		f.flushing--
		f.trimLocked()
	}
	return len(f.readers), r.flushing
}

// Count returns how many readers there are.
func (f *Feed) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.readers)
}

// Totals is what a feed has now and has done.
type Totals struct {
	Targets, Unreadable int    // Unreadable of the targets are so themselves
	Missed              uint64 // times that a reader was behind the log, and got missed lines
}

// Totals returns what the feed has now and has done.
func (f *Feed) Totals() Totals {
	f.mu.Lock()
	targets, t := f.targets, Totals{Targets: len(f.targets), Missed: f.missed}
	f.mu.Unlock()
	for _, target := range targets { // which are never written to
		if target.now.Error != "" {
			t.Unreadable++
		}
	}
	return t
}

// Close makes each further Join fail, and returns the subscribers that are there.
func (f *Feed) Close() []Subscriber {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var all []Subscriber
	for r := range f.readers {
		all = append(all, r.subscriber)
	}
	return all
}
