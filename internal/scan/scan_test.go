package scan

import (
	"testing"

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
