package scan

import (
	"io/fs"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
)

func TestIgnores(t *testing.T) {
	for _, test := range []struct {
		pattern, dir, base string
		isDir, want        bool
	}{
		{"*.tmp", "", "a.tmp", false, true},
		{"*.tmp", "sub/deep/", "a.tmp", false, true},
		{"*.tmp", "sub/", "a.tmp", true, true},
		{"*.tmp", "", "a.tmp.d", true, false},
		{"*.tmp", "x.tmp/", "a", false, false},
		{"x", "", "x", false, true},
		{"x", "", "xy", false, false},

		{"sub/*.log", "sub/", "x.log", false, true},
		{"sub/*.log", "", "x.log", false, false},
		{"sub/*.log", "sub/deep/", "x.log", false, false},
		{"sub/*.log", "other/sub/", "x.log", false, false},
		{"sub/*", "sub/", "x", true, true},

		{".git/", "", ".git", true, true},
		{".git/", "sub/", ".git", true, true},
		{".git/", "", ".git", false, false},
		{"sub/build/", "sub/", "build", true, true},
		{"sub/build/", "", "build", true, false},
		{"sub/build/", "sub/", "build", false, false},

		{"[ab]?", "", "ax", false, true},
		{"[ab]?", "", "cx", false, false},
		{`\*`, "", "*", false, true},
		{`\*`, "", "a", false, false},
		{"*", "sub/", "a", false, true},
	} {
		// A further pattern makes no difference.
		for _, patterns := range [][]string{{test.pattern}, {"nothing", test.pattern}, {test.pattern, "nothing/"}} {
			o := Options{Ignore: patterns}
			if got := o.ignores(test.dir, test.base, test.isDir); got != test.want {
				t.Errorf("%q ignores %q%q (directory: %v): %v", patterns, test.dir, test.base, test.isDir, got)
			}
		}
	}
	if (&Options{}).ignores("", "a", true) {
		t.Error("without patterns, names are ignored")
	}
}

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
		l := listing{pass: &pass{w: w, options: &Options{Ignore: []string{"x"}}}, path: "none"}
		for i := range test.entries {
			l.add(&test.entries[i])
		}
		if err := l.addFailed(); (err != nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		check.Equal(t, test.name, test.nodes, listedIn(l.complete()))
	}
}
