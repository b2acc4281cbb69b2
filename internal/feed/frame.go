package feed

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Frame is lines to send to one reader, which must not be changed.
type Frame struct {
	shared *frame
	since  uint64 // of a summary: number of the first batch that the reader missed
}

// Encoded reports whether Lines returns at once.
func (f Frame) Encoded() bool { return f.shared.size() > 0 }

// Lines returns the lines. They are encoded now, or by another goroutine that
// this one waits for, if no reader has asked for them yet.
func (f Frame) Lines() []byte {
	b := f.shared
	if !f.Encoded() {
		b.encode()
	}
	if b.marks == nil {
		return b.lines
	}
	i, _ := slices.BinarySearchFunc(b.marks, f.since, func(m mark, since uint64) int {
		return cmp.Compare(m.last, since)
	})
	return b.lines[b.marks[i].offset:]
}

// frame is lines of one format that readers share: a batch, a greeting or a
// summary. It is encoded once, by the first call of Lines.
type frame struct {
	head  uint64 // what the next batch is after it
	made  time.Time
	stale bool // a greeting that another has replaced; guarded by Feed.mu

	encode func()       // sets all below, once; unused if they are set from the start
	bytes  atomic.Int64 // of lines; set after them
	lines  []byte
	marks  []mark // of a summary, ascending
}

// mark is where the part of a summary begins that is about targets whose last
// batch is this one or a later one.
type mark struct {
	last   uint64
	offset int
}

// newFrame returns a frame of these lines.
func newFrame(head uint64, lines []byte) *frame {
	b := &frame{head: head}
	b.set(lines, nil)
	return b
}

// lazyFrame returns a frame for the head that encode makes when it is asked for.
// It must be called with mu held.
func (f *Feed) lazyFrame(encode func() ([]byte, []mark)) *frame {
	b := &frame{head: f.head, made: time.Now()}
	b.encode = sync.OnceFunc(func() {
		b.set(encode())
		f.wake() // there is more in flight
	})
	return b
}

func (b *frame) set(lines []byte, marks []mark) {
	b.lines, b.marks = bytes.Clone(lines), marks // with no room to spare
	b.bytes.Store(int64(len(lines)))
}

// size returns the size of the lines in bytes, 0 before they are encoded.
func (b *frame) size() int { return int(b.bytes.Load()) }

// Overdue returns the subscribers to drop: while all frames in flight together are
// larger than the limit, those that have been at the same frame for the longest. All
// that share a frame are dropped, because only that frees its memory. The two newest
// batches, and greetings and summaries as new, do not count.
func (f *Feed) Overdue() (overdue []Subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var late []*Reader
	sharing := make(map[*frame][]Subscriber)
	over := -f.MaxInFlight
	for r := range f.readers {
		b := r.inFlight
		// The last but one is what most are being sent when the last has come.
		if b == nil || b.head+1 >= f.head && !b.stale || b.size() == 0 {
			continue
		}
		if sharing[b] == nil {
			over += b.size()
		}
		sharing[b] = append(sharing[b], r.subscriber)
		late = append(late, r)
	}
	if over > 0 {
		slices.SortFunc(late, func(a, b *Reader) int { return cmp.Compare(a.sendSeq, b.sendSeq) })
	}
	for ; over > 0; late = late[1:] {
		if b := late[0].inFlight; sharing[b] != nil {
			overdue = append(overdue, sharing[b]...)
			over -= b.size()
			delete(sharing, b)
		}
	}
	return overdue
}
