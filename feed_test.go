package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// newTestFeed returns a feed of the named targets, none of which is there.
func newTestFeed(names ...string) *feed {
	var events []wire.Event
	for _, name := range names {
		events = append(events, wire.Event{Type: wire.Watching, File: name, Targets: len(names), Missing: true, State: "0"})
	}
	return newFeed(events)
}

// change returns an event of a file whose size, time and state are all n.
func change(file string, n int64) wire.Event {
	return wire.Event{Type: wire.Changed, Timestamp: n, File: file, Change: wire.Modified, Size: &n, State: fmt.Sprint(n)}
}

// take returns all that waits for r as events, with nil between what next
// returned at a time.
func take(t *testing.T, f *feed, r *reader) []string {
	t.Helper()
	var got []string
	for {
		lines, gone := f.next(r)
		if lines == nil {
			if gone {
				got = append(got, "gone")
			}
			return got
		}
		got = append(got, shorten(t, lines))
	}
}

// shorten returns lines of the wire, of either format, in a short form that
// leaves out times: "[json] watching a, modified b 3".
func shorten(t *testing.T, lines []byte) string {
	t.Helper()
	var parts []string
	in := ""
	for line := range strings.Lines(string(lines)) {
		if line[0] != '{' {
			in = "[text] "
			parts = append(parts, strings.TrimSpace(line[len(wire.TimeLayout):]))
			continue
		}
		in = "[json] "
		e, err := wire.Decode([]byte(line))
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		part := e.String()
		if e.Size != nil {
			part += fmt.Sprintf(" %d", *e.Size)
		}
		if e.State != "0" && (e.Size == nil || fmt.Sprint(*e.Size) != e.State) {
			part += " state " + e.State
		}
		parts = append(parts, part)
	}
	return in + strings.Join(parts, ", ")
}

func join(t *testing.T, f *feed, in wire.Format) *reader {
	t.Helper()
	r := &reader{}
	if _, ok := f.join(r, in); !ok {
		t.Fatal("cannot join")
	}
	return r
}

func TestFeed(t *testing.T) {
	f := newTestFeed("a", "b")
	f.publish([]wire.Event{change("a", 1)}) // nobody there
	r1, r2 := join(t, f, wire.Text), join(t, f, wire.JSON)
	f.publish([]wire.Event{change("a", 2), change("b", 3)})
	r3 := join(t, f, wire.JSON)
	f.publish([]wire.Event{change("b", 4)})
	for i, test := range []struct {
		r    *reader
		want []string
	}{
		{r1, []string{"[text] watching a, watching b (not there)", "[text] modified a, modified b", "[text] modified b"}},
		{r2, []string{"[json] watching a 1, watching b (not there)", "[json] modified a 2, modified b 3", "[json] modified b 4"}},
		{r3, []string{"[json] watching a 2, watching b 3", "[json] modified b 4"}},
		{r1, nil},
	} {
		check.Equal(t, fmt.Sprintf("%d", i), test.want, take(t, f, test.r))
	}
}

// What waits is still told in the old format; then the new one begins with a
// greeting that leaves nothing out.
func TestFeedChangesFormat(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, wire.Text)
	if f.ask(r, wire.JSON) {
		t.Error("started twice")
	}
	f.publish([]wire.Event{change("a", 1)})
	check.Equal(t, "asked at once", []string{
		"[text] watching a (not there)", "[text] modified a", "[json] watching a 1",
	}, take(t, f, r))
	f.publish([]wire.Event{change("a", 2)})
	waiting, _ := f.waiting(nil)
	for range waiting {
		check.Equal(t, "after that", []string{"[json] modified a 2"}, take(t, f, r))
	}
	if f.ask(r, wire.JSON) {
		t.Error("the word for the present format starts something")
	}
	if !f.ask(r, wire.Text) || f.ask(r, wire.JSON) {
		t.Error("the first word of two must start it, and only that")
	}
	if got := take(t, f, r); got != nil {
		t.Errorf("the last word was for the present format; got %q", got)
	}
	if !f.ask(r, wire.Text) {
		t.Error("not started")
	}
	check.Equal(t, "back", []string{"[text] watching a"}, take(t, f, r))
	if f.using != [wire.NumFormats]int{wire.Text: 1} {
		t.Errorf("formats in use: %v", f.using)
	}
}

// Who falls behind the log gets a missed for exactly the targets of which
// something was let go of or skipped, with what is there now.
func TestFeedMissed(t *testing.T) {
	for _, in := range []wire.Format{wire.Text, wire.JSON} {
		f := newTestFeed("a", "b", "c", "d")
		f.maxEvents = 2
		f.publish([]wire.Event{change("d", 1)})
		ahead, behind, late := join(t, f, in), join(t, f, in), join(t, f, in)
		take(t, f, ahead)
		take(t, f, behind)
		f.publish([]wire.Event{change("a", 2)})
		f.publish([]wire.Event{change("b", 3)})
		f.next(late) // its greeting, before which nothing was missed
		f.waiting(nil)
		take(t, f, ahead)
		f.next(behind) // a 2: it is slow, not lost
		f.publish([]wire.Event{change("a", 4)})
		f.publish([]wire.Event{change("c", 5)})
		f.publish([]wire.Event{{Type: wire.Changed, Timestamp: 6, File: "b", Change: wire.Removed, State: "0"}})

		missed := map[wire.Format][]string{
			wire.Text: {"[text] missed a, missed c, missed b"},
			wire.JSON: {"[json] missed a 4, missed c 5, missed b"},
		}[in]
		check.Equal(t, "behind", missed, take(t, f, behind))
		check.Equal(t, "late", missed, take(t, f, late))
		// One that had read up to 4 missed less.
		ahead.cursor = f.head - 2
		f.maxEvents = 1
		f.publish([]wire.Event{change("c", 7)})
		f.publish([]wire.Event{change("c", 8)})
		f.waiting(nil)
		want := map[wire.Format][]string{
			wire.Text: {"[text] missed b, missed c"},
			wire.JSON: {"[json] missed b, missed c 8"},
		}[in]
		check.Equal(t, "ahead", want, take(t, f, ahead))
		// And then it goes on as ever.
		take(t, f, behind)
		take(t, f, late)
		f.publish([]wire.Event{change("d", 9)})
		f.waiting(nil)
		for _, r := range []*reader{ahead, behind, late} {
			if got := take(t, f, r); len(got) == 0 || !strings.Contains(got[len(got)-1], "modified d") {
				t.Errorf("afterwards: %q", got)
			}
		}
	}
}

// The time of a missed is that of the last change it stands for.
func TestFeedMissedTime(t *testing.T) {
	f := newTestFeed("a")
	f.maxEvents = 1
	r := join(t, f, wire.JSON)
	f.next(r)
	for i := range int64(3) {
		f.publish([]wire.Event{change("a", 100+i)})
	}
	lines, _ := f.next(r)
	want := `{"type":"changed","timestamp":102,"file":"a","change":"missed","size":102,"state":"102"}` + "\n"
	check.Equal(t, "events", want, string(lines))
}

// The log is bounded in events and in bytes; a batch beyond the bound still
// goes, whole, to those who keep up.
func TestFeedBounds(t *testing.T) {
	many := make([]wire.Event, 100)
	for i := range many {
		many[i] = change("a", int64(i))
	}
	for name, bound := range map[string]func(*feed){
		"events": func(f *feed) { f.maxEvents = 10 },
		"bytes":  func(f *feed) { f.maxBytes = 1000 },
	} {
		f := newTestFeed("a")
		bound(f)
		keepsUp, behind := join(t, f, wire.Text), join(t, f, wire.Text)
		take(t, f, keepsUp)
		f.publish([]wire.Event{change("a", 1)})
		f.waiting(nil)
		take(t, f, keepsUp)
		f.publish(many)
		if len(f.log) != 1 || f.events != 100 || f.bytes != len(wire.Encode(wire.Text, many)) {
			t.Errorf("%s: log of %d batches, %d events, %d bytes", name, len(f.log), f.events, f.bytes)
		}
		f.waiting(nil)
		if lines, _ := f.next(keepsUp); !bytes.Equal(lines, wire.Encode(wire.Text, many)) {
			t.Errorf("%s: the batch did not come whole to who keeps up: %d bytes", name, len(lines))
		}
		check.Equal(t, fmt.Sprintf("%s: behind", name), []string{"[text] watching a (not there)", "[text] missed a"}, take(t, f, behind))
		f.publish([]wire.Event{change("a", 2)})
		if len(f.log) != 1 || f.events != 1 {
			t.Errorf("%s: log of %d batches, %d events", name, len(f.log), f.events)
		}
	}
}

// The log holds nothing that nobody waits for, and all that somebody does.
func TestFeedLetsGo(t *testing.T) {
	f := newTestFeed("a")
	f.publish([]wire.Event{change("a", 1)})
	if f.log != nil {
		t.Error("a log without readers")
	}
	r1, r2 := join(t, f, wire.Text), join(t, f, wire.Text)
	take(t, f, r1)
	take(t, f, r2)
	f.publish([]wire.Event{change("a", 2)})
	f.waiting(nil)
	take(t, f, r1)
	if len(f.log) != 1 {
		t.Error("the log lost what r2 has not read")
	}
	take(t, f, r2)
	if f.log != nil || f.events != 0 || f.bytes != 0 {
		t.Errorf("all have read, and the log has %d batches, %d events, %d bytes", len(f.log), f.events, f.bytes)
	}

	// r1 finishes between a publish and the start of r2: r2 must not lose that.
	f.publish([]wire.Event{change("a", 3)})
	f.waiting(nil)
	f.publish([]wire.Event{change("a", 4)})
	take(t, f, r1)
	take(t, f, r2)
	f.waiting(nil)
	f.publish([]wire.Event{change("a", 5)})
	<-f.more
	take(t, f, r1)
	if waiting, _ := f.waiting(nil); len(waiting) != 1 {
		t.Error("r2 is not waiting")
	}
	check.Equal(t, "r2", []string{"[text] modified a"}, take(t, f, r2))

	// One that leaves in the middle no longer counts.
	f.publish([]wire.Event{change("a", 6)})
	f.waiting(nil)
	take(t, f, r1)
	if now, busy := f.leave(r2); now != 1 || !busy {
		t.Errorf("leave: %d, %v; want 1, true", now, busy)
	}
	if f.log != nil {
		t.Error("the log waits for one who has left")
	}
	check.Equal(t, "r2", []string{"gone"}, take(t, f, r2))
	if now, busy := f.leave(r1); now != 0 || busy {
		t.Errorf("leave: %d, %v; want 0, false", now, busy)
	}
	r3 := join(t, f, wire.Text)
	take(t, f, r3)
	f.publish([]wire.Event{change("a", 7)})
	f.leave(r3)
	f.waiting(nil)
	if f.log != nil {
		t.Error("a log without readers")
	}
	if f.busy != 0 || f.using != [wire.NumFormats]int{} {
		t.Errorf("left over: %d busy, formats %v", f.busy, f.using)
	}
}

// Who leaves at once is greeted all the same.
func TestFeedGreetsTheHasty(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, wire.Text)
	f.leave(r)
	f.publish([]wire.Event{change("a", 1)})
	check.Equal(t, "events", []string{"[text] watching a (not there)", "gone"}, take(t, f, r))
}

// However many join, a greeting is made once per format and change, and once a
// second for its text to tell the time.
func TestFeedSharesGreetings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a")
		greeting := func(in wire.Format) []byte { return join(t, f, in).first.lines }
		same := func(a, b []byte) bool { return &a[0] == &b[0] }
		first := greeting(wire.Text)
		time.Sleep(time.Second - time.Nanosecond)
		if !same(first, greeting(wire.Text)) || same(first, greeting(wire.JSON)) {
			t.Error("not shared as it should be")
		}
		time.Sleep(time.Nanosecond)
		second := greeting(wire.Text)
		if want := time.Now().Format(wire.TimeLayout); !bytes.HasPrefix(second, []byte(want)) {
			t.Errorf("greeting %q, want it to begin with %s", second, want)
		}
		f.publish([]wire.Event{change("a", 1)})
		if same(second, greeting(wire.Text)) {
			t.Error("an old greeting after a change")
		}
	})
}

func TestFeedClosed(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, wire.Text)
	if rs := f.close(); len(rs) != 1 || rs[0] != r {
		t.Errorf("close returns %v", rs)
	}
	if _, ok := f.join(&reader{}, wire.Text); ok {
		t.Error("joined a closed feed")
	}
}
