package feed

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
	"net-watcher/internal/wire/wiretest"
)

// newTestFeed returns a feed of targets that do not exist.
func newTestFeed(targets ...string) *Feed { return New(wiretest.Missing(targets...)) }

func change(target string, n int64) wire.Event { return wiretest.Change(target, n) }

// take returns all that waits for r as events, with nil between what next
// returned at a time.
func take(t *testing.T, f *Feed, r *Reader) []string {
	t.Helper()
	var got []string
	for {
		lines, gone := f.Next(r)
		if lines == nil {
			if gone {
				got = append(got, "gone")
			}
			return got
		}
		got = append(got, wiretest.Short(t, lines))
	}
}

func join(t *testing.T, f *Feed, in wire.Format) *Reader {
	t.Helper()
	r := &Reader{}
	if _, ok := f.Join(r, in); !ok {
		t.Fatal("cannot join")
	}
	return r
}

func TestFeed(t *testing.T) {
	f := newTestFeed("a", "b")
	f.Publish([]wire.Event{change("a", 1)}) // nobody there
	r1, r2 := join(t, f, wire.Text), join(t, f, wire.JSON)
	f.Publish([]wire.Event{change("a", 2), change("b", 3)})
	r3 := join(t, f, wire.JSON)
	f.Publish([]wire.Event{change("b", 4)})
	for i, test := range []struct {
		r    *Reader
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
	if f.Switch(r, wire.JSON) {
		t.Error("started twice")
	}
	f.Publish([]wire.Event{change("a", 1)})
	check.Equal(t, "asked at once", []string{
		"[text] watching a (not there)", "[text] modified a", "[json] watching a 1",
	}, take(t, f, r))
	f.Publish([]wire.Event{change("a", 2)})
	waiting, _ := f.Waiting(nil)
	for range waiting {
		check.Equal(t, "after that", []string{"[json] modified a 2"}, take(t, f, r))
	}
	if f.Switch(r, wire.JSON) {
		t.Error("the word for the present format starts something")
	}
	if !f.Switch(r, wire.Text) || f.Switch(r, wire.JSON) {
		t.Error("the first word of two must start it, and only that")
	}
	if got := take(t, f, r); got != nil {
		t.Errorf("the last word was for the present format; got %q", got)
	}
	if !f.Switch(r, wire.Text) {
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
		f.MaxEvents = 2
		f.Publish([]wire.Event{change("d", 1)})
		ahead, behind, late := join(t, f, in), join(t, f, in), join(t, f, in)
		take(t, f, ahead)
		take(t, f, behind)
		f.Publish([]wire.Event{change("a", 2)})
		f.Publish([]wire.Event{change("b", 3)})
		f.Next(late) // its greeting, before which nothing was missed
		f.Waiting(nil)
		take(t, f, ahead)
		f.Next(behind) // a 2: it is slow, not lost
		f.Publish([]wire.Event{change("a", 4)})
		f.Publish([]wire.Event{change("c", 5)})
		f.Publish([]wire.Event{{Type: wire.Changed, Timestamp: 6, File: "b", Change: wire.Removed, State: "0"}})

		missed := map[wire.Format][]string{
			wire.Text: {"[text] missed a, missed c, missed b"},
			wire.JSON: {"[json] missed a 4, missed c 5, missed b"},
		}[in]
		check.Equal(t, "behind", missed, take(t, f, behind))
		check.Equal(t, "late", missed, take(t, f, late))
		// One that had read up to 4 missed less.
		ahead.cursor = f.head - 2
		f.MaxEvents = 1
		f.Publish([]wire.Event{change("c", 7)})
		f.Publish([]wire.Event{change("c", 8)})
		f.Waiting(nil)
		want := map[wire.Format][]string{
			wire.Text: {"[text] missed b, missed c"},
			wire.JSON: {"[json] missed b, missed c 8"},
		}[in]
		check.Equal(t, "ahead", want, take(t, f, ahead))
		// And then it goes on as ever.
		take(t, f, behind)
		take(t, f, late)
		f.Publish([]wire.Event{change("d", 9)})
		f.Waiting(nil)
		for _, r := range []*Reader{ahead, behind, late} {
			if got := take(t, f, r); len(got) == 0 || !strings.Contains(got[len(got)-1], "modified d") {
				t.Errorf("afterwards: %q", got)
			}
		}
	}
}

// The time of a missed is that of the last change it stands for.
func TestFeedMissedTime(t *testing.T) {
	f := newTestFeed("a")
	f.MaxEvents = 1
	r := join(t, f, wire.JSON)
	f.Next(r)
	for i := range int64(3) {
		f.Publish([]wire.Event{change("a", 100+i)})
	}
	lines, _ := f.Next(r)
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
	for name, bound := range map[string]func(*Feed){
		"events": func(f *Feed) { f.MaxEvents = 10 },
		"bytes":  func(f *Feed) { f.maxBytes = 1000 },
	} {
		f := newTestFeed("a")
		bound(f)
		keepsUp, behind := join(t, f, wire.Text), join(t, f, wire.Text)
		take(t, f, keepsUp)
		f.Publish([]wire.Event{change("a", 1)})
		f.Waiting(nil)
		take(t, f, keepsUp)
		f.Publish(many)
		if len(f.log) != 1 || f.events != 100 || f.bytes != len(wire.Encode(wire.Text, many)) {
			t.Errorf("%s: log of %d batches, %d events, %d bytes", name, len(f.log), f.events, f.bytes)
		}
		f.Waiting(nil)
		if lines, _ := f.Next(keepsUp); !bytes.Equal(lines, wire.Encode(wire.Text, many)) {
			t.Errorf("%s: the batch did not come whole to who keeps up: %d bytes", name, len(lines))
		}
		check.Equal(t, fmt.Sprintf("%s: behind", name), []string{"[text] watching a (not there)", "[text] missed a"}, take(t, f, behind))
		f.Publish([]wire.Event{change("a", 2)})
		if len(f.log) != 1 || f.events != 1 {
			t.Errorf("%s: log of %d batches, %d events", name, len(f.log), f.events)
		}
	}
}

// The log holds nothing that nobody waits for, and all that somebody does.
func TestFeedLetsGo(t *testing.T) {
	f := newTestFeed("a")
	f.Publish([]wire.Event{change("a", 1)})
	if f.log != nil {
		t.Error("a log without readers")
	}
	r1, r2 := join(t, f, wire.Text), join(t, f, wire.Text)
	take(t, f, r1)
	take(t, f, r2)
	f.Publish([]wire.Event{change("a", 2)})
	f.Waiting(nil)
	take(t, f, r1)
	if len(f.log) != 1 {
		t.Error("the log lost what r2 has not read")
	}
	take(t, f, r2)
	if f.log != nil || f.events != 0 || f.bytes != 0 {
		t.Errorf("all have read, and the log has %d batches, %d events, %d bytes", len(f.log), f.events, f.bytes)
	}

	// r1 finishes between a publish and the start of r2: r2 must not lose that.
	f.Publish([]wire.Event{change("a", 3)})
	f.Waiting(nil)
	f.Publish([]wire.Event{change("a", 4)})
	take(t, f, r1)
	take(t, f, r2)
	f.Waiting(nil)
	f.Publish([]wire.Event{change("a", 5)})
	<-f.More
	take(t, f, r1)
	if waiting, _ := f.Waiting(nil); len(waiting) != 1 {
		t.Error("r2 is not waiting")
	}
	check.Equal(t, "r2", []string{"[text] modified a"}, take(t, f, r2))

	// One that leaves in the middle no longer counts.
	f.Publish([]wire.Event{change("a", 6)})
	f.Waiting(nil)
	take(t, f, r1)
	if now, busy := f.Leave(r2); now != 1 || !busy {
		t.Errorf("leave: %d, %v; want 1, true", now, busy)
	}
	if f.log != nil {
		t.Error("the log waits for one who has left")
	}
	check.Equal(t, "r2", []string{"gone"}, take(t, f, r2))
	if now, busy := f.Leave(r1); now != 0 || busy {
		t.Errorf("leave: %d, %v; want 0, false", now, busy)
	}
	r3 := join(t, f, wire.Text)
	take(t, f, r3)
	f.Publish([]wire.Event{change("a", 7)})
	f.Leave(r3)
	f.Waiting(nil)
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
	f.Leave(r)
	f.Publish([]wire.Event{change("a", 1)})
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
		f.Publish([]wire.Event{change("a", 1)})
		if same(second, greeting(wire.Text)) {
			t.Error("an old greeting after a change")
		}
	})
}

func TestFeedClosed(t *testing.T) {
	f := newTestFeed("a")
	r := join(t, f, wire.Text)
	if rs := f.Close(); len(rs) != 1 || rs[0] != r {
		t.Errorf("close returns %v", rs)
	}
	if _, ok := f.Join(&Reader{}, wire.Text); ok {
		t.Error("joined a closed feed")
	}
}

// Of what is being told those are dropped who began first, whoever came first.
func TestFeedSlow(t *testing.T) {
	f := newTestFeed("a")
	a, b, c, d := join(t, f, wire.Text), join(t, f, wire.Text), join(t, f, wire.Text), join(t, f, wire.Text)
	for _, r := range []*Reader{a, b, c, d} {
		take(t, f, r)
	}
	for i := range int64(5) {
		f.Publish([]wire.Event{change("a", i)})
	}
	f.Waiting(nil)
	line := f.log[0].bytes
	f.MaxOnWay = line
	hold := func(r *Reader, batches int) {
		for range batches {
			f.Next(r)
		}
	}
	hold(d, 5) // the latest
	hold(b, 2)
	hold(c, 1)
	hold(a, 3)
	if _, slow := f.Waiting(nil); len(slow) != 2 || slow[0] != b || slow[1] != c {
		t.Errorf("%d are slow, want those told of the second and the first", len(slow))
	}
	<-f.More
	join(t, f, wire.Text)
	select {
	case <-f.More:
	default:
		t.Error("nobody is called, though there may be too much")
	}
}
