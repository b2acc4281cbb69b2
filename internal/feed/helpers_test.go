package feed

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
	"net-watcher/internal/wire/wiretest"
)

// newTestFeed returns a feed of targets that do not exist.
func newTestFeed(targets ...string) *Feed { return New(wiretest.Missing(targets...)) }

func change(target string, n int64) wire.Event { return wiretest.Change(target, n) }

// publish publishes one event for each target and number: change(target, n).
func publish(f *Feed, target string, numbers ...int64) {
	for _, n := range numbers {
		f.Publish([]wire.Event{change(target, n)})
	}
}

// testReader is a subscriber that sends nothing by itself: a test that has its
// flush token calls take or next.
type testReader struct {
	t    *testing.T
	feed *Feed
	Reader
}

func (r *testReader) Flush() {}

func (r *testReader) Drop(string) {}

// join returns a new reader, the flush token of which the caller has.
func join(t *testing.T, f *Feed, in wire.Format) *testReader {
	t.Helper()
	r := &testReader{t: t, feed: f}
	if _, ok := f.Join(&r.Reader, r, in); !ok {
		t.Fatal("cannot join")
	}
	return r
}

// joinIdle returns a new reader that has read its greeting.
func joinIdle(t *testing.T, f *Feed, in wire.Format) *testReader {
	t.Helper()
	r := join(t, f, in)
	r.take()
	return r
}

// next returns the next lines in the short form of wiretest, or "idle" or "left".
func (r *testReader) next() string {
	r.t.Helper()
	switch frame, state := r.feed.Next(&r.Reader); state {
	case Idle:
		return "idle"
	case Left:
		return "left"
	default:
		return wiretest.Short(r.t, frame.Lines())
	}
}

// take returns what next does until the reader is idle or has left, and "left".
func (r *testReader) take() (got []string) {
	r.t.Helper()
	for {
		s := r.next()
		if s != "idle" {
			got = append(got, s)
		}
		if s == "idle" || s == "left" {
			return got
		}
	}
}

// woken reports whether More had a value.
func woken(f *Feed) bool {
	select {
	case <-f.More():
		return true
	default:
		return false
	}
}

// cmpLog compares the counters of logs.
var cmpLog = cmp.Options{cmp.AllowUnexported(batchLog{}), cmpopts.IgnoreFields(batchLog{}, "batches")}

// checkEmpty checks that nothing is left when all readers have left.
func checkEmpty(t *testing.T, f *Feed) {
	t.Helper()
	check.Equal(t, "log", batchLog{}, f.log, cmp.AllowUnexported(batchLog{}))
	check.Equal(t, "readers, flush tokens", [2]int{}, [2]int{f.Count(), f.flushing})
	check.Equal(t, "formats", [wire.NumFormats]int{}, f.formats)
}
