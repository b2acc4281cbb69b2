package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fakeFiles is a file system that can hang or be slow, for use in a bubble.
type fakeFiles struct {
	mu    sync.Mutex // guards what follows
	files map[string]fakeFile
	hung  map[string]chan struct{} // by name or by what it begins with, if that ends in "/"
	calls int                      // under way
	most  int                      // that were under way at the same time
	asked map[string]int           // how often a file was looked at
}

type fakeFile struct {
	info fs.FileInfo
	err  error
}

func newFakeFiles() *fakeFiles {
	return &fakeFiles{files: make(map[string]fakeFile), hung: make(map[string]chan struct{}), asked: make(map[string]int)}
}

func (ff *fakeFiles) put(name string, size int64) {
	ff.set(name, fakeFile{info: fakeInfo{size: size, mtime: day1}})
}

func (ff *fakeFiles) set(name string, f fakeFile) {
	ff.mu.Lock()
	defer ff.mu.Unlock()
	ff.files[name] = f
}

// hang makes calls for the name hang, and release lets them go.
func (ff *fakeFiles) hang(name string) {
	ff.mu.Lock()
	defer ff.mu.Unlock()
	ff.hung[name] = make(chan struct{})
}

func (ff *fakeFiles) release(name string) {
	ff.mu.Lock()
	defer ff.mu.Unlock()
	close(ff.hung[name])
	delete(ff.hung, name)
}

func (ff *fakeFiles) stat(name string) (fs.FileInfo, error) {
	ff.mu.Lock()
	defer ff.mu.Unlock()
	ff.asked[name]++
	for prefix, released := range ff.hung {
		if name == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(name, prefix) {
			ff.calls++
			ff.most = max(ff.most, ff.calls)
			ff.mu.Unlock()
			<-released
			ff.mu.Lock()
			ff.calls--
		}
	}
	f, ok := ff.files[name]
	if !ok {
		return nil, errNumber(syscall.ENOENT, 2)
	}
	return f.info, f.err
}

// looks returns how often the named files were looked at since it was last
// called for any.
func (ff *fakeFiles) looks(names ...string) (n int) {
	ff.mu.Lock()
	defer ff.mu.Unlock()
	for _, name := range names {
		n += ff.asked[name]
	}
	clear(ff.asked)
	return n
}

// told is an event, and when it was told.
type told struct {
	After time.Duration
	Event string
}

// tellings collects what a poll tells from now on, until the context of the
// test ends.
type tellings struct {
	end func() // stops the poll and waits for it

	mu    sync.Mutex // guards what follows
	begin time.Time
	told  []told
}

func tellingsOf(t *testing.T, p *poll) *tellings {
	ctx, cancel := context.WithCancel(t.Context())
	tl := &tellings{begin: time.Now()}
	var wg sync.WaitGroup
	tl.end = func() { cancel(); wg.Wait() }
	p.looker.stopped = func() bool { return ctx.Err() != nil }
	wg.Go(func() {
		for events := range p.changes(ctx) {
			tl.mu.Lock()
			for _, e := range events {
				tl.told = append(tl.told, told{time.Since(tl.begin), e.String()})
			}
			tl.mu.Unlock()
		}
	})
	return tl
}

// restart makes the time that take tells begin now.
func (tl *tellings) restart() {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.begin = time.Now()
}

// take returns what was told since it was last called.
func (tl *tellings) take() []told {
	synctest.Wait()
	tl.mu.Lock()
	defer tl.mu.Unlock()
	got := tl.told
	tl.told = nil
	return got
}

// newFakePoll returns a poll of a fake file system that looks every second.
func newFakePoll(ff *fakeFiles, names ...string) *poll {
	p := newPoll(names, time.Second, looker{})
	p.looker.stat = ff.stat
	return p
}

// What hangs is unreadable after 5 s and takes one call, however long it lasts;
// what is elsewhere keeps its rhythm, and so does the end.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		ff.put("nfs/f", 1)
		ff.put("nfs/g", 1)
		ff.put("disk/f", 1)
		p := newFakePoll(ff, "nfs/f", "nfs/g", "disk/f")
		mustStart(t, p)
		tl := tellingsOf(t, p)

		time.Sleep(1500 * time.Millisecond)
		ff.hang("nfs/f")
		ff.hang("nfs/g")
		time.Sleep(5 * time.Second)
		ff.put("disk/f", 2)
		time.Sleep(time.Second)
		want := []told{
			{7 * time.Second, "unreadable nfs/f: no answer in 5s"},
			{7 * time.Second, "unreadable nfs/g: no answer in 5s"},
			{7 * time.Second, "modified disk/f"},
		}
		if diff := cmp.Diff(want, tl.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		ff.looks()
		time.Sleep(3 * time.Hour)
		if got := tl.take(); len(got) > 0 {
			t.Errorf("told %v", got)
		}
		elsewhere, hung := ff.looks("disk/f"), ff.looks("nfs/f", "nfs/g")
		if elsewhere != 3*3600 || hung > 0 || ff.most > 2 {
			t.Errorf("%d looks at what is elsewhere, want %d; %d at what hangs, %d at a time", elsewhere, 3*3600, hung, ff.most)
		}

		tl.restart()
		ff.put("nfs/g", 2)
		ff.release("nfs/f")
		ff.release("nfs/g")
		want = []told{{0, "modified nfs/g"}, {0, "readable nfs/f"}}
		sort := cmpopts.SortSlices(func(a, b told) bool { return a.Event < b.Event })
		if diff := cmp.Diff(want, tl.take(), sort); diff != "" {
			t.Errorf("when it answers (-want +got):\n%s", diff)
		}

		ff.hang("nfs/f")
		time.Sleep(2 * time.Second)
		begin := time.Now()
		if tl.end(); time.Since(begin) > 100*time.Millisecond {
			t.Errorf("the end took %v", time.Since(begin))
		}
		ff.release("nfs/f")
	})
}

// Whatever a target was before it hung and is after, what is told is that of
// the table of transitions, and follows from what was told before.
func TestHungTransitions(t *testing.T) {
	results := map[string]fakeFile{
		"there":      {info: fakeInfo{size: 1, mtime: day1}},
		"other size": {info: fakeInfo{size: 2, mtime: day1}},
		"not there":  {err: errNumber(syscall.ENOENT, 2)},
		"denied":     {err: pathError(errors.New("permission denied"))},
		"blind":      {err: errNumber(syscall.EMFILE, 4)},
	}
	kinds := map[string]look{
		"there":      {kind: file, size: 1, mtime: day1},
		"other size": {kind: file, size: 2, mtime: day1},
		"not there":  {kind: absent},
		"denied":     {why: "permission denied"},
	}
	for before, was := range kinds {
		for after := range results {
			t.Run(before+", "+after, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ff := newFakeFiles()
					ff.set("f", results[before])
					p := newFakePoll(ff, "f")
					follower := newFeed(mustStart(t, p))
					ff.hang("f")
					var want, got []string
					if was.why == "" {
						want = append(want, "unreadable f: no answer in 5s")
					}
					now, isKnown := kinds[after]
					if isKnown {
						hung := was
						hung.why = noAnswer
						if change, _ := compare(hung, now); change != "" {
							want = append(want, fmt.Sprintf("%s f", change))
						}
					}
					p.pool.add(p.parents)
					look := func() {
						events := p.wait(t.Context(), nil)
						for _, e := range events {
							got = append(got, e.String())
						}
						if len(events) > 0 {
							follower.publish(events)
						}
					}
					for p.pool.isOpen() {
						look()
					}
					ff.set("f", results[after])
					ff.release("f")
					look()
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
					if isKnown {
						fresh := newFakePoll(ff, "f")
						now, state := follower.targets[0].now, mustStart(t, fresh)[0].State
						if now.State != state {
							t.Errorf("state %s, a newcomer is told %s", now.State, state)
						}
					}
					// The next look tells nothing more, unless there was no last.
					got = nil
					p.pool.add(p.parents)
					for p.pool.isOpen() {
						look()
					}
					if len(got) > 0 {
						t.Errorf("and then %q", got)
					}
				})
			})
		}
	}
}

// What hangs at the start is greeted as unreadable after 5 s.
func TestHungStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		for _, name := range []string{"nfs/f", "nfs/gone", "disk/f"} {
			ff.put(name, 1)
		}
		ff.hang("nfs/")
		p := newFakePoll(ff, "nfs/f", "nfs/gone", "disk/f")
		begin := time.Now()
		got := mustStart(t, p)
		if took := time.Since(begin); took != patience {
			t.Errorf("the start took %v", took)
		}
		want := []string{"watching nfs/f (unreadable: no answer in 5s)", "watching nfs/gone (unreadable: no answer in 5s)", "watching disk/f, 1 bytes"}
		if diff := cmp.Diff(want, brief(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		tl := tellingsOf(t, p)
		time.Sleep(time.Minute)
		ff.set("nfs/gone", fakeFile{err: errNumber(syscall.ENOENT, 2)})
		ff.release("nfs/")
		wantTold := []told{{time.Minute, "readable nfs/f"}, {time.Minute, "removed nfs/gone"}}
		sort := cmpopts.SortSlices(func(a, b told) bool { return a.Event < b.Event })
		if diff := cmp.Diff(wantTold, tl.take(), sort); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		tl.end()
	})
}

// However many targets hang, few calls do; the last of what can be called is
// kept for folders that do not hang, and beyond that the console says so.
func TestHungMany(t *testing.T) {
	for _, test := range []struct {
		folders, files int
		calls          int
		full           int    // times
		elsewhere      string // how the target elsewhere is greeted
	}{
		{1, 2000, maxScouts, 0, "watching disk/f, 1 bytes"},
		{maxCalls - 1, 1, maxCalls - 1, 0, "watching disk/f, 1 bytes"},
		{2000, 1, maxCalls, 1, "watching disk/f (unreadable: 64 calls without an answer)"},
	} {
		t.Run(fmt.Sprint(test.folders, test.files), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := newFakeFiles()
				ff.put("disk/f", 1)
				var names []string
				for i := range test.folders {
					for j := range test.files {
						name := fmt.Sprintf("nfs/%d/%d", i, j)
						names = append(names, name)
						ff.put(name, 1)
					}
				}
				ff.hang("nfs/")
				p := newFakePoll(ff, append(names, "disk/f")...)
				full := 0
				p.full = func() { full++ }
				begin := time.Now()
				watching := mustStart(t, p)
				if took := time.Since(begin).Round(100 * time.Millisecond); took != patience {
					t.Errorf("the start took %v", took)
				}
				unreadable := 0
				for _, e := range watching {
					if e.Error != "" {
						unreadable++
					}
				}
				if got := watching[len(names)]; brief([]Event{got})[0] != test.elsewhere {
					t.Errorf("got %q, want %q", brief([]Event{got}), test.elsewhere)
				}
				if unreadable < len(names) {
					t.Errorf("%d are unreadable, want %d", unreadable, len(names))
				}
				tl := tellingsOf(t, p)
				ff.looks()
				time.Sleep(time.Minute)
				if got := tl.take(); len(got) > 0 {
					t.Errorf("told %v", got)
				}
				if n := ff.looks("disk/f"); test.full == 0 && n != 60 {
					t.Errorf("%d looks elsewhere in a minute", n)
				}
				if ff.most != test.calls || full != test.full {
					t.Errorf("%d calls hang, want %d; told so %d times, want %d", ff.most, test.calls, full, test.full)
				}
				ff.release("nfs/")
				time.Sleep(1900 * time.Millisecond)
				if got := tl.take(); len(got) != unreadable {
					t.Errorf("%d are readable again, want %d", len(got), unreadable)
				}
				tl.end()
			})
		})
	}
}

// Of two mount points in one folder one is dead; the other is looked at.
func TestHungNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		for _, name := range []string{"mnt/a", "mnt/b", "mnt/c", "mnt/d"} {
			ff.put(name, 1)
		}
		ff.hang("mnt/a")
		ff.hang("mnt/b")
		ff.hang("mnt/c")
		p := newFakePoll(ff, "mnt/a", "mnt/b", "mnt/c", "mnt/d")
		if got := brief(mustStart(t, p)); got[3] != "watching mnt/d, 1 bytes" {
			t.Errorf("got %q", got)
		}
		ff.release("mnt/a")
		ff.release("mnt/b")
		ff.release("mnt/c")
		synctest.Wait()
	})
}

// A folder in the middle of a directory hangs: the directory is unreadable, and
// when it answers what changed meanwhile is told, after readable.
func TestHungTree(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, os.MkdirAll("d/b", 0o777))
	write(t, "d/a", "1", day1)
	write(t, "d/b/c", "1", day1)
	synctest.Test(t, func(t *testing.T) {
		tt := &treeTest{T: t, poll: newPoll([]string{"d"}, time.Second, looker{}), follower: make(map[string]uint64), unread: make(map[string]bool)}
		mustStart(t, tt.poll)
		below(&tt.targets[0].root, "", tt.follower)
		released := make(chan struct{})
		tt.poll.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			if name == "d/b" {
				<-released
			}
			return os.OpenFile(name, flag, mode)
		}
		write(t, "d/a", "22", day1)
		write(t, "d/b/d", "1", day1)
		must(t, os.Remove("d/b/c"))
		if diff := cmp.Diff([]string{"unreadable d: no answer in 5s"}, brief(tt.look())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		close(released)
		synctest.Wait()
		want := []string{"readable d", "removed d/b/c", "modified d/a, 2 bytes", "created d/b/d, 1 bytes"}
		if diff := cmp.Diff(want, brief(tt.look())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		tt.checkState()
	})
}

// Where a call takes 1 ms, many are made at a time, without a flag: 10,000 files
// are looked at in less than 0.7 s.
func TestSlow(t *testing.T) {
	const files = 10_000
	test := func(t *testing.T, p *poll) {
		most := slowDown(&p.looker, time.Millisecond)
		begin := time.Now()
		mustStart(t, p)
		first := time.Since(begin)
		begin = time.Now()
		p.look()
		if took := time.Since(begin); took > 700*time.Millisecond || first > 700*time.Millisecond {
			t.Errorf("the first look took %v, the next %v", first, took)
		}
		if p.pool.things < files {
			t.Errorf("%d things were looked at", p.pool.things)
		}
		if n := most(); n > maxHelpers {
			t.Errorf("%d calls at a time", n)
		}
	}
	for _, folders := range []int{1, 1000} {
		t.Run(fmt.Sprintf("directory, folders=%d", folders), func(t *testing.T) {
			t.Chdir(t.TempDir())
			makeTree(t, "d", folders, files/folders)
			synctest.Test(t, func(t *testing.T) { test(t, newPoll([]string{"d"}, time.Second, looker{})) })
		})
		t.Run(fmt.Sprintf("targets, folders=%d", folders), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := newFakeFiles()
				var names []string
				for i := range files {
					names = append(names, fmt.Sprintf("%d/%d", i%folders, i))
					ff.put(names[i], 1)
				}
				test(t, newFakePoll(ff, names...))
			})
		})
	}
}

// makeTree makes folders in a new folder and as many empty files in each.
func makeTree(tb testing.TB, name string, folders, files int) {
	for i := range folders {
		folder := filepath.Join(name, fmt.Sprintf("folder%04d", i))
		if err := os.MkdirAll(folder, 0o777); err != nil {
			tb.Fatal(err)
		}
		for j := range files {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file%06d.txt", j)), nil, 0o666); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// slowDown makes each call of the file system take so long. It returns a
// function that returns how many were made at the same time.
func slowDown(lr *looker, d time.Duration) (most func() int) {
	var mu sync.Mutex
	now, peak := 0, 0
	call := func(n int) {
		mu.Lock()
		now++
		peak = max(peak, now)
		mu.Unlock()
		time.Sleep(time.Duration(n) * d)
		mu.Lock()
		now--
		mu.Unlock()
	}
	stat, lstat, open, readdir := lr.stat, lr.lstat, lr.open, lr.readdir
	lr.stat = func(name string) (fs.FileInfo, error) { call(1); return stat(name) }
	lr.lstat = func(name string) (fs.FileInfo, error) { call(1); return lstat(name) }
	lr.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		call(1)
		return open(name, flag, mode)
	}
	lr.readdir = func(f *os.File, n int) ([]fs.FileInfo, error) {
		infos, err := readdir(f, n)
		call(1 + len(infos))
		return infos, err
	}
	return func() int { return peak }
}

// Where the file system is fast, there is one call at a time.
func TestFast(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t, "d", 100, 1)
	names, err := filepath.Glob("d/*/*")
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		p := newPoll(append(names, "d"), time.Second, looker{})
		most := slowDown(&p.looker, 2*time.Microsecond)
		mustStart(t, p)
		p.look()
		if n := most(); n != 1 {
			t.Errorf("%d calls at a time, want 1", n)
		}
	})
}
