package scan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// A target that was reported as unreadable is readable again, unless its own step
// says how it is.
func TestRecovered(t *testing.T) {
	before := Sum{7, 2} // of the target
	file := fileStat(1, check.Day1)
	folder := Stat{kind: directory}
	denied := Stat{kind: file.kind, size: 1, err: "denied"}
	modified := Step{"", wire.Modified, file, Sum{8, 2}, false}
	again := func(s Step) Step { s.Again = true; return s }
	removed := Step{"", wire.Removed, gone, Sum{0, 2}, false}
	unreadable := Step{"", wire.Unreadable, denied, Sum{9, 2}, false}
	a := Step{"a", wire.Created, file, Sum{8, 2}, false}
	b := Step{"b", wire.Modified, file, Sum{9, 2}, false}

	for name, test := range map[string]struct {
		steps []Step
		root  Stat
		want  []Step
	}{
		"a file, as before":           {nil, file, []Step{{"", wire.Readable, file, before, true}}},
		"a file, modified":            {[]Step{modified}, file, []Step{again(modified)}},
		"a file, removed":             {[]Step{removed}, gone, []Step{again(removed)}},
		"missing, as before":          {nil, gone, []Step{{"", wire.Removed, gone, before, true}}},
		"unreadable, as before":       {nil, denied, nil},
		"unreadable by now":           {[]Step{unreadable}, denied, nil},
		"a directory, as before":      {nil, folder, []Step{{"", wire.Readable, folder, before, true}}},
		"a directory with changes":    {[]Step{a, b}, folder, []Step{{"", wire.Readable, folder, before, true}, a, b}},
		"a directory, removed":        {[]Step{{"a", wire.Removed, gone, Sum{8, 2}, false}, removed}, gone, []Step{{"a", wire.Removed, gone, Sum{8, 2}, false}, again(removed)}},
		"a directory, of a file":      {[]Step{removed, {"", wire.Created, folder, Sum{8, 2}, false}, a}, folder, []Step{again(removed), {"", wire.Created, folder, Sum{8, 2}, false}, a}},
		"unreadable, and all is gone": {[]Step{a, unreadable}, denied, nil},
	} {
		check.Equal(t, name, test.want, recovered(test.steps, test.root, before), cmp.AllowUnexported(Stat{}))
	}
}

// The changes that count for coarse times: those of a file, in a whole second, less than
// 2 s ago, with none in between that shows finer ones.
func TestCountCoarse(t *testing.T) {
	now := check.Day1.Truncate(time.Second)
	const fine = time.Millisecond
	for _, test := range []struct {
		name  string
		after []time.Duration // mtimes, after now
		want  int
	}{
		{"whole seconds", []time.Duration{0, -time.Second, time.Second}, 3},
		{"long ago, or to come", []time.Duration{-2 * time.Second, 2 * time.Second}, 0},
		{"one long ago in between", []time.Duration{0, -2*time.Second - fine, 0}, 2},
		{"a finer one, 2 s ago", []time.Duration{0, -2*time.Second + fine}, 0},
		{"a finer one in between", []time.Duration{0, 0, -fine, 0}, 1},
	} {
		var steps []Step
		for _, after := range test.after {
			steps = append(steps, Step{Stat: fileStat(1, now.Add(after))}, Step{Stat: Stat{kind: directory}}, Step{Stat: gone})
		}
		var tg target
		tg.countCoarse(steps, now)
		check.Equal(t, test.name, test.want, tg.coarse)
	}
}
