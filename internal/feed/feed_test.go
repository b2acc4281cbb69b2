package feed

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// Each reader gets a greeting, and then each batch after it, in its own format.
func TestFeed(t *testing.T) {
	f := newTestFeed("a", "b")
	publish(f, "a", 1) // no reader has joined
	r1, r2 := join(t, f, wire.Text), join(t, f, wire.JSON)
	f.Publish([]wire.Event{change("a", 2), change("b", 3)})
	r3 := join(t, f, wire.JSON)
	check.Equal(t, "readers", 3, f.Count())
	publish(f, "b", 4)
	for i, test := range []struct {
		r    *testReader
		want []string
	}{
		{r1, []string{"[text] watching a, watching b (not there)", "[text] modified a, modified b", "[text] modified b"}},
		{r2, []string{"[json] watching a 1, watching b (not there)", "[json] modified a 2, modified b 3", "[json] modified b 4"}},
		{r3, []string{"[json] watching a 2, watching b 3", "[json] modified b 4"}},
		{r1, nil},
	} {
		check.Equal(t, fmt.Sprint("reader ", i), test.want, test.r.take())
	}
}

// Batches in the log still come in the old format; then the new one begins with a
// greeting that leaves nothing out.
func TestSwitch(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, wire.Text)
	if f.Switch(&r.Reader, wire.JSON) {
		t.Error("Switch handed out a flush token that was out")
	}
	publish(f, "a", 1)
	check.Equal(t, "after a switch before the greeting", []string{
		"[text] watching a (not there)", "[text] modified a", "[json] watching a 1",
	}, r.take())
	publish(f, "a", 2)
	if n := len(f.Ready(nil)); n != 1 {
		t.Errorf("%d readers are ready, want 1", n)
	}
	check.Equal(t, "after that", []string{"[json] modified a 2"}, r.take())
	if f.Switch(&r.Reader, wire.JSON) {
		t.Error("a switch to the present format handed out the flush token")
	}
	if !f.Switch(&r.Reader, wire.Text) || f.Switch(&r.Reader, wire.JSON) {
		t.Error("of two switches the first must hand out the flush token, and only that")
	}
	check.Equal(t, "after a switch there and back", []string(nil), r.take())
	if !f.Switch(&r.Reader, wire.Text) {
		t.Error("a switch did not hand out the flush token")
	}
	check.Equal(t, "after a switch back", []string{"[text] watching a"}, r.take())
	check.Equal(t, "formats", [wire.NumFormats]int{wire.Text: 1}, f.formats)
}

// Ready hands out the flush tokens that are not out, once a batch.
func TestReady(t *testing.T) {
	f := newTestFeed("a")
	idle, flushing := joinIdle(t, f, wire.Text), join(t, f, wire.Text)
	for woken(f) {
	}
	if got := f.Ready(nil); len(got) != 0 {
		t.Errorf("without a batch %d readers are ready", len(got))
	}
	publish(f, "a", 1)
	if !woken(f) {
		t.Error("More has no value after a batch")
	}
	if got := f.Ready(nil); len(got) != 1 || got[0] != idle {
		t.Errorf("%v are ready, want the idle reader alone", got)
	}
	publish(f, "a", 2)
	if got := f.Ready(nil); len(got) != 0 {
		t.Errorf("%d readers are ready, though the flush tokens of all are out", len(got))
	}
	want := []string{"[text] modified a", "[text] modified a"}
	check.Equal(t, "the idle one", want, idle.take())
	check.Equal(t, "the other", append([]string{"[text] watching a (not there)"}, want...), flushing.take())
}

// A reader that leaves at once still gets its greeting, and no batch.
func TestLeaveBeforeGreeting(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, wire.Text)
	f.Leave(&r.Reader)
	publish(f, "a", 1)
	check.Equal(t, "events", []string{"[text] watching a (not there)", "left"}, r.take())
}

func TestClose(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, wire.Text)
	if got := f.Close(); len(got) != 1 || got[0] != r {
		t.Errorf("Close returns %v", got)
	}
	if _, ok := f.Join(&Reader{}, &testReader{}, wire.Text); ok {
		t.Error("joined a closed feed")
	}
}

// The log is empty when every reader has read all of it, and not before.
func TestLogEmptied(t *testing.T) {
	f := newTestFeed("a")
	publish(f, "a", 1)
	check.Equal(t, "log without readers", 0, len(f.log.batches))
	r1, r2 := joinIdle(t, f, wire.Text), joinIdle(t, f, wire.Text)
	publish(f, "a", 2)
	f.Ready(nil)
	r1.take()
	check.Equal(t, "batches that r2 has not read", 1, len(f.log.batches))
	r2.take()
	check.Equal(t, "log that all have read", batchLog{}, f.log, cmpLog)

	// r1 reads all of it between a Publish and a Ready: r2 must not lose that.
	publish(f, "a", 3)
	f.Ready(nil)
	r2.take()
	publish(f, "a", 4)
	r1.take()
	if n := len(f.Ready(nil)); n != 2 {
		t.Errorf("%d readers are ready, want 2", n)
	}
	check.Equal(t, "r2", []string{"[text] modified a"}, r2.take())
	r1.take()

	// A reader that leaves in the middle no longer counts.
	publish(f, "a", 6)
	f.Ready(nil)
	r1.take()
	if now, flushing := f.Leave(&r2.Reader); now != 1 || !flushing {
		t.Errorf("Leave returns %d, %v; want 1, true", now, flushing)
	}
	check.Equal(t, "log that r2 left", batchLog{}, f.log, cmpLog)
	check.Equal(t, "r2", []string{"left"}, r2.take())
	if now, flushing := f.Leave(&r1.Reader); now != 0 || flushing {
		t.Errorf("Leave returns %d, %v; want 0, false", now, flushing)
	}
	r3 := joinIdle(t, f, wire.Text)
	publish(f, "a", 7)
	f.Leave(&r3.Reader)
	publish(f, "a", 8)
	check.Equal(t, "log without readers", batchLog{}, f.log, cmpLog)
	r4 := joinIdle(t, f, wire.Text)
	publish(f, "a", 9)
	f.Leave(&r4.Reader)
	f.Ready(nil)
	checkEmpty(t, f)
}

// A new feed has the limits that docs/operations.md promises.
func TestLimits(t *testing.T) {
	f := newTestFeed("a")
	check.Equal(t, "events in the log, bytes in it, bytes in flight",
		[3]int{65_536, 16 << 20, 64 << 20}, [3]int{f.MaxLogEvents, f.MaxLogBytes, f.MaxInFlight})
}

// The log is bounded in events and in bytes. A batch beyond the bound still goes,
// whole, to readers that keep up.
func TestLogBounds(t *testing.T) {
	var many []wire.Event
	for i := range int64(100) {
		many = append(many, change("a", i))
	}
	for name, bound := range map[string]func(*Feed){
		"events": func(f *Feed) { f.MaxLogEvents = 10 },
		"bytes":  func(f *Feed) { f.MaxLogBytes = 1000 },
	} {
		f := newTestFeed("a")
		bound(f)
		keepsUp, behind := joinIdle(t, f, wire.Text), join(t, f, wire.Text)
		publish(f, "a", 1)
		f.Ready(nil)
		keepsUp.take()
		f.Publish(many)
		lines := wire.Encode(wire.Text, many)
		check.Equal(t, name+": log", batchLog{events: 100, bytes: len(lines)}, f.log, cmpLog)
		check.Equal(t, name+": batches", 1, len(f.log.batches))
		f.Ready(nil)
		frame, _ := f.Next(&keepsUp.Reader)
		check.Equal(t, name+": to a reader that keeps up", string(lines), string(frame.Lines()))
		check.Equal(t, name+": behind", []string{"[text] watching a (not there)", "[text] missed a"}, behind.take())
		publish(f, "a", 2)
		check.Equal(t, name+": log", batchLog{events: 1, bytes: len(wire.Encode(wire.Text, many[2:3]))}, f.log, cmpLog)
		check.Equal(t, name+": batches", 1, len(f.log.batches))
	}

	f := newTestFeed("a")
	f.MaxLogBytes = 2 * len(wire.Encode(wire.Text, many[:1]))
	join(t, f, wire.Text)
	publish(f, "a", 1, 2, 3)
	check.Equal(t, "batches up to the limit", 2, len(f.log.batches))
}

func TestPublishOfNoTarget(t *testing.T) {
	defer func() {
		if p := recover(); p != "feed: an event of no target: modified b" {
			t.Errorf("panic: %v", p)
		}
	}()
	publish(newTestFeed("a"), "b", 1)
}

// A reader that falls behind the log gets a missed for exactly the targets of
// which it did not get a change, as they are now.
func TestMissed(t *testing.T) {
	for in := range wire.NumFormats {
		f := newTestFeed("a", "b", "c", "d")
		f.MaxLogEvents = 2
		publish(f, "d", 1)
		ahead, behind, late := joinIdle(t, f, in), joinIdle(t, f, in), join(t, f, in)
		publish(f, "a", 2)
		publish(f, "b", 3)
		late.next() // its greeting, before which it missed nothing
		f.Ready(nil)
		ahead.take()
		behind.next() // a 2: it is slow, and the log still has b 3
		publish(f, "a", 4)
		f.Ready(nil)
		ahead.take()
		publish(f, "c", 5)
		f.Publish([]wire.Event{{Type: wire.Changed, Timestamp: 6, File: "b", Change: wire.Removed, State: "0"}})

		missed := map[wire.Format][]string{
			wire.Text: {"[text] missed a, missed c, missed b"},
			wire.JSON: {"[json] missed a 4, missed c 5, missed b"},
			wire.SSE:  {"[sse] missed a 4, missed c 5, missed b"},
		}[in]
		check.Equal(t, "behind", missed, behind.take())
		check.Equal(t, "late", missed, late.take())
		// ahead has got a 4, and so missed less.
		publish(f, "c", 7, 8)
		f.Ready(nil)
		want := map[wire.Format][]string{
			wire.Text: {"[text] missed b, missed c"},
			wire.JSON: {"[json] missed b, missed c 8"},
			wire.SSE:  {"[sse] missed b, missed c 8"},
		}[in]
		check.Equal(t, "ahead", want, ahead.take())
		// After that, single changes come again.
		behind.take()
		late.take()
		publish(f, "d", 9)
		f.Ready(nil)
		for _, r := range []*testReader{ahead, behind, late} {
			if got := r.take(); len(got) != 1 || !strings.Contains(got[0], "modified d") {
				t.Errorf("afterwards: %q", got)
			}
		}
		// The first missed change counts, and the last that came does not.
		publish(f, "a", 10)
		publish(f, "c", 11, 12)
		f.Ready(nil)
		want = map[wire.Format][]string{
			wire.Text: {"[text] missed a, missed c"},
			wire.JSON: {"[json] missed a 10, missed c 12"},
			wire.SSE:  {"[sse] missed a 10, missed c 12"},
		}[in]
		check.Equal(t, "afterwards", want, ahead.take())
		check.Equal(t, "totals", Totals{Targets: 4, Missed: 4}, f.Totals())
	}
}

// Targets are counted as unreadable while they are.
func TestTotals(t *testing.T) {
	f := newTestFeed("a", "b", "c")
	for n, change := range []struct {
		target, error string
		want          int
	}{{"a", "input/output error", 1}, {"c", "permission denied", 2}, {"a", "", 1}} {
		e := wire.Event{Type: wire.Changed, Timestamp: int64(n), File: change.target, Change: wire.Unreadable, Error: change.error}
		if change.error == "" {
			e.Change = wire.Removed
		}
		f.Publish([]wire.Event{e})
		check.Equal(t, "totals", Totals{Targets: 3, Unreadable: change.want}, f.Totals())
	}
}

// A beat is a comment for each reader of SSE, and for no other one, after all that it has
// not read yet. One that is being sent it is never overdue for that.
func TestBeat(t *testing.T) {
	f := newTestFeed("a")
	f.Beat()
	idle, busy, other := joinIdle(t, f, wire.SSE), join(t, f, wire.SSE), joinIdle(t, f, wire.JSON)
	woken(f)
	f.Beat()
	if !woken(f) {
		t.Error("More has no value")
	}
	check.Equal(t, "ready", []Subscriber{idle}, f.Ready(nil), cmp.Comparer(func(a, b Subscriber) bool { return a == b }))
	check.Equal(t, "idle", "[sse] :", idle.next())
	publish(f, "a", 1)
	check.Equal(t, "busy", []string{"[sse] watching a (not there)", "[sse] modified a 1", "[sse] :"}, busy.take())
	f.MaxInFlight = 0
	check.Equal(t, "overdue", 0, len(f.Overdue()))
	check.Equal(t, "idle", []string{"[sse] modified a 1"}, idle.take())
	f.Ready(nil)
	check.Equal(t, "other", []string{"[json] modified a 1"}, other.take())
	f.Beat()
	f.Beat()
	f.Ready(nil)
	check.Equal(t, "two beats", []string{"[sse] :"}, idle.take())
	check.Equal(t, "two beats", []string{"[sse] :"}, busy.take())
	f.Beat()
	f.Leave(&idle.Reader)
	f.Leave(&other.Reader)
	check.Equal(t, "ready", []Subscriber{busy}, f.Ready(nil), cmp.Comparer(func(a, b Subscriber) bool { return a == b }))
	check.Equal(t, "busy", []string{"[sse] :"}, busy.take())
	f.Beat()
	f.Ready(nil)
	check.Equal(t, "the only one", "[sse] :", busy.next())
	f.Leave(&busy.Reader)
	check.Equal(t, "busy", []string{"left"}, busy.take())
	checkEmpty(t, f)
}

// The time of a missed is that of the last change that it stands for.
func TestMissedTime(t *testing.T) {
	f := newTestFeed("a")
	f.MaxLogEvents = 1
	r := join(t, f, wire.JSON)
	r.next()
	publish(f, "a", 100, 101, 102)
	frame, _ := f.Next(&r.Reader)
	want := `{"type":"changed","timestamp":102,"file":"a","change":"missed","size":102,"state":"102"}` + "\n"
	check.Equal(t, "events", want, string(frame.Lines()))
}
