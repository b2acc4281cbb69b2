package feed

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"net-watcher/internal/wire"
)

// crowdReader is a subscriber that checks what it gets: event number n, from 1
// on, changes the target history[n], and gives it the state n.
type crowdReader struct {
	t       *testing.T
	feed    *Feed
	history []string
	wg      *sync.WaitGroup

	Reader
	dropped atomic.Bool
	at      int // the number of the last event; guarded by the flush token
	missed  int // summaries; likewise
}

func (r *crowdReader) Drop(string) { r.dropped.Store(true) }

// Flush reads some frames, and leaves the rest to another goroutine now and then,
// as if a socket were full.
func (r *crowdReader) Flush() {
	for {
		switch rand.IntN(100) {
		case 0:
			for range rand.IntN(50) { // it is slow
				runtime.Gosched()
			}
		case 1, 2, 3, 4, 5:
			r.wg.Go(r.Flush)
			return
		}
		frame, state := r.feed.Next(&r.Reader)
		if state != More {
			return
		}
		r.check(frame.Lines())
	}
}

// check checks the lines of one frame in JSON.
func (r *crowdReader) check(lines []byte) {
	states := make(map[string]string) // of a greeting or a summary
	end, kind := 0, ""
	for line := range bytes.Lines(lines) {
		e, err := wire.Decode(line)
		if err != nil {
			r.t.Errorf("%q: %v", line, err)
		}
		kind = string(e.Type) + string(e.Change)
		if kind == "changedmodified" {
			if r.at++; e.State != fmt.Sprint(r.at) || e.File != r.history[r.at] {
				r.t.Errorf("%s, state %s, after event %d", &e, e.State, r.at-1)
			}
			continue
		}
		n := 0
		fmt.Sscan(e.State, &n)
		end = max(end, n)
		states[e.File] = e.State
	}
	if kind == "changedmodified" {
		return
	}
	want := make(map[string]string)
	from := 1
	if kind == "changedmissed" {
		from = r.at + 1
		r.missed++
	}
	for n := from; n <= end; n++ {
		want[r.history[n]] = fmt.Sprint(n)
	}
	for name, state := range states {
		if w := want[name]; w != state && !(w == "" && state == "0" && from == 1) {
			r.t.Errorf("%s of %s has state %s, want %q", kind, name, state, w)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		r.t.Errorf("%s after event %d up to %d leaves out %v", kind, r.at, end, want)
	}
	r.at = end
}

// While readers join, switch, fall behind, are dropped and leave, each gets its
// greetings, every change after them once and in order, and a missed for exactly
// the rest. When they have left, the log is empty.
func TestCrowd(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("t", i))
	}
	f := newTestFeed(names...)
	f.MaxLogEvents, f.MaxInFlight = 8, 1
	// Text is as JSON here, so that each line can be checked.
	f.Encode = func(_ wire.Format, events []wire.Event) []byte { return wire.Encode(wire.JSON, events) }
	const events = 500
	history := []string{""}
	for range events {
		history = append(history, names[rand.IntN(len(names))])
	}

	var published atomic.Bool
	var joined, wg, flushers sync.WaitGroup
	var overdue, missed atomic.Int64
	for range 10 {
		joined.Add(1)
		wg.Go(func() {
			for first := true; !published.Load(); first = false {
				r := &crowdReader{t: t, feed: f, history: history, wg: &flushers}
				f.Join(&r.Reader, r, wire.Format(rand.IntN(2)))
				if first {
					joined.Done()
				}
				r.Flush()
				for range rand.IntN(50) {
					if r.dropped.Load() {
						overdue.Add(1)
						break
					}
					if f.Switch(&r.Reader, wire.Format(rand.IntN(2))) {
						r.Flush()
					}
				}
				if _, flushing := f.Leave(&r.Reader); !flushing {
					missed.Add(int64(r.missed))
				}
			}
		})
	}
	wg.Go(func() {
		joined.Wait()
		defer published.Store(true)
		for n := 1; n <= events; {
			var batch []wire.Event
			for range min(1+rand.IntN(3), events+1-n) {
				batch = append(batch, change(history[n], int64(n)))
				n++
			}
			f.Publish(batch)
			runtime.Gosched()
		}
	})
	done := make(chan struct{})
	var delivering sync.WaitGroup
	delivering.Go(func() {
		for {
			select {
			case <-f.More():
			case <-done:
				f.Ready(nil)
				return
			}
			for _, s := range f.Ready(nil) {
				s.Flush()
			}
			for _, s := range f.Overdue() {
				s.Drop("")
			}
		}
	})
	wg.Wait()
	flushers.Wait()
	close(done)
	delivering.Wait()
	flushers.Wait()
	checkEmpty(t, f)
	t.Logf("%d readers were overdue; %d summaries", overdue.Load(), missed.Load())
}
