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
	const before = 7 // the tag of the target
	file := fileStat(1, check.Day1)
	folder := Stat{kind: directory}
	denied := Stat{kind: file.kind, size: 1, err: "denied"}
	modified := Step{"", wire.Modified, file, 8}
	removed := Step{"", wire.Removed, gone, 0}
	unreadable := Step{"", wire.Unreadable, denied, 9}
	a := Step{"a", wire.Created, file, 8}
	b := Step{"b", wire.Modified, file, 9}

	for name, test := range map[string]struct {
		steps []Step
		root  Stat
		want  []Step
	}{
		"a file, as before":           {nil, file, []Step{{"", wire.Readable, file, before}}},
		"a file, modified":            {[]Step{modified}, file, []Step{modified}},
		"a file, removed":             {[]Step{removed}, gone, []Step{removed}},
		"missing, as before":          {nil, gone, []Step{{"", wire.Removed, gone, before}}},
		"unreadable, as before":       {nil, denied, nil},
		"unreadable by now":           {[]Step{unreadable}, denied, nil},
		"a directory, as before":      {nil, folder, []Step{{"", wire.Readable, folder, before}}},
		"a directory with changes":    {[]Step{a, b}, folder, []Step{{"", wire.Readable, folder, before}, a, b}},
		"a directory, removed":        {[]Step{{"a", wire.Removed, gone, 8}, removed}, gone, []Step{{"a", wire.Removed, gone, 8}, removed}},
		"a directory, of a file":      {[]Step{removed, {"", wire.Created, folder, 8}, a}, folder, []Step{removed, {"", wire.Created, folder, 8}, a}},
		"unreadable, and all is gone": {[]Step{a, unreadable}, denied, nil},
	} {
		check.Equal(t, name, test.want, recovered(test.steps, test.root, before), cmp.AllowUnexported(Stat{}))
	}
}
