package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newTestFeed returns a feed of the named targets, none of which is there.
func newTestFeed(names ...string) *feed {
	var events []Event
	for _, name := range names {
		events = append(events, Event{Type: Watching, File: name, Targets: len(names), Missing: true, State: "0"})
	}
	return newFeed(events)
}

// change returns an event of a file whose size, time and state are all n.
func change(file string, n int64) Event {
	return Event{Type: Changed, Timestamp: n, File: file, Change: Modified, Size: &n, State: fmt.Sprint(n)}
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
			parts = append(parts, strings.TrimSpace(line[len(textTime):]))
			continue
		}
		in = "[json] "
		e, err := decode([]byte(line))
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

func join(t *testing.T, f *feed, in format) *reader {
	t.Helper()
	r := &reader{}
	if _, ok := f.join(r, in); !ok {
		t.Fatal("cannot join")
	}
	return r
}

func TestFeed(t *testing.T) {
	f := newTestFeed("a", "b")
	f.publish([]Event{change("a", 1)}) // nobody there
	r1, r2 := join(t, f, textLines), join(t, f, jsonLines)
	f.publish([]Event{change("a", 2), change("b", 3)})
	r3 := join(t, f, jsonLines)
	f.publish([]Event{change("b", 4)})
	for i, test := range []struct {
		r    *reader
		want []string
	}{
		{r1, []string{"[text] watching a, watching b (not there)", "[text] modified a, modified b", "[text] modified b"}},
		{r2, []string{"[json] watching a 1, watching b (not there)", "[json] modified a 2, modified b 3", "[json] modified b 4"}},
		{r3, []string{"[json] watching a 2, watching b 3", "[json] modified b 4"}},
		{r1, nil},
	} {
		if diff := cmp.Diff(test.want, take(t, f, test.r)); diff != "" {
			t.Errorf("%d (-want +got):\n%s", i, diff)
		}
	}
}

// What waits is still told in the old format; then the new one begins with a
// greeting that leaves nothing out.
func TestFeedChangesFormat(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, textLines)
	if f.ask(r, jsonLines) {
		t.Error("started twice")
	}
	f.publish([]Event{change("a", 1)})
	if diff := cmp.Diff([]string{
		"[text] watching a (not there)", "[text] modified a", "[json] watching a 1",
	}, take(t, f, r)); diff != "" {
		t.Errorf("asked at once (-want +got):\n%s", diff)
	}
	f.publish([]Event{change("a", 2)})
	waiting, _ := f.waiting(nil)
	for range waiting {
		if diff := cmp.Diff([]string{"[json] modified a 2"}, take(t, f, r)); diff != "" {
			t.Errorf("after that (-want +got):\n%s", diff)
		}
	}
	if f.ask(r, jsonLines) {
		t.Error("the word for the present format starts something")
	}
	if !f.ask(r, textLines) || f.ask(r, jsonLines) {
		t.Error("the first word of two must start it, and only that")
	}
	if got := take(t, f, r); got != nil {
		t.Errorf("the last word was for the present format; got %q", got)
	}
	if !f.ask(r, textLines) {
		t.Error("not started")
	}
	if diff := cmp.Diff([]string{"[text] watching a"}, take(t, f, r)); diff != "" {
		t.Errorf("back (-want +got):\n%s", diff)
	}
	if f.using != [formats]int{textLines: 1} {
		t.Errorf("formats in use: %v", f.using)
	}
}

// Who falls behind the log gets a missed for exactly the targets of which
// something was let go of or skipped, with what is there now.
func TestFeedMissed(t *testing.T) {
	for _, in := range []format{textLines, jsonLines} {
		f := newTestFeed("a", "b", "c", "d")
		f.maxEvents = 2
		f.publish([]Event{change("d", 1)})
		ahead, behind, late := join(t, f, in), join(t, f, in), join(t, f, in)
		take(t, f, ahead)
		take(t, f, behind)
		f.publish([]Event{change("a", 2)})
		f.publish([]Event{change("b", 3)})
		f.next(late) // its greeting, before which nothing was missed
		f.waiting(nil)
		take(t, f, ahead)
		f.next(behind) // a 2: it is slow, not lost
		f.publish([]Event{change("a", 4)})
		f.publish([]Event{change("c", 5)})
		f.publish([]Event{{Type: Changed, Timestamp: 6, File: "b", Change: Removed, State: "0"}})

		missed := map[format][]string{
			textLines: {"[text] missed a, missed c, missed b"},
			jsonLines: {"[json] missed a 4, missed c 5, missed b"},
		}[in]
		if diff := cmp.Diff(missed, take(t, f, behind)); diff != "" {
			t.Errorf("behind (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(missed, take(t, f, late)); diff != "" {
			t.Errorf("late (-want +got):\n%s", diff)
		}
		// One that had read up to 4 missed less.
		ahead.cursor = f.head - 2
		f.maxEvents = 1
		f.publish([]Event{change("c", 7)})
		f.publish([]Event{change("c", 8)})
		f.waiting(nil)
		want := map[format][]string{
			textLines: {"[text] missed b, missed c"},
			jsonLines: {"[json] missed b, missed c 8"},
		}[in]
		if diff := cmp.Diff(want, take(t, f, ahead)); diff != "" {
			t.Errorf("ahead (-want +got):\n%s", diff)
		}
		// And then it goes on as ever.
		take(t, f, behind)
		take(t, f, late)
		f.publish([]Event{change("d", 9)})
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
	r := join(t, f, jsonLines)
	f.next(r)
	for i := range int64(3) {
		f.publish([]Event{change("a", 100+i)})
	}
	lines, _ := f.next(r)
	want := `{"type":"changed","timestamp":102,"file":"a","change":"missed","size":102,"state":"102"}` + "\n"
	if diff := cmp.Diff(want, string(lines)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The log is bounded in events and in bytes; a batch beyond the bound still
// goes, whole, to those who keep up.
func TestFeedBounds(t *testing.T) {
	many := make([]Event, 100)
	for i := range many {
		many[i] = change("a", int64(i))
	}
	for name, bound := range map[string]func(*feed){
		"events": func(f *feed) { f.maxEvents = 10 },
		"bytes":  func(f *feed) { f.maxBytes = 1000 },
	} {
		f := newTestFeed("a")
		bound(f)
		keepsUp, behind := join(t, f, textLines), join(t, f, textLines)
		take(t, f, keepsUp)
		f.publish([]Event{change("a", 1)})
		f.waiting(nil)
		take(t, f, keepsUp)
		f.publish(many)
		if len(f.log) != 1 || f.events != 100 || f.bytes != len(encode(textLines, many)) {
			t.Errorf("%s: log of %d batches, %d events, %d bytes", name, len(f.log), f.events, f.bytes)
		}
		f.waiting(nil)
		if lines, _ := f.next(keepsUp); !bytes.Equal(lines, encode(textLines, many)) {
			t.Errorf("%s: the batch did not come whole to who keeps up: %d bytes", name, len(lines))
		}
		if diff := cmp.Diff([]string{"[text] watching a (not there)", "[text] missed a"}, take(t, f, behind)); diff != "" {
			t.Errorf("%s: behind (-want +got):\n%s", name, diff)
		}
		f.publish([]Event{change("a", 2)})
		if len(f.log) != 1 || f.events != 1 {
			t.Errorf("%s: log of %d batches, %d events", name, len(f.log), f.events)
		}
	}
}

// The log holds nothing that nobody waits for, and all that somebody does.
func TestFeedLetsGo(t *testing.T) {
	f := newTestFeed("a")
	f.publish([]Event{change("a", 1)})
	if f.log != nil {
		t.Error("a log without readers")
	}
	r1, r2 := join(t, f, textLines), join(t, f, textLines)
	take(t, f, r1)
	take(t, f, r2)
	f.publish([]Event{change("a", 2)})
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
	f.publish([]Event{change("a", 3)})
	f.waiting(nil)
	f.publish([]Event{change("a", 4)})
	take(t, f, r1)
	take(t, f, r2)
	f.waiting(nil)
	f.publish([]Event{change("a", 5)})
	<-f.more
	take(t, f, r1)
	if waiting, _ := f.waiting(nil); len(waiting) != 1 {
		t.Error("r2 is not waiting")
	}
	if diff := cmp.Diff([]string{"[text] modified a"}, take(t, f, r2)); diff != "" {
		t.Errorf("r2 (-want +got):\n%s", diff)
	}

	// One that leaves in the middle no longer counts.
	f.publish([]Event{change("a", 6)})
	f.waiting(nil)
	take(t, f, r1)
	if now, busy := f.leave(r2); now != 1 || !busy {
		t.Errorf("leave: %d, %v; want 1, true", now, busy)
	}
	if f.log != nil {
		t.Error("the log waits for one who has left")
	}
	if diff := cmp.Diff([]string{"gone"}, take(t, f, r2)); diff != "" {
		t.Errorf("r2 (-want +got):\n%s", diff)
	}
	if now, busy := f.leave(r1); now != 0 || busy {
		t.Errorf("leave: %d, %v; want 0, false", now, busy)
	}
	r3 := join(t, f, textLines)
	take(t, f, r3)
	f.publish([]Event{change("a", 7)})
	f.leave(r3)
	f.waiting(nil)
	if f.log != nil {
		t.Error("a log without readers")
	}
	if f.busy != 0 || f.using != [formats]int{} {
		t.Errorf("left over: %d busy, formats %v", f.busy, f.using)
	}
}

// Who leaves at once is greeted all the same.
func TestFeedGreetsTheHasty(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, textLines)
	f.leave(r)
	f.publish([]Event{change("a", 1)})
	if diff := cmp.Diff([]string{"[text] watching a (not there)", "gone"}, take(t, f, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// However many join, a greeting is made once per format and change, and once a
// second for its text to tell the time.
func TestFeedSharesGreetings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed("a")
		greeting := func(in format) []byte { return join(t, f, in).first.lines }
		same := func(a, b []byte) bool { return &a[0] == &b[0] }
		first := greeting(textLines)
		time.Sleep(time.Second - time.Nanosecond)
		if !same(first, greeting(textLines)) || same(first, greeting(jsonLines)) {
			t.Error("not shared as it should be")
		}
		time.Sleep(time.Nanosecond)
		second := greeting(textLines)
		if want := time.Now().Format(textTime); !bytes.HasPrefix(second, []byte(want)) {
			t.Errorf("greeting %q, want it to begin with %s", second, want)
		}
		f.publish([]Event{change("a", 1)})
		if same(second, greeting(textLines)) {
			t.Error("an old greeting after a change")
		}
	})
}

func TestFeedClosed(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, textLines)
	if rs := f.close(); len(rs) != 1 || rs[0] != r {
		t.Errorf("close returns %v", rs)
	}
	if _, ok := f.join(&reader{}, textLines); ok {
		t.Error("joined a closed feed")
	}
}
