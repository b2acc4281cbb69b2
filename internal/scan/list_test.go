package scan

import (
	"io"
	"io/fs"
	"strconv"
	"strings"
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

// quietFS has one directory, in which nothing ever changes.
type quietFS struct {
	OS
	dir quietDir
}

func (f *quietFS) OpenDir(string, bool) (Dir, error) {
	f.dir.read = false
	return &f.dir, nil
}

type quietDir struct {
	entries []Entry
	read    bool
}

func (d *quietDir) ReadEntries(buf []Entry, _ *pattern.Folder) (int, error) {
	if d.read {
		return 0, io.EOF
	}
	d.read = true
	return copy(buf, d.entries), nil
}

func (d *quietDir) Readdirnames(int) ([]string, error) { return nil, io.EOF }
func (d *quietDir) Refresh()                           {}
func (d *quietDir) Close() error                       { return nil }

// A listing needs no memory when nothing has changed, and next to none for what has:
// that of the last one serves. What a large directory needed is given back.
func TestListingMemory(t *testing.T) {
	ff := &quietFS{}
	for name := range strings.FieldsSeq("a b c d e f g h") {
		ff.dir.entries = append(ff.dir.entries, Entry{Name: name, Size: 1, Mtime: check.Day1})
	}
	w := &worker{fs: ff, clock: &clock{epoch: time.Now()}}
	p := &pass{w: w, sched: &scheduler{stopped: func() bool { return false }}, options: &Options{}}
	same, changed := nodesOf("a b c d e f g h"), nodesOf("a b c d e f g h")
	changed[3].setStat(fileStat(2, check.Day2))
	for _, test := range []struct {
		name string
		old  []node
		want float64 // allocations: each new name is one
	}{{"the same", same, 0}, {"a change", changed, 0}, {"two new names", same[:6], 2}, {"all names are new", nil, 8}} {
		allocs := testing.AllocsPerRun(10, func() {
			l, s := p.list("x", "x/", nil, 0, test.old)
			if s.kind != directory || l.isSame() != (len(test.old) == 8) || len(l.complete()) != 8 {
				t.Fatalf("%s: %+v, %+v", test.name, l, s)
			}
		})
		if allocs != test.want {
			t.Errorf("%s: %v allocations, want %v", test.name, allocs, test.want)
		}
	}

	l := &w.listing
	l.reset(p, "x", nil, 1, nil)
	for i := range maxKept + 1 {
		l.put(strconv.Itoa(i), false, gone)
	}
	l.reset(p, "x", nil, 1, nil)
	if got := cap(l.all); got != 0 {
		t.Errorf("memory for %d entries is kept", got)
	}
}

// What vanishes before the rest of it is examined is not listed. Otherwise the listing is
// what it was.
func TestFinish(t *testing.T) {
	dir := t.TempDir()
	check.Write(t, dir+"/a", "1", check.Day1)
	check.Write(t, dir+"/c", "1", check.Day1)
	p := &pass{w: &worker{fs: OS{}, clock: &clock{epoch: time.Now()}}, options: &Options{Content: true}}
	p.sched = &scheduler{stopped: func() bool { return false }}
	var old []node
	for _, name := range []string{"a", "b", "c"} {
		old = append(old, nodeOf(name, p.read(dir+"/a")))
	}
	for _, test := range []struct {
		names, want string
		same        bool
	}{
		{"a", "a", true},
		{"a b c", "a c", false},
		{"c b a", "c a", false},
		{"b", "", false},
	} {
		names := strings.Fields(test.names)
		l := &listing{pass: p, path: dir, old: old[:len(names)]}
		for _, name := range names {
			l.add(&Entry{Name: name, Size: 1, Mtime: check.Day1})
		}
		l.finish()
		if l.isSame() != test.same || len(l.changed) > 0 && test.same {
			t.Errorf("%s: the same is %v, but for %v", test.names, l.isSame(), l.changed)
		}
		check.Equal(t, test.names, test.want, listedIn(l.complete()))
	}
}
