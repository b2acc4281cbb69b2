package feed

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"reflect"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// Every sequence of so many steps, by which two readers and those who publish and
// deliver use a Feed with a small log, is compared with a model (world): a reader
// gets a walk along the batches, and so on for all that docs/architecture.md says
// of the feed.
//
// The real Feed takes the steps, for each sequence from the first one on. Where
// two sequences lead to the same situation (world.key) only the first one goes on,
// which is the shorter one. So the sequence that a failure prints is a shortest one.
//
// A step is one call, because each method does its work under one lock, but for
// the encoding: TestJoinWhileEncoding has what may happen while Publish encodes.
func TestExhaustive(t *testing.T) {
	// world.save, world.restore and world.key have to know each field but missed, which
	// nothing depends on, and beat (TestBeat).
	check.Equal(t, "fields of Feed, Reader, frame", [3]int{20, 11, 7}, [3]int{
		reflect.TypeFor[Feed]().NumField(), reflect.TypeFor[Reader]().NumField(), reflect.TypeFor[frame]().NumField(),
	})
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // garbage is half of the work
	for _, test := range []struct {
		name, targets string
		maxEvents     int // in the log
		steps         []stepKind
		depth         int
	}{
		{"lines at once", "a", 2, []stepKind{stepPublish, stepReady, stepJoin, stepSwitch, stepNext, stepLeave}, 12},
		{"lines later", "a", 2, []stepKind{stepPublish, stepReady, stepSecond, stepJoin, stepSwitch, stepNext, stepLines, stepLeave}, 9},
		{"greetings renewed", "a", 2, []stepKind{stepPublish, stepReady, stepJoin, stepSwitch, stepRenew, stepNext, stepLeave}, 9},
		{"two targets", "ab", 2, []stepKind{stepPublish, stepReady, stepJoin, stepSwitch, stepNext, stepLeave}, 7},
		{"a batch beyond the log", "ab", 1, []stepKind{stepPublish, stepReady, stepJoin, stepSwitch, stepNext, stepLeave}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() {
				test.depth -= 2
			}
			var all []step
			for _, kind := range test.steps {
				switch kind {
				case stepPublish:
					for arg := 1; arg < 1<<len(test.targets); arg++ {
						all = append(all, step{kind: kind, arg: arg})
					}
				case stepReady, stepSecond:
					all = append(all, step{kind: kind})
				case stepJoin, stepSwitch:
					for in := range int(words) {
						all = append(all, step{kind, 0, in}, step{kind, 1, in})
					}
				default:
					all = append(all, step{kind: kind}, step{kind: kind, reader: 1})
				}
			}
			start := world{targets: test.targets, maxEvents: test.maxEvents, atOnce: !slices.Contains(test.steps, stepLines)}
			synctest.Test(t, func(t *testing.T) { explore(t, start, all, test.depth) })
		})
	}
}

// A step is what one of those who use the feed does next.
type step struct {
	kind   stepKind
	reader int
	arg    int // the format; of publish: the targets that change, a bit for each
}

type stepKind int

const (
	stepPublish stepKind = iota
	stepReady            // and hand out flush tokens
	stepSecond           // passes, so greetings are made anew
	stepJoin
	stepSwitch
	stepRenew
	stepNext
	stepLines // asks for the lines of a frame that was not encoded yet
	stepLeave // of its own will, or because it is dropped
)

func (s step) String() string {
	switch s.kind {
	case stepPublish:
		return fmt.Sprintf("publish a change of target %b", s.arg)
	case stepReady:
		return "ready"
	case stepSecond:
		return "a second passes"
	}
	name := [...]string{stepJoin: "join ", stepSwitch: "switch to ", stepRenew: "is to be greeted anew", stepNext: "next", stepLines: "lines", stepLeave: "leave"}[s.kind]
	if s.kind <= stepSwitch {
		name += formatNames[s.arg]
	}
	return fmt.Sprintf("reader %d: %s", s.reader, name)
}

var formatNames = [wire.NumFormats]string{wire.Text: "text", wire.JSON: "json", wire.SSE: "sse"}

// words is how many formats are explored: those that a word asks for. Which one is which
// makes no difference but for SSE, which beats too (TestBeat).
const words = wire.SSE

// explore takes all sequences of at most so many of these steps.
func explore(t *testing.T, start world, all []step, depth int) {
	type node struct { // a situation, by what leads there
		parent int32
		step   uint8
	}
	nodes := []node{{-1, 0}}
	path := func(n int) (path []step) {
		for ; n > 0; n = int(nodes[n].parent) {
			path = append(path, all[nodes[n].step])
		}
		slices.Reverse(path)
		return path
	}
	seen := map[uint64]bool{start.after(nil).key(): true}
	taken, at := 0, 0
	for n := range depth {
		for end := len(nodes); at < end; at++ {
			path := path(at)
			var w *world
			for i, s := range all {
				if w == nil {
					w = start.after(path)
					w.checking = true
				}
				if !w.can(s) {
					continue
				}
				taken++
				before := w.save()
				if w.try(s); w.fault != "" {
					for i, s := range append(path, s) {
						t.Logf("%2d. %s", i+1, s)
					}
					t.Fatal(w.fault)
				}
				if n+1 < depth {
					if key := w.key(); !seen[key] {
						seen[key] = true
						nodes = append(nodes, node{int32(at), uint8(i)})
					}
				}
				if s.kind == stepSecond || s.kind != stepPublish && w.encodes != [2]int{} {
					w = nil // that cannot be undone
				} else {
					w.restore(before)
				}
			}
		}
	}
	t.Logf("%d situations after less than %d steps; %d steps taken from there", len(nodes), depth, taken)
}

// try takes s and checks what must be true then.
func (w *world) try(s step) {
	defer func() {
		if p := recover(); p != nil {
			w.fail("panic: %v", p)
		}
	}()
	if w.take(s); w.fault == "" {
		w.check()
	}
}

// snapshot is all that a step changes, but for frames that it encodes.
type snapshot struct {
	world   world
	readers [2]walker

	targets              []*target
	head                 uint64
	log                  batchLog
	behind, more         bool
	owed                 []*Reader
	formats              [wire.NumFormats]int
	flushing             int
	sends                uint64
	greetings, summaries [wire.NumFormats]*frame
}

func (w *world) save() snapshot {
	f := w.feed
	s := snapshot{
		world: *w, targets: f.targets, head: f.head, log: f.log, behind: f.behind, more: len(f.more) > 0, owed: slices.Clone(f.owed),
		formats: f.formats, flushing: f.flushing, sends: f.sends, greetings: f.greetings, summaries: f.summaries,
	}
	s.log.batches = slices.Clone(f.log.batches)
	for i, r := range w.readers {
		if r != nil {
			s.readers[i] = *r
		}
	}
	return s
}

func (w *world) restore(s snapshot) {
	f := w.feed
	*w = s.world
	f.targets, f.head, f.log, f.behind, f.owed = s.targets, s.head, s.log, s.behind, s.owed
	f.formats, f.flushing, f.sends, f.greetings, f.summaries = s.formats, s.flushing, s.sends, s.greetings, s.summaries
	woken(f)
	if s.more {
		f.wake()
	}
	clear(f.readers)
	for i, r := range w.readers {
		if r == nil {
			continue
		}
		if *r = s.readers[i]; !r.left {
			f.readers[&r.Reader] = struct{}{}
		}
	}
	for in := range f.greetings {
		if g := f.greetings[in]; g != nil { // the last one was not replaced
			g.stale = false
			w.greetings[in].replaced = false
		}
	}
}

// key returns a hash that is the same for situations that differ only in how many
// batches there were, in which reader is which, and in which format is which.
func (w *world) key() uint64 {
	var least []byte
	for first := range 2 {
		for swap := range words {
			if k := w.appendKey(make([]byte, 0, 256), first, swap); least == nil || bytes.Compare(k, least) < 0 {
				least = k
			}
		}
	}
	h := fnv.New64a()
	h.Write(least)
	return h.Sum64()
}

// appendKey appends all that the next steps depend on, beginning with one of the
// readers. Batches count from the head.
func (w *world) appendKey(k []byte, first int, swap wire.Format) []byte {
	f, head, now := w.feed, len(w.batches), time.Now()
	flags := func(values ...bool) {
		var set byte
		for _, v := range values {
			set <<= 1
			if v {
				set |= 1
			}
		}
		k = append(k, set)
	}
	// What the targets were after a batch.
	targets := func(at int) {
		for i := range w.targets {
			last, _ := w.last(i, at)
			k = append(k, byte(head-last))
		}
	}
	// A frame, in the feed or in the model, is described where it appears first.
	var frames [32]any
	n := 0
	known := func(b any) bool {
		i := slices.Index(frames[:n], b)
		if k = append(k, byte(i)); i < 0 {
			frames[n] = b
			n++
		}
		return i >= 0
	}
	real := func(b *frame) {
		if !known(b) && b != nil {
			k = append(k, byte(f.head-b.head))
			flags(b.stale, b.size() > 0, now.Sub(b.made) < greetingRenewal)
		}
	}
	model := func(b *share) {
		if !known(b) && b != nil {
			flags(b.replaced, b.encoded, now.Sub(b.made) < greetingRenewal)
			k = append(k, b.kind...)
			targets(b.at)
		}
	}
	flags(f.behind, f.closed, w.fresh, len(f.more) > 0)
	targets(head)
	k = append(k, byte(int(f.head)-head), byte(f.flushing), byte(len(f.log.batches)), byte(f.log.events))
	for i := range f.log.batches {
		for in := range words {
			real(f.log.batches[i].frames[in^swap])
		}
		k = append(k, byte(w.batches[head-1-i]))
	}
	for in := range words {
		k = append(k, byte(f.formats[in^swap]))
		real(f.greetings[in^swap])
		real(f.summaries[in^swap])
		model(w.greetings[in^swap])
		model(w.summaries[in^swap])
	}
	for _, i := range [...]int{first, 1 - first} {
		r, other := w.readers[i], w.readers[1-i]
		if r == nil {
			flags(true)
			continue
		}
		flags(false, r.left, r.token, r.unread, other != nil && r.sent < other.sent)
		flags(r.Reader.left, r.flushing, other != nil && r.sendSeq < other.sendSeq)
		flags(r.renew, r.due, r.Reader.renew, slices.Contains(f.owed, &r.Reader))
		k = append(k, byte(r.Reader.format^swap), byte(r.Reader.want^swap), byte(r.format^swap), byte(r.want^swap))
		k = append(k, byte(f.head-r.cursor), byte(head-r.at))
		targets(r.at)
		targets(r.since)
		real(r.Reader.greeting)
		real(r.Reader.inFlight)
		model(r.greeting)
		model(r.inFlight)
	}
	return k
}
