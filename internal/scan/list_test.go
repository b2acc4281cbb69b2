package scan

import (
	"io/fs"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/pattern"
)

// A directory is denied if permissions hide all that is in it, and only then.
func TestDenied(t *testing.T) {
	entry := Entry{Name: "a", Size: 1, Mtime: check.Day1}
	denied := Entry{Name: "b", Err: check.PathError(fs.ErrPermission)}
	other := Entry{Name: "c", Err: check.PathError(fs.ErrInvalid)}
	vanished := Entry{Name: "d", Err: check.Errno(syscall.ENOENT, 2)}
	noFiles := Entry{Name: "e", Err: check.Errno(syscall.EMFILE, 4)}
	ignored := Entry{Name: "x"}
	deniedIgnored := Entry{Name: "x", Err: denied.Err}
	link := Entry{Name: "l", Mode: fs.ModeSymlink}
	for _, test := range []struct {
		name    string
		entries []Entry
		want    bool
		nodes   string
	}{
		{"empty", nil, false, ""},
		{"all", []Entry{denied, denied}, true, ""},
		{"all but one", []Entry{denied, entry}, false, "a b!"},
		{"all but a link", []Entry{link, denied}, false, "l? b!"},
		{"another error", []Entry{denied, other}, false, "b! c!"},
		{"all but what has vanished", []Entry{vanished, denied}, true, ""},
		{"only what has vanished", []Entry{vanished}, false, ""},
		{"all, and they are ignored", []Entry{deniedIgnored}, true, ""},
		{"all but one that is ignored", []Entry{ignored, denied}, false, "b!"},
		{"descriptors are short as well", []Entry{noFiles, denied}, true, ""},
		{"only descriptors are short", []Entry{noFiles, noFiles}, false, "e! e!"},
	} {
		w := &worker{fs: OS{}, clock: &clock{epoch: time.Now()}}
		var filter pattern.Filter
		filter.Ignore.Add("x")
		l := listing{pass: &pass{w: w, options: &Options{}}, path: "none", folder: filter.Root()}
		for i := range test.entries {
			l.add(&test.entries[i])
		}
		if err := l.addFailed(); (err != nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		check.Equal(t, test.name, test.nodes, listedIn(l.complete()))
	}
}
