package feed

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// However many join, a greeting is encoded once per format and change; in text
// once a second too, because it has the time.
func TestGreetingsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a")
		greeting := func(in wire.Format) []byte {
			frame, _ := f.Next(&join(t, f, in).Reader)
			return frame.Lines()
		}
		same := func(a, b []byte) bool { return &a[0] == &b[0] }
		first := greeting(wire.Text)
		time.Sleep(greetingRenewal - time.Nanosecond)
		if !same(first, greeting(wire.Text)) || same(first, greeting(wire.JSON)) {
			t.Error("text and JSON must have one greeting each")
		}
		time.Sleep(time.Nanosecond)
		second := greeting(wire.Text)
		if want := time.Now().Format(wire.TimeLayout); !bytes.HasPrefix(second, []byte(want)) {
			t.Errorf("greeting %q, want it to begin with %s", second, want)
		}
		publish(f, "a", 1)
		if same(second, greeting(wire.Text)) {
			t.Error("an old greeting after a change")
		}
	})
}

// A greeting or a summary that is being encoded delays only the readers that it
// is for. When it is there, it is of the moment that it was asked for, and each
// was encoded once.
func TestEncodingDelaysNobody(t *testing.T) {
	watching := make([]wire.Event, 20_000)
	for i := range watching {
		watching[i] = wire.Event{Type: wire.Watching, File: fmt.Sprintf("%05d", i), State: "0"}
	}
	const name = "00007"
	f := New(watching)
	f.MaxLogEvents = 1
	encoded := make(chan string, 10) // one for each greeting and summary in JSON
	gate := make(chan struct{})      // closed when those may be encoded
	f.Encode = func(in wire.Format, events []wire.Event) []byte {
		if kind := string(events[0].Type) + string(events[0].Change); in == wire.JSON && kind != "changedmodified" {
			encoded <- kind
			<-gate
		}
		return wire.Encode(in, events)
	}
	honest, fickle, behind := joinIdle(t, f, wire.Text), joinIdle(t, f, wire.Text), joinIdle(t, f, wire.Text)

	// fickle changes to JSON, as does another: they wait for the same greeting.
	lines := func(r *testReader) <-chan []byte {
		frame, state := f.Next(&r.Reader)
		if state != More || frame.Encoded() {
			t.Fatalf("state %v, encoded: %v; want a frame that is not encoded", state, frame.Encoded())
		}
		c := make(chan []byte, 1)
		go func() { c <- frame.Lines() }()
		return c
	}
	f.Switch(&fickle.Reader, wire.JSON)
	first, shared := lines(fickle), lines(join(t, f, wire.JSON))
	check.Equal(t, "encoded", "watching", <-encoded)

	// Meanwhile all else goes on, also a greeting in text.
	modified := func(n int64) {
		t.Helper()
		publish(f, name, n)
		f.Ready(nil)
		check.Equal(t, "honest", []string{"[text] modified " + name}, honest.take())
	}
	modified(1)
	joinIdle(t, f, wire.Text)
	// Likewise while the next greeting and a summary are encoded.
	f.Switch(&behind.Reader, wire.JSON)
	check.Equal(t, "behind", "[text] modified "+name, behind.next())
	greeting := lines(behind)
	check.Equal(t, "encoded", "watching", <-encoded)
	modified(2) // the log has this
	modified(3) // and then only this
	summary := lines(behind)
	check.Equal(t, "encoded", "changedmissed", <-encoded)
	modified(4)

	close(gate)
	before := <-first
	if got := wire.Encode(wire.JSON, watching); !bytes.Equal(before, got) {
		t.Errorf("the greeting from before the change differs from the targets then: %d bytes, want %d", len(before), len(got))
	}
	if again := <-shared; &again[0] != &before[0] {
		t.Error("two readers have a greeting each")
	}
	if after := <-greeting; !bytes.Contains(after, []byte(`"file":"`+name+`","size":1,"state":"1"}`)) {
		t.Error("the greeting from after the change does not have it")
	}
	want := `{"type":"changed","timestamp":3,"file":"` + name + `","change":"missed","size":3,"state":"3"}` + "\n"
	check.Equal(t, "summary", want, string(<-summary))
	check.Equal(t, "JSON greetings and summaries beyond the expected", 0, len(encoded))
}

// Nothing is encoded with a lock held; and a reader that comes while a batch is
// being encoded gets it, in its format.
func TestJoinWhileEncoding(t *testing.T) {
	f := newTestFeed("a")
	r := joinIdle(t, f, wire.JSON)
	var late *testReader
	f.Encode = func(in wire.Format, events []wire.Event) []byte {
		if events[0].Type == wire.Changed && late == nil {
			late = join(t, f, wire.Text)
		}
		return wire.Encode(in, events)
	}
	publish(f, "a", 1)
	f.Ready(nil)
	check.Equal(t, "a reader from before", []string{"[json] modified a 1"}, r.take())
	check.Equal(t, "a reader that came then", []string{"[text] watching a (not there)", "[text] modified a"}, late.take())
	lines := len(wire.Encode(wire.Text, []wire.Event{change("a", 1)})) + len(wire.Encode(wire.JSON, []wire.Event{change("a", 1)}))
	late = join(t, f, wire.Text)
	publish(f, "a", 1)
	check.Equal(t, "log", batchLog{events: 1, bytes: lines}, f.log, cmpLog)
}

// The frames that have been in flight for the longest are overdue, whenever
// their readers came.
func TestOverdue(t *testing.T) {
	f := newTestFeed("a")
	a, b, c, d := joinIdle(t, f, wire.Text), joinIdle(t, f, wire.Text), joinIdle(t, f, wire.Text), joinIdle(t, f, wire.Text)
	publish(f, "a", 0, 1, 2, 3, 4)
	f.Ready(nil)
	line := f.log.batches[0].bytes
	f.MaxInFlight = line
	next := func(r *testReader, batches int) {
		for range batches {
			r.next()
		}
	}
	next(d, 5) // the newest
	next(b, 2)
	next(c, 1)
	next(a, 3)
	if got := f.Overdue(); len(got) != 2 || got[0] != b || got[1] != c {
		t.Errorf("%d are overdue, want those at the second and the first batch", len(got))
	}
	// All that share a frame go.
	f.MaxInFlight = 2 * line
	next(c, 1)
	if got := f.Overdue(); len(got) != 0 {
		t.Errorf("%d are overdue within the limit", len(got))
	}
	f.MaxInFlight = line
	if got := f.Overdue(); len(got) != 2 || got[0] == a || got[1] == a {
		t.Errorf("%d are overdue, want the two at the second batch", len(got))
	}
	// Each goes once, also where its frame has been dropped already.
	publish(f, "a", 5)
	next(a, 1)
	f.MaxInFlight = 0
	if got := f.Overdue(); len(got) != 3 || got[2] != a {
		t.Errorf("%d are overdue, want the two at the second batch and the one at the fourth", len(got))
	}
}

// A frame counts when it has been encoded, and More has a value then.
func TestOverdueGreetings(t *testing.T) {
	f := newTestFeed("a")
	f.MaxInFlight = 1
	f.Next(&join(t, f, wire.JSON).Reader) // it is never encoded
	r := join(t, f, wire.Text)
	frame, _ := f.Next(&r.Reader)
	publish(f, "a", 1, 2)
	f.Ready(nil)
	for woken(f) {
	}
	if got := f.Overdue(); len(got) != 0 {
		t.Error("a reader is overdue before its greeting is encoded")
	}
	frame.Lines()
	if !woken(f) {
		t.Error("More has no value, though there is more in flight")
	}
	if got := f.Overdue(); len(got) != 1 || got[0] != r {
		t.Errorf("%d readers are overdue, want the one with the old greeting in text", len(got))
	}
}
