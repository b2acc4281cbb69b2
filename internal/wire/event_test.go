package wire

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
)

// samples are events of every kind and the lines that they make.
var samples = []struct {
	name  string
	event Event
	text  string // without the time
	json  string
}{
	{
		name: "watching",
		event: Event{
			Type: Watching, File: "target.txt", Protocol: 1, Interval: 1000, Targets: 1,
			Size: new(int64(41)), Mtime: time.Date(2026, 11, 22, 3, 14, 4, 5, time.UTC), State: "1f0c",
		},
		text: "watching target.txt",
		json: `{"type":"watching","file":"target.txt","protocol":1,"interval":1000,"targets":1,"size":41,"mtime":"2026-11-22T03:14:04.000000005Z","state":"1f0c"}`,
	},
	{
		name:  "watching nothing",
		event: Event{Type: Watching, File: "later.txt", Protocol: 1, Interval: 20, Targets: 2, Missing: true, State: "0"},
		text:  "watching later.txt (not there)",
		json:  `{"type":"watching","file":"later.txt","protocol":1,"interval":20,"targets":2,"missing":true,"state":"0"}`,
	},
	{
		name:  "watching something unreadable",
		event: Event{Type: Watching, File: "x", Protocol: 1, Interval: 1, Targets: 1, Error: "permission denied", State: "a"},
		text:  "watching x (unreadable: permission denied)",
		json:  `{"type":"watching","file":"x","protocol":1,"interval":1,"targets":1,"error":"permission denied","state":"a"}`,
	},
	{
		name:  "watching something with unreadable things below it",
		event: Event{Type: Watching, File: "d", Protocol: 1, Interval: 1, Targets: 1, Unreadable: 2, State: "a"},
		text:  "watching d (2 unreadable below it)",
		json:  `{"type":"watching","file":"d","protocol":1,"interval":1,"targets":1,"unreadable":2,"state":"a"}`,
	},
	{
		name: "modified",
		event: Event{
			Type: Changed, Timestamp: 1795318840365, File: "target.txt", Change: Modified,
			Size: new(int64(0)), Mtime: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), State: "77ab",
		},
		text: "modified target.txt",
		json: `{"type":"changed","timestamp":1795318840365,"file":"target.txt","change":"modified","size":0,"mtime":"1969-01-01T00:00:00Z","state":"77ab"}`,
	},
	{
		name:  "removed below a directory",
		event: Event{Type: Changed, Timestamp: 1, File: "d/<a> & b/", Target: "d", Change: Removed, State: "0"},
		text:  "removed d/<a> & b/",
		json:  `{"type":"changed","timestamp":1,"file":"d/<a> & b/","target":"d","change":"removed","state":"0"}`,
	},
	{
		name:  "unreadable",
		event: Event{Type: Changed, Timestamp: 1, File: "x", Change: Unreadable, Error: "input/output error", State: "0"},
		text:  "unreadable x: input/output error",
		json:  `{"type":"changed","timestamp":1,"file":"x","change":"unreadable","error":"input/output error","state":"0"}`,
	},
	{
		name:  "a classic server's",
		event: Event{Type: Changed, Timestamp: 1450694370094},
		text:  "changed",
		json:  `{"type":"changed","timestamp":1450694370094}`,
	},
	{
		name:  "watching something with one unreadable thing below it",
		event: Event{Type: Watching, File: "d", Unreadable: 1},
		text:  "watching d (1 unreadable below it)",
		json:  `{"type":"watching","file":"d","unreadable":1}`,
	},
}

func TestEncode(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			check.Equal(t, "JSON", s.json+"\n", string(Encode(JSON, []Event{s.event})))
			wantText := time.UnixMilli(s.event.Timestamp).Format(TimeLayout) + " " + s.text + "\n"
			check.Equal(t, "SSE", "data: "+s.json+"\n\n", string(Encode(SSE, []Event{s.event})))
			check.Equal(t, "text", wantText, string(Encode(Text, []Event{s.event})))
			got, err := Decode([]byte(s.json))
			if err != nil {
				t.Fatal(err)
			}
			check.Equal(t, "decoded", s.event, got)
		})
	}
}

// JSON has no time of a greeting, and times of files in UTC.
func TestEncodeTimes(t *testing.T) {
	e := Event{
		Type: Watching, Timestamp: 1, File: "a",
		Mtime: time.Date(2026, 11, 22, 0, 30, 0, 0, time.FixedZone("", 3600)),
	}
	check.Equal(t, "JSON", `{"type":"watching","file":"a","mtime":"2026-11-21T23:30:00Z"}`+"\n", string(Encode(JSON, []Event{e})))
}

// A Watching event describes the target after each change, and a change of what
// is below the target only changes the state.
func TestApply(t *testing.T) {
	mtime := time.Unix(1, 0)
	w := Event{Type: Watching, File: "d", Protocol: Protocol, Interval: 1000, Targets: 1, Missing: true, State: "0"}
	for _, test := range []struct {
		change Event
		want   Event
	}{
		{
			Event{File: "d", Change: Created, Size: new(int64(5)), Mtime: mtime, State: "1"},
			Event{Size: new(int64(5)), Mtime: mtime, State: "1"},
		},
		{
			Event{File: "d/a", Target: "d", Change: Removed, Unreadable: 2, State: "2"},
			Event{Size: new(int64(5)), Mtime: mtime, Unreadable: 2, State: "2"},
		},
		{
			Event{File: "d", Change: Unreadable, Error: "EIO", State: "3"},
			Event{Error: "EIO", State: "3"},
		},
		{
			Event{File: "d", Change: Removed, State: "0"},
			Event{Missing: true, State: "0"},
		},
	} {
		e := &test.change
		check.Equal(t, "target of "+e.String(), "d", e.TargetName())
		w.Apply(e)
		test.want.Type, test.want.File, test.want.Protocol, test.want.Interval, test.want.Targets = Watching, "d", 1, 1000, 1
		check.Equal(t, "after "+e.String(), test.want, w)
	}
	w.Size, w.Mtime = new(int64(6)), mtime
	want := Event{Type: Changed, Timestamp: 7, File: "d", Change: Missed, Size: new(int64(6)), Mtime: mtime, State: "0"}
	check.Equal(t, "as missed", want, w.AsMissed(7))
}

func TestParseFormat(t *testing.T) {
	type parsed struct {
		format Format
		ok     bool
	}
	for word, want := range map[string]parsed{"text": {Text, true}, "json": {JSON, true}, "": {}, "JSON": {}} {
		format, ok := ParseFormat(word)
		check.Equal(t, word, want, parsed{format, ok}, cmp.AllowUnexported(parsed{}))
	}
}

func TestTextTime(t *testing.T) {
	defer func(l *time.Location) { time.Local = l }(time.Local)
	at := time.Date(2026, 11, 22, 2, 14, 4, 512e6, time.UTC)
	e := Event{Type: Changed, Timestamp: at.UnixMilli(), File: "target.txt", Change: Modified}
	for _, test := range []struct {
		offset int // seconds
		want   string
	}{
		{3600, "2026-11-22T03:14:04.512+01:00 modified target.txt\n"},
		{0, "2026-11-22T02:14:04.512+00:00 modified target.txt\n"},
	} {
		time.Local = time.FixedZone("", test.offset)
		if got := string(Encode(Text, []Event{e})); got != test.want {
			t.Errorf("%d s east: got %q, want %q", test.offset, got, test.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"target.txt", "target.txt"},
		{"with space", "with space"},
		{"größe-文件-😀", "größe-文件-😀"},
		{" leading", `" leading"`},
		{"trailing ", `"trailing "`},
		{`quo"te`, `"quo\"te"`},
		{`back\slash`, `back\slash`},
		{"two\nlines", `"two\nlines"`},
		{"\x1b[31mred", `"\x1b[31mred"`},
		{"not \xff UTF-8", `"not \xff UTF-8"`},
		{"right-to-left \u202e", `"right-to-left \u202e"`},
		{"no-break\u00a0space", `"no-break\u00a0space"`},
		{"", ""},
	} {
		if got := Printable(test.in); got != test.want {
			t.Errorf("printable(%q) = %s, want %s", test.in, got, test.want)
		}
	}
}

func TestJSONNames(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`a"b\c`, `a\"b\\c`},
		{"<&>", "<&>"},
		{"größe 😀", "größe 😀"},
		{"\x00\x1b\x7f", `\u0000\u001b\u007f`},
		{"\u0085\u009b\u00a0\u202e\u2028", `\u0085\u009b\u00a0\u202e\u2028`},
		{"\U000e0001\U0010ffff", `\udb40\udc01\udbff\udfff`},
	} {
		got := string(Encode(JSON, []Event{{File: test.in}}))
		if want := `{"file":"` + test.want + `"}` + "\n"; got != want {
			t.Errorf("%q: got %s, want %s", test.in, got, want)
		}
	}
}

// A name that is not UTF-8 has a field for its bytes, and no other name has one.
func TestNameBytes(t *testing.T) {
	for _, test := range []struct {
		event Event
		want  string
	}{
		{Event{File: "d/\xff|\xed\xa0\x80", Target: "d"}, `{"file":"d/\ufffd|\ufffd\ufffd\ufffd","target":"d","file_b64":"ZC//fO2ggA=="}`},
		{Event{File: "\xe4/a", Target: "\xe4"}, `{"file":"\ufffd/a","target":"\ufffd","file_b64":"5C9h","target_b64":"5A=="}`},
		{Event{File: "\ufffd"}, `{"file":"` + "\ufffd" + `"}`},
	} {
		got := string(Encode(JSON, []Event{test.event}))
		check.Equal(t, "encoded", test.want+"\n", got)
		e, err := Decode([]byte(got))
		check.Must(t, err)
		check.Equal(t, "decoded", test.event, e)
	}
}

// A year that RFC 3339 cannot say must not cost the event.
func TestYears(t *testing.T) {
	for year, want := range map[int]string{
		9999:   `{"size":1,"mtime":"9999-12-31T23:59:59Z"}`,
		10000:  `{"size":1}`,
		0:      `{"size":1,"mtime":"0000-12-31T23:59:59Z"}`,
		-1:     `{"size":1}`,
		292277: `{"size":1}`,
	} {
		mtime := time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC)
		if got := string(Encode(JSON, []Event{{Size: new(int64(1)), Mtime: mtime}})); got != want+"\n" {
			t.Errorf("year %d: got %s, want %s", year, got, want)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Event
		ok   bool
	}{
		{in: `{"type":"watching","file":"target.txt"}`, want: Event{Type: Watching, File: "target.txt"}, ok: true},
		{in: `{"type":"weather","rain":[1,{}]}` + "\r\n", want: Event{Type: "weather"}, ok: true},
		{in: `{}`, ok: true},
		{in: ``},
		{in: `2026-11-22T03:14:04.512+01:00 modified target.txt`},
		{in: `{"type":"changed"`},
		{in: `{"type":"changed"}{}`},
		{in: `{"type":"changed","timestamp":"soon","file":"a"}`, want: Event{Type: Changed, File: "a"}, ok: true},
		{in: `{"error":{"code":1},"type":"news"}`, want: Event{Type: "news"}, ok: true},
		{in: `{"type":"changed","file":"a","mtime":1450694370094}`, want: Event{Type: Changed, File: "a"}, ok: true},
		{in: `{"mtime":1450694370094,"type":"changed","file":"a","change":"removed"}`, want: Event{Type: Changed, File: "a", Change: Removed}, ok: true},
		{in: `{"type":"changed","mtime":"Sun Nov 22 2026","file":"a","state":"1"}`, want: Event{Type: Changed, File: "a", State: "1"}, ok: true},
		{in: `{"mtime":[{}],"mtime":null,"file":"a"}`, want: Event{File: "a"}, ok: true},
		{in: `{"file":"a","mtime":"2026-11-22T03:14:04Z"}`, want: Event{File: "a", Mtime: time.Date(2026, 11, 22, 3, 14, 4, 0, time.UTC)}, ok: true},
		{in: `{"file":"a","mtime":"2026-11-22T03:14:04Z","mtime":5}`, want: Event{File: "a"}, ok: true}, // the last one counts
		{in: `{"file":"a","file_b64":"?"}`, want: Event{File: "a"}, ok: true},
		{in: `{"file":"a","file_b64":"","target_b64":7}`, want: Event{File: "a"}, ok: true},
		{in: `5`},
		{in: `["changed"]`},
	} {
		got, err := Decode([]byte(test.in))
		if (err == nil) != test.ok {
			t.Errorf("%s: error %v, want one: %v", test.in, err, !test.ok)
		}
		check.Equal(t, test.in, test.want, got)
	}
}

// How many things are unreadable stands in greetings only.
func TestEncodeUnreadable(t *testing.T) {
	got := string(Encode(JSON, []Event{{Type: Changed, Timestamp: 1, File: "d", Change: Readable, Unreadable: 2, State: "a"}}))
	check.Equal(t, "a change", `{"type":"changed","timestamp":1,"file":"d","change":"readable","state":"a"}`+"\n", got)
}

// Any bytes are an event or an error, and an event survives being said again.
func FuzzDecode(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.json))
	}
	f.Add([]byte(`{"mtime":"0000-01-01T00:00:00+01:00"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Decode(line)
		if err != nil {
			return
		}
		if e.Type == Watching { // what is not on the wire
			e.Timestamp = 0
		} else {
			e.Unreadable = 0
		}
		if y := e.Mtime.UTC().Year(); y < 0 || y > 9999 {
			e.Mtime = time.Time{}
		}
		again, err := Decode(Encode(JSON, []Event{e}))
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		check.Equal(t, "said again", e, again)
	})
}

// Whatever a file is called, a line is one line that a terminal can show, and
// JSON gives the name back.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"target.txt", "a\nb", "\x1b]0;x\a", "\xff", "\u202e", `"`, " ", "\U000e0001"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		events := []Event{{Type: Changed, File: name, Change: Modified}}
		for in := range NumFormats {
			line := Encode(in, events)
			body, ok := bytes.CutSuffix(line, []byte(in.End()))
			if !ok || !utf8.Valid(line) || bytes.ContainsFunc(body, func(r rune) bool { return !strconv.IsPrint(r) }) {
				t.Errorf("format %v of %q: %q", in, name, line)
			}
		}
		if e, err := Decode(Encode(JSON, events)); err != nil || e.File != name {
			t.Errorf("decoded %q, %v; want %q", e.File, err, name)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	e := samples[3].event
	e.File = strings.Repeat("folder/", 8) + e.File
	for name, f := range map[string]Format{"text": Text, "json": JSON} {
		b.Run(name, func(b *testing.B) {
			events := make([]Event, 100)
			for i := range events {
				events[i] = e
			}
			b.ReportAllocs()
			for b.Loop() {
				Encode(f, events)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
		})
	}
}
