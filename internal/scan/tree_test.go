package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// treeTest is a poll of the directory "d", and a follower of its events.
type treeTest struct {
	*testing.T
	*Poll
	follower map[string]uint64 // tag of each thing below
	unread   map[string]bool   // what of it cannot be looked at
}

// newTreeTest begins in a new folder, in which d has what the function puts
// there.
func newTreeTest(t *testing.T, o Options, prepare func()) *treeTest {
	t.Helper()
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("d", 0o777))
	if prepare != nil {
		prepare()
	}
	p := New([]string{"d"}, time.Second, o)
	tt := &treeTest{T: t, Poll: p, follower: make(map[string]uint64), unread: make(map[string]bool)}
	mustStart(t, p)
	below(&p.targets[0].root, "", tt.follower)
	return tt
}

// below adds the tags of e and of all below it.
func below(e *entry, name string, tags map[string]uint64) {
	tags[name] = e.look.tag(name)
	if e.folder != nil && e.why == "" {
		for i := range e.folder.entries {
			sub := &e.folder.entries[i]
			below(sub, name+sub.name, tags)
		}
	}
}

// look looks once, and checks all that must hold for any events.
func (tt *treeTest) look() []wire.Event {
	tt.Helper()
	events, _ := tt.Poll.look()
	for _, e := range events {
		name := strings.TrimPrefix(strings.TrimPrefix(e.File, "d"), "/")
		if (name == "") != (e.Target == "") || e.Target != "" && e.Target != "d" {
			tt.Errorf("%s has the target %q", e.File, e.Target)
		}
		l := look{kind: file, why: e.Error}
		switch {
		case e.Change == wire.Removed:
			l.kind = absent
		case e.Size == nil:
			l.kind = directory
		default:
			l = fileLook(*e.Size, e.Mtime)
			l.why = e.Error
		}
		tt.follower[name] = l.tag(name)
		tt.unread[name] = l.why != ""
		// Every line has the tag of what is told so far, but for what is in
		// folders that cannot be looked at.
		sum := uint64(0)
		for name, tag := range tt.follower {
			hidden := tt.unread[""] && name != ""
			for i, r := range name {
				hidden = hidden || r == '/' && i+1 < len(name) && tt.unread[name[:i+1]]
			}
			if !hidden {
				sum += tag
			}
		}
		if want := state(sum); e.State != want && !tt.looker.content { // events do not tell contents
			tt.Errorf("%s: state %s, want %s", &e, e.State, want)
		}
	}
	return events
}

// expect looks once and checks what is told, and that a newcomer is told the
// same state.
func (tt *treeTest) expect(want ...string) {
	tt.Helper()
	check.Equal(tt.T, "events", want, brief(tt.look()))
	tt.checkState()
}

func (tt *treeTest) checkState() {
	tt.Helper()
	fresh := New([]string{"d"}, time.Second, Options{})
	fresh.looker = tt.looker
	mustStart(tt.T, fresh)
	if got, want := tt.targets[0].tag, fresh.targets[0].tag; got != want {
		tt.Errorf("state %s, a newcomer is told %s", state(got), state(want))
	}
}

func TestTree(t *testing.T) {
	tt := newTreeTest(t, Options{}, func() {
		check.Must(t, os.MkdirAll("d/sub/deep", 0o777))
		check.Write(t, "d/a", "1", check.Day1)
		check.Write(t, "d/sub/b", "1", check.Day1)
	})
	tt.expect()
	check.Write(t, "d/a", "22", check.Day1)
	check.Write(t, "d/sub/deep/c", "1", check.Day1)
	check.Write(t, "d/sub.txt", "1", check.Day1)
	tt.expect("modified d/a, 2 bytes", "created d/sub.txt, 1 bytes", "created d/sub/deep/c, 1 bytes")
	// A new folder is the folder and each file.
	check.Must(t, os.MkdirAll("d/new/er", 0o777))
	check.Write(t, "d/new/x", "1", check.Day1)
	check.Write(t, "d/new/er/y", "1", check.Day1)
	tt.expect("created d/new/", "created d/new/er/", "created d/new/er/y, 1 bytes", "created d/new/x, 1 bytes")
	check.Must(t, os.Rename("d/new", "d/moved"))
	tt.expect(
		"removed d/new/x", "removed d/new/er/y", "removed d/new/er/", "removed d/new/",
		"created d/moved/", "created d/moved/er/", "created d/moved/er/y, 1 bytes", "created d/moved/x, 1 bytes")
	check.Must(t, os.RemoveAll("d/moved"))
	check.Write(t, "d/moved", "a file", check.Day1)
	tt.expect("removed d/moved/x", "removed d/moved/er/y", "removed d/moved/er/", "removed d/moved/", "created d/moved, 6 bytes")
	check.Must(t, os.Remove("d/moved"))
	check.Must(t, os.Mkdir("d/moved", 0o777))
	tt.expect("removed d/moved", "created d/moved/")
	check.Must(t, os.RemoveAll("d"))
	tt.expect("removed d/sub/deep/c", "removed d/sub/deep/", "removed d/sub/b", "removed d/sub/",
		"removed d/sub.txt", "removed d/moved/", "removed d/a", "removed d")
	tt.expect()
	check.Write(t, "d", "a file", check.Day1)
	tt.expect("created d, 6 bytes")
	check.Must(t, os.Remove("d"))
	check.Must(t, os.Mkdir("d", 0o777))
	check.Write(t, "d/f", "1", check.Day1)
	tt.expect("removed d", "created d", "created d/f, 1 bytes")
	check.Must(t, os.RemoveAll("d"))
	check.Write(t, "d", "a file", check.Day1)
	tt.expect("removed d/f", "removed d", "created d, 6 bytes")
}

func TestTreeSymlinks(t *testing.T) {
	tt := newTreeTest(t, Options{}, func() {
		check.Must(t, os.Mkdir("elsewhere", 0o777))
		check.Write(t, "elsewhere/f", "1", check.Day1)
		check.Symlink(t, filepath.Join("..", "elsewhere"), "d/folder")
		check.Symlink(t, filepath.Join("..", "elsewhere", "f"), "d/file")
		check.Symlink(t, "nothing", "d/dangling")
		check.Symlink(t, "loop", "d/loop")
		check.Symlink(t, ".", "d/round")
	})
	tt.expect()
	check.Write(t, "elsewhere/f", "22", check.Day1)
	check.Write(t, "elsewhere/g", "1", check.Day1)
	tt.expect("modified d/file, 2 bytes")
	check.Write(t, "d/nothing", "1", check.Day1)
	tt.expect("created d/dangling, 1 bytes", "created d/nothing, 1 bytes")
	check.Must(t, os.Remove("elsewhere/f"))
	tt.expect("removed d/file")
	// A link to a folder is a file of its own.
	check.Must(t, os.Remove("d/folder"))
	check.Symlink(t, "..", "d/folder")
	if got := tt.look(); len(got) != 1 || got[0].Change != wire.Modified || got[0].File != "d/folder" || got[0].Size == nil {
		t.Errorf("told %v", brief(got))
	}
}

func TestTreeIgnore(t *testing.T) {
	tt := newTreeTest(t, Options{Ignore: []string{"*.tmp", ".git/", "sub/*.log", "build/"}}, func() {
		check.Must(t, os.MkdirAll("d/sub/.git", 0o777))
		check.Must(t, os.MkdirAll("d/.git", 0o777))
	})
	for _, name := range []string{"a.tmp", "a", "sub/a.tmp", "sub/x.log", "x.log", ".git/f", "sub/.git/f", "build"} {
		check.Write(t, "d/"+name, "1", check.Day1)
	}
	tt.expect("created d/a, 1 bytes", "created d/build, 1 bytes", "created d/x.log, 1 bytes")
	opened := []string{}
	tt.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		opened = append(opened, name)
		return os.OpenFile(name, flag, mode)
	}
	check.Must(t, os.Mkdir("d/a.tmp.d", 0o777))
	tt.look()
	check.Equal(t, "opened", []string{"d", "d/a.tmp.d", "d/sub"}, opened)
}

// An unreadable folder is one event; what is below it is kept.
func TestTreeUnreadable(t *testing.T) {
	denied := check.PathError(errors.New("permission denied"))
	failing := map[string]error{}
	prepare := func() {
		check.Must(t, os.MkdirAll("d/sub/deep", 0o777))
		check.Write(t, "d/sub/a", "1", check.Day1)
		check.Write(t, "d/sub/deep/b", "1", check.Day1)
		check.Write(t, "d/z", "1", check.Day1)
	}
	tt := newTreeTest(t, Options{}, prepare)
	tt.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		if err := failing[name]; err != nil {
			return nil, err
		}
		return os.OpenFile(name, flag, mode)
	}
	failing["d/sub"] = denied
	tt.expect("unreadable d/sub/: permission denied")
	check.Write(t, "d/sub/a", "22", check.Day1)
	check.Write(t, "d/z", "22", check.Day1)
	tt.expect("modified d/z, 2 bytes")
	check.Must(t, os.RemoveAll("d/sub/deep"))
	check.Write(t, "d/sub/c", "1", check.Day1)
	delete(failing, "d/sub")
	tt.expect("readable d/sub/", "removed d/sub/deep/b", "removed d/sub/deep/", "modified d/sub/a, 2 bytes", "created d/sub/c, 1 bytes")
	// The whole target, and nothing changed meanwhile.
	failing["d"] = denied
	tt.expect("unreadable d: permission denied")
	tt.expect()
	delete(failing, "d")
	tt.expect("readable d")
	// It goes while it cannot be looked at.
	failing["d/sub"] = denied
	tt.expect("unreadable d/sub/: permission denied")
	check.Must(t, os.RemoveAll("d/sub"))
	tt.expect("removed d/sub/c", "removed d/sub/a", "removed d/sub/")
	// A folder that is new and cannot be looked at.
	check.Must(t, os.Mkdir("d/sub", 0o777))
	check.Write(t, "d/sub/a", "1", check.Day1)
	tt.expect("unreadable d/sub/: permission denied")
	delete(failing, "d/sub")
	tt.expect("created d/sub/", "created d/sub/a, 1 bytes")
	// Out of descriptors is no news.
	failing["d/sub"] = check.Errno(syscall.EMFILE, 4)
	check.Write(t, "d/sub/a", "22", check.Day1)
	if events := tt.look(); len(events) > 0 {
		t.Errorf("out of descriptors: %v", brief(events))
	}
	delete(failing, "d/sub")
	tt.expect("modified d/sub/a, 2 bytes")
}

// What could never be looked at becomes readable, not created; but below a
// folder all is new.
func TestTreeUnreadableStart(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	check.Write(t, "d/f", "1", check.Day1)
	check.Write(t, "d/sub/a", "1", check.Day1)
	p := New([]string{"d"}, time.Second, Options{Content: true})
	p.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		if name == "d/f" || name == "d/sub" {
			return nil, check.PathError(errors.New("permission denied"))
		}
		return os.OpenFile(name, flag, mode)
	}
	mustStart(t, p)
	p.looker.open = os.OpenFile
	check.Equal(t, "events", []string{"readable d/sub/", "readable d/f, 1 bytes", "created d/sub/a, 1 bytes"}, brief(looked(p)))
}

// Folders that are readable again come first, then what is gone, the last name
// first, and then the rest.
func TestSteps(t *testing.T) {
	steps := func(names ...string) (steps []step) {
		for _, name := range names {
			steps = append(steps, step{name: name})
		}
		return steps
	}
	w := walk{again: steps("b/", "c/", "a/"), gone: steps("e", "f", "d"), rest: steps("h", "i", "g")}
	check.Equal(t, "events", steps("a/", "b/", "c/", "f", "e", "d", "g", "h", "i"), w.steps(), cmp.AllowUnexported(step{}, look{}))
	for _, w := range []walk{{again: steps("a/")}, {gone: steps("a")}, {rest: steps("a")}} {
		if !w.changed() {
			t.Errorf("%+v has found no change", w)
		}
	}
}

// With -content, a change is a change of content.
func TestTreeContent(t *testing.T) {
	tt := newTreeTest(t, Options{Content: true}, func() {
		check.Write(t, "d/a", "1", check.Day1)
		check.Write(t, "d/b", "1", check.Day1)
	})
	check.Must(t, os.Chtimes("d/a", check.Day2, check.Day2))
	tt.expect()
	check.Write(t, "d/a", "2", check.Day2)
	tt.expect("modified d/a, 1 bytes")
	check.Write(t, "d/a", "1", check.Day1)
	check.Write(t, "d/b", "22", check.Day1)
	tt.expect("modified d/a, 1 bytes", "modified d/b, 2 bytes")
	check.Write(t, "d/a", "", check.Day1)
	check.Must(t, os.Remove("d/b"))
	tt.expect("removed d/b", "modified d/a, 0 bytes")
}

// With -fresh, folders and regular files are opened before they are looked at,
// and what cannot be opened is looked at all the same.
func TestFresh(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	check.Write(t, "d/sub/a", "1", check.Day1)
	check.Write(t, "f", "1", check.Day1)
	p := New([]string{"f", "d", "none/x"}, time.Second, Options{Fresh: true})
	mustStart(t, p)
	var opened []string
	p.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		opened = append(opened, name)
		if name == "d/sub/a" || name == "f" {
			return nil, check.PathError(errors.New("permission denied"))
		}
		return os.OpenFile(name, flag, mode)
	}
	check.Write(t, "f", "22", check.Day1)
	check.Write(t, "d/sub/a", "22", check.Day1)
	check.Equal(t, "events", []string{"modified f, 2 bytes", "modified d/sub/a, 2 bytes"}, brief(looked(p)))
	want := []string{".", "f", "none/", ".", "d", "d/sub", "d/sub/a"} // folders of targets in turn
	check.Equal(t, "opened", want, opened)
}

// A listing that leaves a file out or has it twice, as that of tmpfs may while
// files are replaced, is not believed.
func TestTreeListing(t *testing.T) {
	tt := newTreeTest(t, Options{}, func() {
		check.Write(t, "d/a", "1", check.Day1)
		check.Must(t, os.Mkdir("d/b", 0o777))
		check.Write(t, "d/b/c", "1", check.Day1)
	})
	w := walk{caller: &tt.pool.callers[0]}
	folder := tt.targets[0].root.folder
	merge := func(listing ...entry) []string {
		delta := w.merge(folder, listing, "", "d")
		folder.tag += delta
		tt.targets[0].tag += delta
		var names []string
		for _, e := range folder.entries {
			names = append(names, e.name)
		}
		slices.Sort(names)
		for _, s := range w.steps() {
			names = append(names, fmt.Sprint(s.change, " ", s.name))
		}
		if (delta != 0) != (len(w.steps()) > 0) {
			t.Errorf("%q makes the tag differ by %d", names, delta)
		}
		return names
	}
	listed, _, _ := w.list("d", "")
	all := slices.Clone(listed)
	folders := slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return e.name != "b/" })
	for _, listing := range [][]entry{nil, all[:1], all[1:], slices.Concat(all, all), slices.Concat(folders, folders, all)} {
		check.Equal(t, fmt.Sprintf("from %+v", listing), []string{"a", "b/"}, merge(slices.Clone(listing)...))
	}
	check.Must(t, os.Remove("d/a"))
	check.Must(t, os.Mkdir("d/a", 0o777))
	check.Equal(t, "events", []string{"b/", "removed a"}, merge())
	tt.follower["a"] = 0
	tt.expect("created d/a/")
}

// What is missing from a listing is gone only if it is said to be.
func TestRecall(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "f", "22", check.Day1)
	check.Must(t, os.Mkdir("folder", 0o777))
	info := func(name string) fakeFile {
		info, err := os.Lstat(name)
		check.Must(t, err)
		return fakeFile{info: info}
	}
	was, absent := fileLook(1, check.Day1), look{kind: absent}
	for name, test := range map[string]struct {
		found  fakeFile
		opened error
		want   look
	}{
		"there, but not for long":   {info("f"), check.Errno(syscall.ENOENT, 2), absent},
		"there, and no descriptors": {info("f"), check.Errno(syscall.EMFILE, 4), was},
		"there, and denied":         {info("f"), check.PathError(errors.New("denied")), look{why: "denied"}},
		"a folder":                  {info("folder"), nil, absent},
		"gone":                      {fakeFile{err: check.Errno(syscall.ENOENT, 2)}, nil, absent},
		"listed no more, and too long to ask for": {fakeFile{err: check.Errno(syscall.ENAMETOOLONG, 206)}, nil, absent},
		"an error is not a deletion":              {fakeFile{err: check.PathError(errors.New("denied"))}, nil, look{why: "denied"}},
		"nor is want of descriptors":              {fakeFile{err: check.Errno(syscall.EMFILE, 4)}, nil, was},
	} {
		p := New(nil, time.Second, Options{Content: true})
		p.looker.lstat = func(string) (fs.FileInfo, error) { return test.found.info, test.found.err }
		p.looker.open = func(string, int, fs.FileMode) (*os.File, error) { return nil, test.opened }
		w := walk{caller: &p.pool.callers[0]}
		if got := w.recall(&entry{name: "f", look: was}, "."); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// Out of descriptors at the start is an error, not a wrong beginning.
func TestTreeBlindStart(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	p := New([]string{"d"}, time.Second, Options{})
	p.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		if name == "d/sub" {
			return nil, check.Errno(syscall.EMFILE, 4)
		}
		return os.OpenFile(name, flag, mode)
	}
	if _, err := p.Start(t.Context()); check.Message(err) != `scan "d": too many open files` {
		t.Errorf("%v", err)
	}
}

// While several writers create, rename and remove at random, every look tells
// only what fits what was told before; and at the end all events together make
// exactly what is on the disk.
func TestTreeStress(t *testing.T) {
	tt := newTreeTest(t, Options{}, nil)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			name := func() string {
				parts := []string{"d"}
				for range 1 + r.IntN(3) {
					parts = append(parts, fmt.Sprintf("n%d", r.IntN(6)))
				}
				return filepath.Join(parts...)
			}
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch r.IntN(5) { // most of these fail, as they may
				case 0:
					os.MkdirAll(name(), 0o777)
				case 1, 2:
					os.WriteFile(name(), make([]byte, r.IntN(100)), 0o666)
				case 3:
					os.Rename(name(), name())
				case 4:
					os.RemoveAll(name())
				}
			}
		})
	}
	events := 0
	for range 300 {
		events += len(tt.look())
	}
	for events < 2000 { // writers may be late
		events += len(tt.look())
	}
	close(stop)
	wg.Wait()
	events += len(tt.look())
	tt.checkState()
	fresh := New([]string{"d"}, time.Second, Options{})
	mustStart(t, fresh)
	want := make(map[string]uint64)
	below(&fresh.targets[0].root, "", want)
	maps.DeleteFunc(tt.follower, func(_ string, tag uint64) bool { return tag == 0 })
	if diff := cmp.Diff(want, tt.follower); diff != "" {
		t.Errorf("what the events add up to (-disk +events):\n%s", diff)
	}
	t.Logf("%d events, %d things at the end", events, len(want))
}

// The end comes in the middle of a look, and what that saw is not told.
func TestTreeStopped(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	ctx, cancel := context.WithCancel(t.Context())
	p := New([]string{"d"}, time.Millisecond, Options{})
	_, err := p.Start(ctx)
	check.Must(t, err)
	check.Write(t, "d/a", "1", check.Day1)
	check.Write(t, "d/sub/b", "1", check.Day1)
	var opened []string
	p.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		if opened = append(opened, name); name == "d/sub" {
			cancel()
		}
		return os.OpenFile(name, flag, mode)
	}
	for events := range p.Changes(ctx) {
		t.Errorf("told %v", brief(events))
	}
	check.Equal(t, "opened", []string{"d", "d/sub"}, opened)
	if _, err := p.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("starting at the end: %v", err)
	}
}

// Where calls are slow, helpers do what is left; what they find is found by the
// walk, and in the end they are at rest.
func TestEach(t *testing.T) {
	for _, test := range []struct {
		n, helpers int
		first      bool
	}{
		{1, 0, true},
		{3, 2, false},
		{100, maxHelpers - 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newFakePoll(newFakeFiles(), "f")
			p.looker.stopped = func() bool { return false }
			w := &walk{caller: p.pool.callerLocked(p.targets[0]), first: test.first}
			take := func(w *walk, d time.Duration) {
				w.begin()
				time.Sleep(d)
				w.end(1)
			}
			for range 3 {
				take(w, time.Millisecond)
			}
			const unused = -1
			for i := range p.pool.callers[1:] {
				p.pool.callers[1+i].calls = unused
			}
			w.each(test.n, func(h *walk, i int) {
				s := step{name: fmt.Sprint(i)}
				h.count++
				h.again, h.gone, h.rest = append(h.again, s), append(h.gone, s), append(h.rest, s)
				if h.first != test.first {
					t.Errorf("first is %v in a part of a walk whose is %v", h.first, test.first)
				}
				if h == w {
					take(h, time.Hour) // the helpers are at rest before, so that a lock left out is a race
				} else {
					take(h, time.Millisecond)
					h.blind, h.entries = true, make([]entry, 1)
				}
			})
			if w.count != test.n || len(w.again) != test.n || len(w.gone) != test.n || len(w.rest) != test.n || w.blind != (test.helpers > 0) {
				t.Errorf("of %d, it has %d, %d, %d, %d; blind: %v", test.n, w.count, len(w.again), len(w.gone), len(w.rest), w.blind)
			}
			helpers := 0
			for i := range p.pool.callers[1:] {
				c := &p.pool.callers[1+i]
				if c.calls != unused {
					helpers++
				}
				if c.target != nil || c.entries != nil {
					t.Errorf("helper %d is not at rest", i)
				}
			}
			if helpers != test.helpers || p.pool.busy != 1 {
				t.Errorf("%d helpers for %d, want %d; %d callers are busy, want 1", helpers, test.n, test.helpers, p.pool.busy)
			}
		})
	}
}

// A look that takes longer than the interval is told once, also where quick ones
// end before that is noticed.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		p := New([]string{"f", "g"}, time.Second, Options{})
		var told []string
		p.Late = func(things int, took time.Duration) { told = append(told, fmt.Sprint(things, " ", took)) }
		p.looker.stat = func(string) (fs.FileInfo, error) {
			n := looks.Add(1)
			switch {
			case n <= 2: // the first may be
				time.Sleep(2 * p.interval)
			case n > 10:
				time.Sleep(p.interval)
			}
			return fakeInfo{size: n}, nil
		}
		mustStart(t, p)
		for range p.Changes(t.Context()) {
			if looks.Load() > 20 {
				break
			}
		}
		time.Sleep(time.Minute) // the last call is left to itself
		check.Equal(t, "events", []string{"2 2s"}, told)
	})
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		p := newFakePoll(ff, "f", "g")
		var told []string
		p.Late = func(things int, took time.Duration) { told = append(told, fmt.Sprint(things, " ", took)) }
		mustStart(t, p)
		p.interval = doubt / 2
		ff.hang("f")
		p.pool.add(p.parents)
		time.Sleep(doubt)
		ff.release("f")
		synctest.Wait()
		p.pool.add(p.parents) // for a look that is quick
		synctest.Wait()
		p.news()
		check.Equal(t, "after a quick look", []string{"2 1s"}, told)
	})
}
