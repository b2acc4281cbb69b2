package feed

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"net-watcher/internal/wire"
)

// world is a Feed with all who use it, and the model: what each has to get.
type world struct {
	targets   string // the name of each is a letter
	maxEvents int    // in the log
	atOnce    bool   // Lines is called when Next has returned
	checking  bool   // the last step of a sequence is checked, and so were the others before
	fault     string // the first one

	feed    *Feed
	encodes [2]int // calls of Encode since the step began

	batches   []int      // of each the targets that it changed, a bit for each
	fresh     bool       // a batch came for some reader after the last ready
	readers   [2]*walker // nil before they join and when their flush token is gone
	greetings [2]*share  // the last ones in each format
	summaries [2]*share  // likewise
	sends     int        // frames that Next has returned
}

// walker is a reader, and what the model says of it.
type walker struct {
	Reader
	frame Frame // the last

	left, token  bool
	format, want wire.Format
	renew, due   bool   // a greeting is to come; Ready is to hand out the token for it
	at           int    // all batches up to this one are known to it
	greeting     *share // what Next is to return first, or nil
	inFlight     *share // what Next returned last, or nil
	since        int    // at, before that
	unread       bool   // Lines is yet to be called
	sent         int    // world.sends then
}

func (r *walker) Flush()      {}
func (r *walker) Drop(string) {}

// share is a frame in the model.
type share struct {
	kind     wire.Type // Watching; Changed, of one batch; "" for a summary
	in       wire.Format
	at       int       // the last batch that it is about
	made     time.Time // of a greeting
	encoded  bool
	replaced bool // a greeting that is not the last one
}

// after returns the world after a sequence of steps.
func (w world) after(path []step) *world {
	var watching []wire.Event
	for i := range w.targets {
		watching = append(watching, w.event(i, 0))
	}
	w.feed = New(watching)
	w.batches = make([]int, 0, len(path)+1)
	w.feed.MaxLogEvents = w.maxEvents
	w.feed.Encode = func(in wire.Format, events []wire.Event) []byte {
		if !w.feed.mu.TryLock() {
			w.fail("the lock is held while lines are encoded")
		} else {
			w.feed.mu.Unlock()
		}
		w.encodes[in]++
		return encode(in, events)
	}
	for _, s := range path {
		w.take(s)
	}
	return &w
}

// encode is faster than wire.Encode.
func encode(in wire.Format, events []wire.Event) []byte {
	b := make([]byte, 0, 64*len(events))
	for i := range events {
		e := &events[i]
		b = append(append(b, formatNames[in]...), ' ')
		b = append(append(b, cmp.Or(string(e.Change), string(e.Type))...), ' ')
		b = append(append(b, e.File...), " state "...)
		b = append(append(b, e.State...), e.Error...)
		if e.Missing {
			b = append(b, " missing"...)
		}
		if e.Size != nil {
			b = strconv.AppendInt(append(b, " size "...), *e.Size, 10)
		}
		b = strconv.AppendInt(append(b, " time "...), e.Timestamp, 10)
		b = append(b, '\n')
	}
	return b
}

// last returns the last batch up to one that changed a target, 0 for none, and
// how many did.
func (w *world) last(target, upTo int) (last, changes int) {
	for i, changed := range w.batches[:upTo] {
		if changed>>target&1 != 0 {
			last, changes = i+1, changes+1
		}
	}
	return last, changes
}

// event returns the Watching event of a target after a batch. A target is not
// there, there, and unreadable, in turn.
func (w *world) event(target, at int) wire.Event {
	last, changes := w.last(target, at)
	e := wire.Event{Type: wire.Watching, File: w.targets[target : target+1], State: strconv.Itoa(last)}
	switch changes % 3 {
	case 0:
		e.Missing = true
	case 1:
		e.Size = new(int64(last))
	case 2:
		e.Error = ": EIO"
	}
	return e
}

// change returns the event by which a target changed in a batch.
func (w *world) change(target, at int) wire.Event {
	e := w.event(target, at)
	switch e.Type, e.Timestamp = wire.Changed, int64(at); {
	case e.Missing:
		e.Change, e.Missing = wire.Removed, false
	case e.Error != "":
		e.Change = wire.Unreadable
	default:
		e.Change = wire.Created
	}
	return e
}

// changes returns the events of a batch.
func (w *world) changes(at int) (events []wire.Event) {
	for i := range w.targets {
		if w.batches[at-1]>>i&1 != 0 {
			events = append(events, w.change(i, at))
		}
	}
	return events
}

// events returns how many events a batch has.
func (w *world) events(at int) int {
	if at == 0 {
		return 0
	}
	return bits.OnesCount(uint(w.batches[at-1]))
}

// text returns the lines of b for a reader that had all batches up to since.
func (w *world) text(b *share, since int) string {
	var events []wire.Event
	switch b.kind {
	case wire.Watching:
		for i := range w.targets {
			events = append(events, w.event(i, b.at))
			events[i].Timestamp = b.made.UnixMilli()
		}
	case wire.Changed:
		events = w.changes(b.at)
	default:
		for at := since + 1; at <= b.at; at++ {
			for i := range w.targets {
				if last, _ := w.last(i, b.at); last == at {
					e := w.change(i, at)
					e.Change, e.Error = wire.Missed, ""
					events = append(events, e)
				}
			}
		}
	}
	return string(encode(b.in, events))
}

func (w *world) size(b *share) int {
	return len(w.text(b, 0))
}

func (w *world) fail(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
	}
}

// joined goes through the readers that have joined and not left.
func (w *world) joined(yield func(*walker) bool) {
	for _, r := range w.readers {
		if r != nil && !r.left && !yield(r) {
			return
		}
	}
}

func (w *world) count() (n int) {
	for range w.joined {
		n++
	}
	return n
}

// can reports whether somebody may take s now.
func (w *world) can(s step) bool {
	r := w.readers[s.reader]
	switch s.kind {
	case stepPublish, stepSecond:
		return true
	case stepReady:
		return len(w.feed.more) > 0
	case stepJoin:
		return r == nil
	case stepSwitch, stepRenew, stepLeave:
		return r != nil && !r.left
	case stepNext: // also where Lines was not called, because the connection has failed
		return r != nil && r.token && (!r.unread || r.left)
	default: // lines
		return r != nil && r.unread
	}
}

func (w *world) take(s step) {
	w.encodes = [2]int{}
	r := w.readers[s.reader]
	switch s.kind {
	case stepPublish:
		w.publish(s.arg)
	case stepReady:
		w.ready()
	case stepSecond:
		time.Sleep(greetingRenewal)
	case stepJoin:
		in := wire.Format(s.arg)
		r = &walker{token: true, format: in, want: in, at: len(w.batches), greeting: w.greeting(in)}
		w.readers[s.reader] = r
		if now, ok := w.feed.Join(&r.Reader, r, in); now != w.count() || !ok {
			w.fail("Join returns %d, %v", now, ok)
		}
	case stepSwitch:
		r.want = wire.Format(s.arg)
		out := r.want != r.format && !r.token
		if got := w.feed.Switch(&r.Reader, r.want); got != out {
			w.fail("Switch hands out the flush token: %v", got)
		}
		r.token = r.token || out
	case stepRenew:
		r.renew, r.due = true, r.due || !r.token
		w.feed.Renew(&r.Reader)
	case stepNext:
		if w.next(r); r.unread && (w.atOnce || r.inFlight.encoded) {
			w.lines(r)
		}
		if r.left && !r.token {
			w.readers[s.reader] = nil
		}
	case stepLines:
		w.lines(r)
	case stepLeave:
		r.left = true
		if now, flushing := w.feed.Leave(&r.Reader); now != w.count() || flushing != r.token {
			w.fail("Leave returns %d, %v", now, flushing)
		}
		if !r.token {
			w.readers[s.reader] = nil
		}
	}
}

func (w *world) publish(changed int) {
	w.batches = append(w.batches, changed)
	at := len(w.batches)
	w.feed.Publish(w.changes(at))
	var once [2]int
	for r := range w.joined {
		once[r.format] = 1
		w.fresh = true
	}
	if w.encodes != once {
		w.fail("a batch is encoded %d times, want %d", w.encodes, once)
	}
}

func (w *world) ready() {
	<-w.feed.more
	got := w.feed.Ready(nil)
	for r := range w.joined {
		n := len(got)
		got = slices.DeleteFunc(got, func(s Subscriber) bool { return s == Subscriber(r) })
		out := (w.fresh || r.due) && !r.token
		r.due = false
		if n -= len(got); n > 1 || out != (n == 1) {
			w.fail("Ready hands out %d flush tokens of a reader, want one: %v", n, out)
		}
		r.token = r.token || out
	}
	if len(got) > 0 {
		w.fail("Ready returns a reader that has left")
	}
	w.fresh = false
}

// greeting returns the greeting for this moment.
func (w *world) greeting(in wire.Format) *share {
	g, at, now := w.greetings[in], len(w.batches), time.Now()
	if g != nil {
		if g.at == at && now.Sub(g.made) < greetingRenewal {
			return g
		}
		g.replaced = true
	}
	w.greetings[in] = &share{kind: wire.Watching, in: in, at: at, made: now}
	return w.greetings[in]
}

func (w *world) next(r *walker) {
	frame, state := w.feed.Next(&r.Reader)
	head := len(w.batches)
	// The log has the newest batches, within the limit, or the newest alone.
	oldest := head
	for events := w.events(head); oldest > 1; oldest-- {
		if events += w.events(oldest - 1); events > w.maxEvents {
			break
		}
	}
	var b *share
	r.since = r.at
	want := More
	switch {
	case r.greeting != nil:
		b, r.greeting = r.greeting, nil
	case r.left:
		want, r.token = Left, false
	case r.at+1 < oldest:
		if s := w.summaries[r.format]; s == nil || s.at != head {
			w.summaries[r.format] = &share{in: r.format, at: head}
		}
		b, r.at = w.summaries[r.format], head
	case r.at < head:
		r.at++
		b = &share{kind: wire.Changed, in: r.format, at: r.at, encoded: true}
		for _, other := range w.readers {
			if other != nil && other.inFlight != nil && *other.inFlight == *b {
				b = other.inFlight
			}
		}
	case r.want != r.format || r.renew:
		r.format, r.renew = r.want, false
		b = w.greeting(r.format)
	default:
		want, r.token = Idle, false
	}
	w.sends++
	r.frame, r.inFlight, r.sent, r.unread = frame, b, w.sends, b != nil
	switch {
	case state != want:
		w.fail("Next returns state %d, want %d", state, want)
	case b != nil && frame.Encoded() != b.encoded:
		w.fail("the frame is encoded: %v, want %v", frame.Encoded(), b.encoded)
	case w.encodes != [2]int{}:
		w.fail("Next encodes")
	}
}

func (w *world) lines(r *walker) {
	b := r.inFlight
	got := r.frame.Lines()
	if w.checking {
		if want := w.text(b, r.since); string(got) != want {
			w.fail("Lines returns\n%swant\n%s", got, want)
		}
	}
	var once [2]int
	if !b.encoded {
		once[b.in] = 1
	}
	if w.encodes != once {
		w.fail("Lines encodes %d times, want %d", w.encodes, once)
	}
	if !b.encoded && len(w.feed.more) == 0 {
		w.fail("a frame has been encoded, and More has no value")
	}
	b.encoded, r.unread = true, false
}

// check checks what is always true between two steps.
func (w *world) check() {
	f := w.feed
	var formats [wire.NumFormats]int
	count, flushing := 0, 0
	for r := range w.joined {
		count++
		formats[r.format]++
		switch {
		case r.token:
			flushing++
		case (w.fresh || r.due) && len(f.more) == 0:
			w.fail("a reader is ready, and More has no value")
		case !w.fresh && !r.due && (r.at < len(w.batches) || r.want != r.format || r.renew):
			w.fail("a reader without a flush token has something to read")
		}
	}
	if f.formats != formats || f.flushing != flushing || len(f.readers) != count {
		w.fail("there are readers %d, flush tokens %d, formats %d; want %d, %d, %d",
			len(f.readers), f.flushing, f.formats, count, flushing, formats)
	}
	var log batchLog
	for i, b := range f.log.batches {
		at := len(w.batches) - len(f.log.batches) + 1 + i
		log.events += w.events(at)
		for _, b := range b.frames {
			if b != nil {
				log.bytes += len(b.lines)
			}
		}
	}
	switch n := len(f.log.batches); {
	case f.log.events != log.events || f.log.bytes != log.bytes:
		w.fail("the log has %d events, %d bytes; it counts %d, %d", log.events, log.bytes, f.log.events, f.log.bytes)
	case n > 1 && log.events > w.maxEvents:
		w.fail("the log has %d events", log.events)
	case n > 0 && flushing == 0 && !w.fresh:
		w.fail("the log has %d batches that all readers have read", n)
	}
	w.checkOverdue()
}

// checkOverdue checks Overdue within each limit that makes a difference.
func (w *world) checkOverdue() {
	var counted []*walker
	total := 0
	for r := range w.joined {
		b := r.inFlight
		if b == nil || !b.encoded || b.at+1 >= len(w.batches) && !b.replaced {
			continue
		}
		if len(counted) == 0 || counted[0].inFlight != b {
			total += w.size(b)
		}
		counted = append(counted, r)
	}
	slices.SortFunc(counted, func(a, b *walker) int { return cmp.Compare(a.sent, b.sent) })
	limits := []int{total}
	if total > 0 {
		size := w.size(counted[len(counted)-1].inFlight) // of the one to be dropped last
		limits = append(limits, total-1, size, size-1)
	}
	for _, limit := range limits {
		want := 0
		var last *share
		left := total
		w.feed.MaxInFlight = limit
		got := w.feed.Overdue()
		for _, r := range counted {
			if r.inFlight != last && left <= limit {
				break
			}
			if r.inFlight != last {
				left -= w.size(r.inFlight)
			}
			last = r.inFlight
			if want++; !slices.Contains(got, Subscriber(r)) {
				w.fail("a reader is not overdue with %d bytes in flight and a limit of %d", total, limit)
			}
		}
		if len(got) != want {
			w.fail("%d readers are overdue with %d bytes in flight and a limit of %d, want %d", len(got), total, limit, want)
		}
	}
}
