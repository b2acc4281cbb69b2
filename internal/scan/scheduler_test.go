package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

	"github.com/google/go-cmp/cmp/cmpopts"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
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
	ff.set(name, fakeFile{info: fakeInfo{size: size, mtime: check.Day1}})
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
		return nil, check.Errno(syscall.ENOENT, 2)
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

// mostCalls returns how many calls hung at the same time.
func (ff *fakeFiles) mostCalls() int {
	ff.mu.Lock()
	defer ff.mu.Unlock()
	return ff.most
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

func tellingsOf(t *testing.T, p *Poll) *tellings {
	ctx, cancel := context.WithCancel(t.Context())
	tl := &tellings{begin: time.Now()}
	var wg sync.WaitGroup
	tl.end = func() { cancel(); wg.Wait() }
	wg.Go(func() {
		for events := range p.Changes(ctx) {
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
func newFakePoll(ff *fakeFiles, names ...string) *Poll {
	p := New(names, time.Second, Options{})
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
		p.Late = func(things int, took time.Duration) { t.Errorf("a look at %d took %v", things, took) }
		mustStart(t, p)
		tl := tellingsOf(t, p)

		time.Sleep(1500 * time.Millisecond)
		ff.hang("nfs/f")
		ff.hang("nfs/g")
		time.Sleep(5 * time.Second)
		ff.put("disk/f", 2)
		time.Sleep(time.Second)
		want := []told{
			{7 * time.Second, "unreadable nfs/f: file system not responding for 5s"},
			{7 * time.Second, "unreadable nfs/g: file system not responding for 5s"},
			{7 * time.Second, "modified disk/f"},
		}
		check.Equal(t, "events", want, tl.take())

		ff.looks()
		time.Sleep(3 * time.Hour)
		if got := tl.take(); len(got) > 0 {
			t.Errorf("told %v", got)
		}
		elsewhere, hung := ff.looks("disk/f"), ff.looks("nfs/f", "nfs/g")
		if elsewhere != 3*3600 || hung > 0 || ff.mostCalls() > 2 {
			t.Errorf("%d looks at what is elsewhere, want %d; %d at what hangs, %d at a time", elsewhere, 3*3600, hung, ff.mostCalls())
		}

		tl.restart()
		ff.put("nfs/g", 2)
		ff.release("nfs/f")
		ff.release("nfs/g")
		want = []told{{0, "modified nfs/g"}, {0, "readable nfs/f"}}
		sort := cmpopts.SortSlices(func(a, b told) bool { return a.Event < b.Event })
		check.Equal(t, "when it answers", want, tl.take(), sort)

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
		"there":      {info: fakeInfo{size: 1, mtime: check.Day1}},
		"other size": {info: fakeInfo{size: 2, mtime: check.Day1}},
		"not there":  {err: check.Errno(syscall.ENOENT, 2)},
		"denied":     {err: check.PathError(errors.New("permission denied"))},
		"blind":      {err: check.Errno(syscall.EMFILE, 4)},
	}
	kinds := map[string]look{
		"there":      fileLook(1, check.Day1),
		"other size": fileLook(2, check.Day1),
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
					follower := newReplica(mustStart(t, p))
					ff.hang("f")
					var want, got []string
					if was.why == "" {
						want = append(want, "unreadable f: file system not responding for 5s")
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
					synctest.Wait()
					if !p.pool.isOpen() {
						t.Error("it is not open, though there is news")
					}
					look()
					check.Equal(t, "events", want, got)
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
		want := []string{"watching nfs/f (unreadable: file system not responding for 5s)", "watching nfs/gone (unreadable: file system not responding for 5s)", "watching disk/f, 1 bytes"}
		check.Equal(t, "events", want, brief(got))
		if got[0].State != unreadableState {
			t.Errorf("the state is %s, want %s", got[0].State, unreadableState)
		}
		tl := tellingsOf(t, p)
		time.Sleep(time.Minute)
		ff.set("nfs/gone", fakeFile{err: check.Errno(syscall.ENOENT, 2)})
		ff.release("nfs/")
		wantTold := []told{{time.Minute, "readable nfs/f"}, {time.Minute, "removed nfs/gone"}}
		sort := cmpopts.SortSlices(func(a, b told) bool { return a.Event < b.Event })
		check.Equal(t, "events", wantTold, tl.take(), sort)
		tl.end()
	})
}

// However many targets hang, few calls do; the last of what can be called is
// kept for folders that do not hang, and beyond that the console says so.
func TestHungMany(t *testing.T) {
	for _, test := range []struct {
		folders, files int
		calls          int
		full           int64  // times
		elsewhere      string // how the target elsewhere is greeted
	}{
		{1, 2000, maxScouts, 0, "watching disk/f, 1 bytes"},
		{MaxCalls - 1, 1, MaxCalls - 1, 0, "watching disk/f, 1 bytes"},
		{2000, 1, MaxCalls, 1, "watching disk/f (unreadable: too many hung file system calls (64))"},
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
				middle := len(names) / 2
				p := newFakePoll(ff, slices.Insert(slices.Clone(names), middle, "disk/f")...)
				var full atomic.Int64
				p.Full = func() { full.Add(1) }
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
				if got := watching[middle]; brief([]wire.Event{got})[0] != test.elsewhere {
					t.Errorf("got %q, want %q", brief([]wire.Event{got}), test.elsewhere)
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
				if ff.mostCalls() != test.calls || full.Load() != test.full {
					t.Errorf("%d calls hang, want %d; told so %d times, want %d", ff.mostCalls(), test.calls, full.Load(), test.full)
				}
				ff.release("nfs/")
				time.Sleep(1900 * time.Millisecond)
				if got := tl.take(); len(got) != unreadable {
					t.Errorf("%d are readable again, want %d", len(got), unreadable)
				}
				// It is told each time that it comes to that, and not because
				// a few answer meanwhile.
				before := full.Load()
				for i := range test.folders {
					ff.hang(fmt.Sprintf("nfs/%d/", i))
				}
				time.Sleep(20 * time.Second)
				for i := range 3 {
					ff.release(fmt.Sprintf("nfs/%d/", i%test.folders))
					time.Sleep(10 * time.Second)
					ff.hang(fmt.Sprintf("nfs/%d/", i%test.folders))
				}
				time.Sleep(20 * time.Second)
				tl.take()
				if again := full.Load() - before; again != test.full {
					t.Errorf("told %d times that all calls hang again, want %d", again, test.full)
				}
				for i := range test.folders {
					ff.release(fmt.Sprintf("nfs/%d/", i))
				}
				tl.end()
			})
		})
	}
}

// Of two mount points in one folder one is dead; the other is looked at, and
// keeps its rhythm.
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
		p.interval = 100 * time.Millisecond
		tl := tellingsOf(t, p)
		ff.looks()
		time.Sleep(time.Minute)
		if n := ff.looks("mnt/d"); n < 599 {
			t.Errorf("%d looks in a minute", n)
		}

		// It is given 5 s of its own to answer.
		ff.hang("mnt/d")
		time.Sleep(4 * time.Second)
		if got := tl.take(); len(got) > 0 {
			t.Errorf("told %v", got)
		}
		for _, name := range []string{"mnt/a", "mnt/b", "mnt/c", "mnt/d"} {
			ff.release(name)
		}
		tl.end()
	})
}

// What hangs leaves the rest of the calls to folders that are slow.
func TestHungHelpers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		var slow, names []string
		for i := range 1000 {
			slow = append(slow, fmt.Sprint("slow/", i))
		}
		for i := range maxHelpers {
			names = append(names, fmt.Sprintf("nfs/%d/f", i))
		}
		names = append(names, slow...)
		for _, name := range names {
			ff.put(name, 1)
		}
		p := newFakePoll(ff, names...)
		slowDown(&p.looker, 10*time.Millisecond)
		mustStart(t, p)
		tl := tellingsOf(t, p)
		ff.hang("nfs/")
		time.Sleep(10 * time.Second)
		ff.looks()
		time.Sleep(time.Minute)
		if n := ff.looks(slow...); n < 59*len(slow) {
			t.Errorf("%d looks at %d files in a minute", n, len(slow))
		}
		ff.release("nfs/")
		tl.end()
		time.Sleep(time.Minute)
	})
}

// Files that were there, more in a folder than are tried where one hangs, are
// all unreadable at the same time, however far apart the looks are.
func TestHungFolder(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ff := newFakeFiles()
			var names []string
			var want []told
			for i := range 2 * maxScouts {
				name := fmt.Sprint("nfs/", i)
				names = append(names, name)
				ff.put(name, 1)
				want = append(want, told{interval + patience, "unreadable " + name + ": file system not responding for 5s"})
			}
			p := newFakePoll(ff, names...)
			p.interval = interval
			mustStart(t, p)
			tl := tellingsOf(t, p)
			ff.hang("nfs/")
			time.Sleep(interval + time.Minute)
			check.Equal(t, fmt.Sprintf("looks %v apart", interval), want, tl.take())
			ff.release("nfs/")
			tl.end()
		})
	}
}

// One that hangs in a folder does not make the others there, which are slow,
// unreadable.
func TestHungSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		var names []string
		for i := range 500 {
			names = append(names, fmt.Sprint("nfs/", i))
			ff.put(names[i], 1)
		}
		p := newFakePoll(ff, names...)
		mustStart(t, p)
		slowDown(&p.looker, 900*time.Millisecond) // some 15 s for all
		ff.hang("nfs/0")
		tl := tellingsOf(t, p)
		time.Sleep(time.Minute)
		if got := tl.take(); len(got) != 1 || got[0].Event != "unreadable nfs/0: file system not responding for 5s" {
			t.Errorf("told %v", got)
		}
		ff.release("nfs/0")
		tl.end()
		time.Sleep(time.Minute)
	})
}

// Where one of those that hang answers and its caller hangs with the next, what
// it said is told soon, however long the interval is.
func TestHungNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		var names []string
		for i := range maxScouts + 1 {
			names = append(names, fmt.Sprint("nfs/", i))
			ff.put(names[i], 1)
			ff.hang(names[i])
		}
		p := newFakePoll(ff, names...)
		p.interval = time.Hour
		mustStart(t, p)
		tl := tellingsOf(t, p)
		time.Sleep(time.Minute)
		ff.release(names[0])
		time.Sleep(time.Second)
		if got := tl.take(); len(got) != 1 || got[0].Event != "readable nfs/0" {
			t.Errorf("told %v", got)
		}
		for _, name := range names[1:] {
			ff.release(name)
		}
		tl.end()
	})
}

// The end waits for calls that are answered soon, and for no longer.
func TestHungEnd(t *testing.T) {
	for call, want := range map[time.Duration]time.Duration{
		50 * time.Millisecond: 40 * time.Millisecond,
		time.Minute:           100 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			ff := newFakeFiles()
			ff.put("f", 1)
			p := newFakePoll(ff, "f")
			ctx, cancel := context.WithCancel(t.Context())
			_, err := p.Start(ctx)
			check.Must(t, err)
			slowDown(&p.looker, call)
			const after = 10 * time.Millisecond // of the call
			time.AfterFunc(p.interval+after, cancel)
			begin := time.Now()
			for range p.Changes(ctx) {
			}
			if took := time.Since(begin) - p.interval - after; took != want {
				t.Errorf("a call takes %v, and the end took %v", call, took)
			}
			time.Sleep(time.Minute)

			p = newFakePoll(ff, "f")
			slowDown(&p.looker, call)
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(after, cancel)
			begin = time.Now()
			p.Start(ctx)
			if took := time.Since(begin) - after; took != want {
				t.Errorf("a call takes %v, and the end of the start took %v", call, took)
			}
			time.Sleep(time.Minute)
		})
	}
}

// Where one of those that hang answers, the others in its folder are looked at
// soon, however long the interval is.
func TestHungAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprint("nfs/", i))
			ff.put(names[i], 1)
			ff.hang(names[i])
		}
		p := newFakePoll(ff, names...)
		p.interval = time.Hour
		mustStart(t, p)
		tl := tellingsOf(t, p)
		time.Sleep(time.Minute)
		if got := tl.take(); len(got) > 0 {
			t.Errorf("told %v", got)
		}
		if ff.mostCalls() != maxScouts {
			t.Errorf("%d calls hang, want %d", ff.mostCalls(), maxScouts)
		}
		for _, name := range names[maxScouts-1:] {
			ff.release(name)
		}
		time.Sleep(2 * time.Second)
		if got, want := len(tl.take()), len(names)-maxScouts+1; got != want {
			t.Errorf("%d are readable, want %d", got, want)
		}
		for _, name := range names[:maxScouts-1] {
			ff.release(name)
		}
		synctest.Wait()
		tl.end()
	})
}

// What hangs, answers that there are no descriptors, and hangs again is told
// once, and once more when it is back.
func TestHungBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		ff.put("f", 1)
		p := newFakePoll(ff, "f")
		mustStart(t, p)
		tl := tellingsOf(t, p)
		defer tl.end()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			var got []string
			for _, told := range tl.take() {
				got = append(got, told.Event)
			}
			check.Equal(t, "events", want, got)
		}
		for range 2 {
			ff.hang("f")
			expect(10*time.Second, "unreadable f: file system not responding for 5s")
			ff.set("f", fakeFile{err: check.Errno(syscall.EMFILE, 4)})
			ff.release("f")
			expect(3 * time.Second)
			ff.hang("f")
			expect(10 * time.Second)
			ff.release("f")
			expect(3 * time.Second)
			ff.put("f", 1)
			expect(2*time.Second, "readable f")
		}
	})
}

// While the program itself is stopped, nothing else is to blame, whatever comes
// first when it goes on.
func TestStopped(t *testing.T) {
	for _, first := range []string{"the news", "a tick"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := newFakeFiles()
				ff.put("f", 1)
				p := newFakePoll(ff, "f")
				mustStart(t, p)
				ff.hang("f")
				p.pool.add(p.parents)
				time.Sleep(time.Hour)
				begin := time.Now()
				if first == "a tick" {
					p.pool.add(p.parents)
				}
				if events := p.news(); len(events) > 0 {
					t.Errorf("told %v", brief(events))
				}
				var got []string
				for p.pool.isOpen() {
					got = append(got, brief(p.wait(t.Context(), nil))...)
				}
				check.Equal(t, "events", []string{"unreadable f: file system not responding for 5s"}, got)
				if took := time.Since(begin); took < patience-2*doubt {
					t.Errorf("it was given %v", took)
				}
				ff.release("f")
				synctest.Wait()
			})
		})
	}
}

// Folders whose looks take longer than the interval, and folders that hang in
// the middle of a look, leave what is elsewhere its rhythm.
func TestElsewhere(t *testing.T) {
	for _, test := range []struct {
		folders int
		latency time.Duration
		hang    bool
	}{
		{1, 4 * time.Millisecond, false},
		{1, 30 * time.Millisecond, false},
		{4, 30 * time.Millisecond, false},
		{4, 500 * time.Millisecond, false},
		{2, 0, true},
		{2, time.Millisecond, true},
		{2, 30 * time.Millisecond, true},
		{4, 300 * time.Millisecond, true},
	} {
		t.Run(fmt.Sprintf("folders=%d,latency=%v,hang=%v", test.folders, test.latency, test.hang), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ff := newFakeFiles()
				var names []string
				for i := range 2000 {
					names = append(names, fmt.Sprintf("nfs/%d/%d", i%test.folders, i))
					ff.put(names[i], 1)
				}
				ff.put("disk/f", 1)
				p := newFakePoll(ff, append(names, "disk/f")...)
				p.looker.stat = func(name string) (fs.FileInfo, error) {
					if name != "disk/f" {
						time.Sleep(test.latency)
					}
					return ff.stat(name)
				}
				most := slowDown(&p.looker, 0)
				mustStart(t, p)
				tl := tellingsOf(t, p)
				time.Sleep(10*time.Second + test.latency*10)
				if n := most(); n > maxHelpers {
					t.Errorf("%d calls at a time, though nothing hangs", n)
				}
				if test.hang {
					ff.hang("nfs/")
					time.Sleep(20 * time.Second)
				}
				tl.take()
				ff.looks()
				time.Sleep(time.Minute)
				tl.take()
				if n := ff.looks("disk/f"); n < 58 {
					t.Errorf("%d looks elsewhere in a minute", n)
				}
				if ff.mostCalls() > maxShared+test.folders {
					t.Errorf("%d calls hang", ff.mostCalls())
				}
				if test.hang {
					ff.release("nfs/")
				}
				tl.end()
				time.Sleep(time.Minute)
			})
		})
	}
}

// A first look that takes too long, though all is answered, is greeted as such.
func TestNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		var names []string
		for i := range 1000 {
			names = append(names, fmt.Sprint("slow/", i))
			ff.put(names[i], 1)
		}
		p := newFakePoll(ff, names...)
		slowDown(&p.looker, 300*time.Millisecond)
		done, notDone := 0, 0
		begin := time.Now()
		watching := mustStart(t, p)
		// What ends meanwhile is collected before the start ends.
		if took := time.Since(begin); took < patience || took > patience+doubt {
			t.Errorf("the start took %v", took)
		}
		for _, line := range brief(watching) {
			switch {
			case strings.HasSuffix(line, " (unreadable: initial scan not finished after 5s)"):
				notDone++
			case strings.HasSuffix(line, ", 1 bytes"):
				done++
			default:
				t.Fatalf("greeted with %q", line)
			}
		}
		if done == 0 || notDone == 0 {
			t.Errorf("%d done, %d not done", done, notDone)
		}
		tl := tellingsOf(t, p)
		time.Sleep(time.Minute)
		if got := tl.take(); len(got) != notDone || !strings.HasPrefix(got[0].Event, "readable slow/") {
			t.Errorf("told %d, want %d", len(got), notDone)
		}
		tl.end()
		time.Sleep(time.Minute)
	})
}

// At 200 or 500 ms a call a folder is slow, and not hung. In the latter, listing
// the first portion takes 4.5 s.
func TestVerySlow(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t, "d", 1, 200)
	for _, latency := range []time.Duration{200 * time.Millisecond, 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			p := New([]string{"d"}, time.Second, Options{})
			slowDown(&p.looker, latency)
			mustStart(t, p)
			tl := tellingsOf(t, p)
			time.Sleep(time.Minute)
			for _, told := range tl.take() {
				if told.Event != "readable d" {
					t.Errorf("at %v, told %v", latency, told)
				}
			}
			tl.end()
			time.Sleep(time.Minute)
		})
	}
}

// A file that vanishes while its folder is listed does not end the listing.
func TestVanishing(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t, "d", 1, 500)
	p := New([]string{"d"}, time.Second, Options{})
	p.looker.readdir = func(f *os.File, n int) ([]fs.FileInfo, error) {
		infos, err := f.Readdir(n)
		return infos[:(len(infos)+1)/2], err // as it is when the others vanish
	}
	mustStart(t, p)
	if n := len(p.targets[0].root.folder.entries[0].folder.entries); n < 200 {
		t.Errorf("%d of 500 are listed", n)
	}
}

// A folder in the middle of a directory hangs: the directory is unreadable, and
// when it answers what changed meanwhile is told, after readable.
func TestHungTree(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/b", 0o777))
	check.Write(t, "d/a", "1", check.Day1)
	check.Write(t, "d/b/c", "1", check.Day1)
	synctest.Test(t, func(t *testing.T) {
		tt := &treeTest{T: t, Poll: New([]string{"d"}, time.Second, Options{}), follower: make(map[string]uint64), unread: make(map[string]bool)}
		mustStart(t, tt.Poll)
		below(&tt.targets[0].root, "", tt.follower)
		released := make(chan struct{})
		tt.Poll.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			if name == "d/b" {
				<-released
			}
			return os.OpenFile(name, flag, mode)
		}
		check.Write(t, "d/a", "22", check.Day1)
		check.Write(t, "d/b/d", "1", check.Day1)
		check.Must(t, os.Remove("d/b/c"))
		check.Equal(t, "events", []string{"unreadable d: file system not responding for 5s"}, brief(tt.look()))
		close(released)
		synctest.Wait()
		want := []string{"readable d", "removed d/b/c", "modified d/a, 2 bytes", "created d/b/d, 1 bytes"}
		check.Equal(t, "events", want, brief(tt.look()))
		tt.checkState()
	})
}

// A directory hangs, and then something in it is not told for want of
// descriptors. It is readable where a change must be told; but where it was never
// seen there is nothing to tell before all of it was.
func TestHungTreeBlind(t *testing.T) {
	for name, test := range map[string]struct {
		isKnown     bool
		blind, next []string
	}{
		"known": {true, []string{"readable d", "unreadable d/a: permission denied"}, []string{"modified d/b/c, 2 bytes"}},
		"new":   {false, nil, []string{"readable d"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			check.Must(t, os.MkdirAll("d/b", 0o777))
			check.Write(t, "d/a", "1", check.Day1)
			check.Write(t, "d/b/c", "1", check.Day1)
			synctest.Test(t, func(t *testing.T) {
				p := New([]string{"d"}, time.Second, Options{Content: true})
				if test.isKnown {
					mustStart(t, p)
				}
				released := make(chan struct{})
				outOfFiles := check.Errno(syscall.EMFILE, 4)
				open := func(name string, flag int, mode fs.FileMode) (*os.File, error) {
					switch {
					case name == "d/a":
						return nil, check.PathError(fs.ErrPermission)
					case name == "d/b" && outOfFiles != nil:
						<-released
						return nil, outOfFiles
					}
					return os.OpenFile(name, flag, mode)
				}
				p.looker.open = open
				if test.isKnown {
					p.look()
				} else {
					mustStart(t, p)
				}
				close(released)
				synctest.Wait()
				check.Equal(t, "events", test.blind, brief(looked(p)))
				outOfFiles = nil
				check.Write(t, "d/b/c", "22", check.Day1)
				events, _ := p.look()
				check.Equal(t, "and then", test.next, brief(events))
				fresh := New([]string{"d"}, time.Second, Options{Content: true})
				fresh.looker.open = open
				if got, want := events[0].State, mustStart(t, fresh)[0].State; got != want {
					t.Errorf("state %s, a newcomer is told %s", got, want)
				}
			})
		})
	}
}

// Where a call takes 1 ms, many are made at a time, without a flag: 10,000 files
// are looked at in less than 0.7 s.
func TestSlow(t *testing.T) {
	const files = 10_000
	test := func(t *testing.T, p *Poll) {
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
			synctest.Test(t, func(t *testing.T) { test(t, New([]string{"d"}, time.Second, Options{})) })
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
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return peak
	}
}

// Where the file system is fast, there is one call at a time, also where it has
// so many files that looks are late.
func TestFast(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t, "d", 100, 1)
	names, err := filepath.Glob("d/*/*")
	check.Must(t, err)
	synctest.Test(t, func(t *testing.T) {
		p := New(append(names, "d"), time.Second, Options{})
		most := slowDown(&p.looker, 2*time.Microsecond)
		mustStart(t, p)
		p.look()
		if n := most(); n != 1 {
			t.Errorf("%d calls at a time, want 1", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ff := newFakeFiles()
		var names []string
		for i := range 20_000 {
			names = append(names, fmt.Sprintf("%d/%d", i%100, i))
		}
		p := newFakePoll(ff, names...)
		p.interval = time.Millisecond
		most := slowDown(&p.looker, 2*time.Microsecond)
		mustStart(t, p)
		tl := tellingsOf(t, p)
		time.Sleep(50 * time.Millisecond)
		tl.end()
		time.Sleep(time.Minute)
		if n := most(); n != 1 {
			t.Errorf("%d calls at a time, want 1", n)
		}
	})
}

// A few long calls may be for want of a processor; calls are slow if several of
// the latest were, and most of them are.
func TestCallerSlow(t *testing.T) {
	type calls struct {
		n, each int // how often so many at once
		took    time.Duration
	}
	for name, test := range map[string]struct {
		calls []calls
		slow  bool
	}{
		"none":                    {nil, false},
		"two very long ones":      {[]calls{{2, 1, time.Second}}, false},
		"three":                   {[]calls{{3, 1, slowCall + 1}}, true},
		"three that are not long": {[]calls{{3, 1, slowCall}}, false},
		"a local disk":            {[]calls{{200, 1, 10 * time.Microsecond}}, false},
		"a network":               {[]calls{{200, 1, 200 * time.Microsecond}}, true},
		"some long ones, and on average they are not":        {[]calls{{3, 1, 2 * slowCall}, {3, 1, 0}}, false},
		"some long ones, and on average they are":            {[]calls{{3, 1, 2 * slowCall}, {2, 1, 0}}, true},
		"several at once, each quick":                        {[]calls{{3, 10, 10 * slowCall}}, false},
		"several at once, each slow":                         {[]calls{{3, 10, 10*slowCall + 1}}, true},
		"slow ones that are forgotten":                       {[]calls{{3, 1, time.Second}, {256 * 15, 1, 0}}, false},
		"slow ones that are half forgotten":                  {[]calls{{5, 1, time.Second}, {252, 1, 0}}, false},
		"slow ones after many quick ones, which they outdo":  {[]calls{{256 * 15, 1, 0}, {129, 1, 3 * slowCall}}, true},
		"slow ones after many quick ones, which count still": {[]calls{{256, 1, 0}, {20, 1, 3 * slowCall}}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(&looker{})
			c := p.callerLocked(&target{}) // it has been slow, which is over
			for range 100 {
				c.begin()
				time.Sleep(time.Second)
				c.end(1)
			}
			p.rest(c)
			c = p.callerLocked(&target{})
			for _, calls := range test.calls {
				for range calls.n {
					c.begin()
					time.Sleep(calls.took)
					c.end(calls.each)
				}
			}
			if c.slow() != test.slow {
				t.Errorf("%s: slow is %v", name, c.slow())
			}
		})
	}
}

// Files in several folders that change, fail, hang and are slow at random: every
// event is one that the table of transitions has, no file is looked at twice at
// once, and when all is calm, those who follow know what a newcomer is told.
func TestPoolModel(t *testing.T) {
	results := []fakeFile{
		{err: check.Errno(syscall.ENOENT, 2)},
		{info: fakeInfo{size: 1, mtime: check.Day1}},
		{info: fakeInfo{size: 1, mtime: check.Day2}},
		{info: fakeInfo{size: 2, mtime: check.Day1}},
		{err: check.Errno(syscall.EMFILE, 4)},
		{err: check.PathError(errors.New("permission denied"))},
		{err: check.PathError(errors.New("stale file handle"))},
	}
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		synctest.Test(t, func(t *testing.T) {
			ff := newFakeFiles()
			var names []string
			for folder := range 1 + random.IntN(4) {
				for i := range 1 + random.IntN(6) {
					name := fmt.Sprintf("%d/%d", folder, i)
					names = append(names, name)
					ff.set(name, results[random.IntN(4)])
				}
			}
			var mu sync.Mutex // guards what follows
			delay := make(map[string]time.Duration)
			out := make(map[string]bool)
			p := newFakePoll(ff, names...)
			p.looker.stat = func(name string) (fs.FileInfo, error) {
				mu.Lock()
				if out[name] {
					t.Errorf("seed %d: two calls for %s", seed, name)
				}
				out[name] = true
				d := delay[name]
				mu.Unlock()
				time.Sleep(d)
				info, err := ff.stat(name)
				mu.Lock()
				defer mu.Unlock()
				out[name] = false
				return info, err
			}
			follower := newReplica(mustStart(t, p))
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for events := range p.Changes(ctx) {
					for _, e := range events {
						was := follower.byName[e.File].now
						unreadable := was.Error != ""
						fits := map[wire.Change]bool{
							wire.Created:    unreadable || was.Missing,
							wire.Modified:   unreadable || !was.Missing,
							wire.Removed:    unreadable || !was.Missing,
							wire.Unreadable: !unreadable,
							wire.Readable:   unreadable,
						}
						if !fits[e.Change] {
							t.Errorf("seed %d: %s after %s", seed, &e, &was)
						}
						follower.publish([]wire.Event{e})
					}
				}
			})

			hung := make(map[string]bool)
			for range 30 {
				for range 1 + random.IntN(4) {
					name := names[random.IntN(len(names))]
					switch random.IntN(4) {
					case 0, 1:
						ff.set(name, results[random.IntN(len(results))])
					case 2:
						mu.Lock()
						delay[name] = time.Duration(random.IntN(2)*random.IntN(10_000)) * time.Millisecond
						mu.Unlock()
					case 3:
						if hung[name] {
							ff.release(name)
						} else {
							ff.hang(name)
						}
						hung[name] = !hung[name]
					}
				}
				time.Sleep(time.Duration(random.IntN(8000)) * time.Millisecond)
			}
			mu.Lock()
			clear(delay)
			mu.Unlock()
			for name := range hung {
				if hung[name] {
					ff.release(name)
				}
			}
			for name, f := range ff.files {
				if oserr.IsTooManyFiles(f.err) {
					ff.set(name, results[1])
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			cancel()
			wg.Wait()

			var got []wire.Event
			for _, target := range follower.targets {
				got = append(got, target.now)
			}
			fresh := mustStart(t, newFakePoll(ff, names...))
			check.Equal(t, fmt.Sprintf("seed %d: what the events add up to", seed), fresh, got, cmpopts.IgnoreFields(wire.Event{}, "Error"))
			if p.pool.busy != 0 || p.pool.open != 0 || len(p.pool.queue) > 0 {
				t.Errorf("seed %d: left are %d callers, %d targets, %d folders", seed, p.pool.busy, p.pool.open, len(p.pool.queue))
			}
		})
		if t.Failed() {
			return
		}
	}
}
