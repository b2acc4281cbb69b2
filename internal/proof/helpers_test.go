package proof

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// promises are all, in the order of docs/promises.md, after Formed.
var promises = []Promise{Formed, Legal, Ordered, Once, Reliable, Honest, Convergent, Timely, Isolated, Bounded, NeverTwo, Clean}

// parse returns the History of a script, which has a record a line, in any order of time:
//
//	0 config d e -only=*.c                           (see setOptions)
//	0 op create d/a 1, 0 op rename d/a d/b
//	100 serve 1 watching d =A, watching e missing =0   (Took is 50, or +Took)
//	100 serve 1 once watching d =A                   (with -once)
//	100 serve 1 once initial command watching d =A   (each may be left out)
//	149 options r -restart -settle=500               (see setOptions)
//	150 join r 1 1                                   (reader, server, connection)
//	150 join r 1 1 local
//	151 got 1 text watching d, modified d/a          (without text: JSON)
//	1500 publish 1 modified d/a 2 =B, unreadable d/b !input/output error =C
//	1501 handled r modified d/a 2 =B
//	1502 run r ..., 1600 ran r 0, 1600 ran r 143 killed
//	2000 fault fail d/b !input/output error, 2000 fault stall @r
//	2500 heal fail d/b +20 *30                       (Took and Value)
//	4000 end 1 stopped 2000                          (Took)
//	4000 end r scanned 1                             (Value)
//
// The size of a file is its mtime too. An event that was published has its time.
func parse(t *testing.T, script string) History {
	t.Helper()
	var h History
	var targets []string
	conns := make(map[int]string)
	published := make(map[string][]int64)
	for pass := range 2 { // published is complete in the second one
		h = nil
		for line := range strings.Lines(script) {
			f := strings.Fields(line)
			if len(f) == 0 {
				continue
			}
			at, err := strconv.ParseInt(f[0], 10, 64)
			if err != nil || len(f) < 2 {
				t.Fatalf("no record: %q", line)
			}
			r := Record{T: at, Kind: Kind(f[1])}
			f = f[2:]
			number := func() int { // the next field
				n, err := strconv.Atoi(f[0])
				if err != nil {
					t.Fatalf("no number: %q", line)
				}
				f = f[1:]
				return n
			}
			word := func() string {
				w := f[0]
				f = f[1:]
				return w
			}
			switch r.Kind {
			case Config:
				r.Interval, r.Scan, r.Targets = 1000, 50, setOptions(t, &r, f)
				targets = r.Targets
			case Options:
				r.Reader = word()
				setOptions(t, &r, f)
			case Serve, Publish:
				if r.Server = number(); r.Kind == Serve {
					r.Took = 50
				}
				if strings.HasPrefix(f[0], "+") {
					r.Took = int64(number())
				}
				if r.Once = f[0] == "once"; r.Once {
					word()
				}
				if r.Initial = f[0] == "initial"; r.Initial {
					word()
				}
				if f[0] == "command" {
					r.Name = word()
				}
			case End:
				if r.Server, err = strconv.Atoi(f[0]); err != nil {
					r.Server, r.Reader = 0, f[0]
				}
				r.Name = f[1]
				if f = f[2:]; len(f) > 0 && r.Name == "scanned" {
					r.Value = int64(number())
				} else if len(f) > 0 {
					r.Took = int64(number())
				}
			case Join:
				r.Reader, r.Server, r.Conn = word(), number(), number()
				conns[r.Conn] = r.Reader
				r.Name = strings.Join(f, " ")
			case Got, Leave:
				r.Conn = number()
				r.Reader = conns[r.Conn]
			case Handled, Run:
				if r.Reader = word(); len(f) > 0 && f[0] == "command" {
					r.Name = word()
				}
			case Ran:
				r.Reader, r.Value, r.Name = word(), int64(number()), strings.Join(f, " ")
			case Op, Fault, Heal:
				r.Name = word()
				for ; len(f) > 0; f = f[1:] {
					size, err := strconv.ParseInt(f[0], 10, 64)
					switch {
					case f[0][0] == '!':
						r.Error = strings.Join(f, " ")[1:]
						f = f[:1]
					case f[0][0] == '@':
						r.Reader = f[0][1:]
					case f[0][0] == '+':
						r.Took, _ = strconv.ParseInt(f[0][1:], 10, 64)
					case f[0][0] == '*':
						r.Value, _ = strconv.ParseInt(f[0][1:], 10, 64)
					case err == nil:
						r.Size = size
					case r.Path == "":
						r.Path = f[0]
					default:
						r.To = f[0]
					}
				}
			case Usage:
				r.Name, r.Value, r.Limit = word(), int64(number()), int64(number())
			case Delay:
				r.Name, r.Value, r.Cause = word(), int64(number()), word()
			case Left:
				r.Name, r.Path = word(), word()
			}
			switch r.Kind {
			case Serve, Publish, Got, Handled, Run, Fresh:
				text := len(f) > 0 && f[0] == "text"
				if text {
					f = f[1:]
				}
				for part := range strings.SplitSeq(strings.Join(f, " "), ", ") {
					if part == "" {
						continue
					}
					e := event(t, part, targets)
					key, _, _ := strings.Cut(part, " @")
					if e.Type == wire.Changed && e.Timestamp == 0 {
						e.Timestamp = at
						for i, t := range published[key] {
							if r.Kind != Publish && (i == 0 || t <= at) {
								e.Timestamp = t
							}
						}
					}
					if r.Kind == Publish && pass == 0 {
						published[key] = append(published[key], e.Timestamp)
					}
					if text {
						e = textOf(t, e)
					}
					r.Events = append(r.Events, e)
				}
			}
			h = append(h, r)
		}
	}
	slices.SortStableFunc(h, func(a, b Record) int { return int(a.T - b.T) })
	return h
}

// setOptions sets what the fields "-only=PATTERN", "-ignore=PATTERN", "-settle=MS",
// "-restart", "-initial", "-scan" and "-once" say, and returns the others.
func setOptions(t *testing.T, r *Record, fields []string) (others []string) {
	t.Helper()
	for _, f := range fields {
		switch option, value, _ := strings.Cut(f, "="); option {
		case "-only":
			r.Only = append(r.Only, value)
		case "-ignore":
			r.Ignore = append(r.Ignore, value)
		case "-settle":
			ms, err := strconv.ParseInt(value, 10, 64)
			check.Must(t, err)
			r.Settle = ms
		case "-restart":
			r.Restart = true
		case "-initial":
			r.Initial = true
		case "-scan":
			r.Ask = true
		case "-once":
			r.Once = true
		default:
			others = append(others, f)
		}
	}
	return others
}

// event returns the event "modified d/a 2 =B", "unreadable d/a !why =B" or "watching d
// missing =0"; "@5" is its time, "~9" the mtime of the file.
func event(t *testing.T, s string, targets []string) wire.Event {
	t.Helper()
	e := wire.Event{Type: wire.Changed}
	for i, f := range strings.Fields(s) {
		size, err := strconv.ParseInt(f, 10, 64)
		switch {
		case i == 0 && f == string(wire.Watching):
			e.Type, e.Protocol, e.Interval, e.Targets = wire.Watching, wire.Protocol, 1000, len(targets)
		case i == 0:
			e.Change = wire.Change(f)
		case i == 1:
			e.File = f
			for _, target := range targets {
				if above(target, f) {
					e.Target = target
				}
			}
		case f[0] == '=':
			e.State = f[1:]
		case f[0] == '~':
			seconds, _ := strconv.ParseInt(f[1:], 10, 64)
			e.Mtime = time.Unix(seconds, 0).UTC()
		case f[0] == '@':
			e.Timestamp, _ = strconv.ParseInt(f[1:], 10, 64)
		case f == "missing":
			e.Missing = true
		case err == nil:
			e.Size, e.Mtime = &size, time.Unix(size, 0).UTC()
		case f[0] == '!':
			e.Error = f[1:]
		default:
			e.Error += " " + f
		}
	}
	return e
}

// textOf returns e as one who gets lines of text can record it.
func textOf(t *testing.T, e wire.Event) wire.Event {
	t.Helper()
	e, err := DecodeLine(wire.Encode(wire.Text, []wire.Event{e}))
	check.Must(t, err)
	return e
}

// broken returns the promises that h breaks, as "Once, Timely".
func broken(h History) string {
	is := make(map[Promise]bool)
	for _, v := range h.Validate() {
		is[v.Promise] = true
	}
	var names []string
	for _, p := range promises {
		if is[p] {
			names = append(names, string(p))
		}
	}
	return strings.Join(names, ", ")
}

// row is a script that differs from a sound one: of each two changes, the first is in it
// once, and becomes the second. want is the promises that are then broken.
type row struct {
	name, want string
	changes    []string
}

func breaks(want, name string, changes ...string) row { return row{name, want, changes} }
func sound(name string, changes ...string) row        { return row{name, "", changes} }

// testRows tests that the script breaks no promise, and those of the rows what they say.
func testRows(t *testing.T, script string, rows ...row) {
	t.Helper()
	for _, r := range append([]row{sound("as it is")}, rows...) {
		t.Run(r.name, func(t *testing.T) {
			changed := script
			for c := range slices.Chunk(r.changes, 2) {
				if n := strings.Count(changed, c[0]); n != 1 {
					t.Fatalf("%q is in the script %d times", c[0], n)
				}
				changed = strings.Replace(changed, c[0], c[1], 1)
			}
			h := parse(t, changed)
			if got := broken(h); got != r.want {
				t.Errorf("breaks %q, want %q", got, r.want)
			}
			for _, v := range h.Validate() {
				t.Log(v)
			}
		})
		if t.Failed() && len(r.changes) == 0 {
			return // all others would fail too
		}
	}
}
