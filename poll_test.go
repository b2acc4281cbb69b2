package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
	"net-watcher/internal/wire"
)

// newTestPoll returns a poll of the named targets in ff that scans every second.
func newTestPoll(ctx context.Context, ff *faults.FS, names ...string) *poll {
	return newPoll(ctx, names, time.Second, scan.Options{FileSystem: ff})
}

func mustStart(t *testing.T, p *poll) []wire.Event {
	t.Helper()
	events, err := p.start(t.Context())
	check.Must(t, err)
	return events
}

// scanOnce scans every target of p once and returns the events.
func scanOnce(p *poll) []wire.Event {
	events := p.collect() // of scans that were given up before
	for p.scanner.Start(); p.scanner.Outstanding(); {
		events = append(events, p.wait(context.Background(), nil)...)
	}
	return events
}

func TestStart(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "f", "123", check.Day1)
	check.Must(t, os.Mkdir("d", 0o777))
	p := newPoll(t.Context(), []string{"f", "later", "d"}, 1500*time.Millisecond, scan.Options{})
	got := mustStart(t, p)
	want := []wire.Event{
		{Type: wire.Watching, File: "f", Protocol: 1, Interval: 1500, Targets: 3, Size: new(int64(3)), Mtime: check.Day1, State: "b5b1c4b8c9707329"},
		{Type: wire.Watching, File: "later", Protocol: 1, Interval: 1500, Targets: 3, Missing: true, State: "0000000000000000"},
		{Type: wire.Watching, File: "d", Protocol: 1, Interval: 1500, Targets: 3, State: "0b481209f8e7c40c"},
	}
	check.Equal(t, "greeting", want, got)
}

// Every field of the events of a file, and of things below a directory.
func TestEvents(t *testing.T) {
	t.Chdir(t.TempDir())
	ff := faults.Real()
	p := newTestPoll(t.Context(), ff, "f", "d")
	mustStart(t, p)
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	check.Write(t, "d/sub/a", "1", check.Day1)
	check.Write(t, "f", "22", check.Day2)
	created := scanOnce(p)
	check.Equal(t, "created", []wire.Event{
		{Type: wire.Changed, File: "f", Change: wire.Created, Size: new(int64(2)), Mtime: check.Day2},
		{Type: wire.Changed, File: "d", Change: wire.Created},
		{Type: wire.Changed, File: "d/sub/", Target: "d", Change: wire.Created},
		{Type: wire.Changed, File: "d/sub/a", Target: "d", Change: wire.Created, Size: new(int64(1)), Mtime: check.Day1},
	}, created, cmpopts.IgnoreFields(wire.Event{}, "State"))
	fresh := mustStart(t, newTestPoll(t.Context(), ff, "f", "d"))
	check.Equal(t, "states", []string{fresh[0].State, fresh[1].State}, []string{created[0].State, created[3].State})

	ff.Fail("open", "d/sub", check.PathError(errors.New("input/output error")))
	check.Must(t, os.Remove("f"))
	check.Equal(t, "failed, removed", []wire.Event{
		{Type: wire.Changed, File: "f", Change: wire.Removed, State: "0000000000000000"},
		{Type: wire.Changed, File: "d/sub/", Target: "d", Change: wire.Unreadable, Error: "input/output error", Unreadable: 1},
	}, scanOnce(p), cmpopts.IgnoreFields(wire.Event{}, "State"), cmpopts.EquateEmpty())
}

// A hung target is unreadable with the reason, in the greeting and in a change; its
// state is that of any target that is unreadable.
func TestUnreadableState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		ff.Put("f", 1, check.Day1)
		ff.Fail("stat", "denied", check.PathError(errors.New("permission denied")))
		known := newTestPoll(t.Context(), ff, "f")
		mustStart(t, known)
		ff.Hang("f")
		greeting := mustStart(t, newTestPoll(t.Context(), ff, "f", "denied"))
		changed := scanOnce(known)
		const reason = "file system not responding for 5s"
		check.Equal(t, "change", []wire.Event{
			{Type: wire.Changed, File: "f", Change: wire.Unreadable, Error: reason, State: greeting[1].State},
		}, changed)
		check.Equal(t, "greeting", []string{reason, greeting[1].State}, []string{greeting[0].Error, greeting[0].State})
		ff.Release("f")
	})
}

// While a target keeps the greeting waiting, the others are scanned: the greeting is no
// older than the last scan before it, and what comes after it follows it.
func TestStartWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ff := faults.Made()
		ff.Put("a/f", 1, check.Day1)
		ff.Put("a/sub/x", 1, check.Day1)
		ff.Fail("lstat", "a/f", check.PathError(errors.New("input/output error")))
		ff.Put("b/f", 1, check.Day1)
		ff.Hang("b/f")
		begin := time.Now()
		p := newTestPoll(ctx, ff, "a", "b/f")
		go func() {
			time.Sleep(3500 * time.Millisecond)
			ff.Put("a/f", 2, check.Day2)
			ff.Heal()
			ff.Fail("open", "a/sub", check.PathError(errors.New("permission denied")))
			time.Sleep(2200 * time.Millisecond)
			ff.Heal()
		}()
		greeting := mustStart(t, p)
		fresh := mustStart(t, newTestPoll(ctx, ff, "a"))
		check.Equal(t, "the target that is known", fresh[0].State, greeting[0].State)
		check.Equal(t, "unreadable below it", []string{"a/sub/: permission denied"}, p.unreadable(0))
		for events := range p.changes(ctx) {
			check.Equal(t, "what comes then", "readable a/sub/", events[0].String())
			check.Equal(t, "and when", 6*time.Second, time.Since(begin))
			cancel()
		}
		ff.Release("b/f")
	})
}

// Scans are an interval apart, for hours. Those that a slow file system leaves no
// time for are skipped and do not pile up.
func TestRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hours = 3 * 3600
		ctx, cancel := context.WithCancel(t.Context())
		ff := faults.Made()
		begin := time.Now()
		var scans []time.Duration
		ff.Before("stat", "f", func() {
			scans = append(scans, time.Since(begin))
			ff.Put("f", int64(len(scans)), check.Day1)
			switch len(scans) - 1 { // the first is that of start
			case hours + 1:
				time.Sleep(3500 * time.Millisecond)
			case hours + 3:
				cancel()
			}
		})
		p := newTestPoll(ctx, ff, "f")
		mustStart(t, p)
		var stamps []int64
		for events := range p.changes(ctx) {
			stamps = append(stamps, events[0].Timestamp-begin.UnixMilli())
		}
		wantScans, wantStamps := []time.Duration{0}, []int64(nil)
		for i := range hours {
			wantScans = append(wantScans, time.Duration(i+1)*time.Second)
			wantStamps = append(wantStamps, int64(i+1)*1000)
		}
		wantScans = append(wantScans, (hours+1)*time.Second, (hours+5)*time.Second, (hours+6)*time.Second)
		wantStamps = append(wantStamps, hours*1000+4500, hours*1000+5000) // the last scan was stopped
		check.Equal(t, "scans", wantScans, scans)
		check.Equal(t, "timestamps", wantStamps, stamps)
	})
}

// The console has what keeps the poll from seeing changes, when it begins and when it is
// over: late scans, with their target, hung calls, and what is unreadable.
func TestSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		names := []string{"quick", "slow/f"}
		for i := range scan.MaxCalls {
			names = append(names, fmt.Sprintf("nfs/%d/f", i))
		}
		for _, name := range names {
			ff.Put(name, 1, check.Day1)
		}
		ctx, cancel := context.WithCancel(t.Context())
		p := newTestPoll(ctx, ff, names...)
		mustStart(t, p)
		said := make(map[string]int)
		p.say = func(_, format string, args ...any) {
			line := fmt.Sprintf(format, args...)
			if before, name, ok := strings.Cut(line, "nfs/"); ok { // which of them are called is the scheduler's
				line = before + "nfs/N/f" + name[strings.Index(name, "/f")+2:]
			}
			said[line]++
		}
		slow := func(d time.Duration) {
			ff.SlowFunc(func(name string) time.Duration {
				if name == "slow/f" {
					return d
				}
				return 0
			})
		}
		slow(2500 * time.Millisecond)
		time.AfterFunc(10*time.Second, func() { slow(0) })
		time.AfterFunc(20*time.Second, func() { ff.Hang("nfs/"); ff.Hang("quick") })
		time.AfterFunc(time.Minute, func() { ff.Release("nfs/"); ff.Release("quick") })
		time.AfterFunc(2*time.Minute, cancel)
		for range p.changes(ctx) {
		}
		want := map[string]int{
			"scanning slow/f (1 files) ended 2.5s after its tick, later than -interval 1s":                          1,
			"scanning slow/f takes no longer than -interval 1s any more (0s)":                                       1,
			"file system calls are hung, as many as may be (64); further files cannot be checked until one returns": 1,
			"most file system calls are answered again":                                                             1,
			"cannot read quick: file system not responding for 5s":                                                  1,
			"cannot read nfs/N/f: file system not responding for 5s":                                                scan.MaxCalls - 1,
			"cannot read nfs/N/f: too many hung file system calls (64)":                                             1,
			"cannot read slow/f: too many hung file system calls (64)":                                              1,
			"no longer unreadable: quick":                                                                           1,
			"no longer unreadable: nfs/N/f":                                                                         scan.MaxCalls,
			"no longer unreadable: slow/f":                                                                          1,
		}
		check.Equal(t, "said", want, said)
	})
}

// What is below a target and cannot be read is counted from the first scan on, and
// named: at the start, and whenever that changes.
func TestUnreadableBelow(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("w/secret/deep", 0o777))
	check.Must(t, os.Mkdir("w/open", 0o777))
	check.Write(t, "w/secret/deep/f", "1", check.Day1)
	check.Write(t, "w/f", "1", check.Day1)
	denied := check.PathError(errors.New("permission denied"))
	ff := faults.Real()
	ff.Fail("open", "w/secret", denied)
	ff.Fail("lstat", "w/f", denied)
	p := newTestPoll(t.Context(), ff, "w")
	watching := mustStart(t, p)
	check.Equal(t, "at the start", []string{"w/f: permission denied", "w/secret/: permission denied"}, p.unreadable(0))
	check.Equal(t, "greeting", "watching w (2 unreadable below it)", watching[0].String())

	var said []string
	p.say = func(_, format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	expect := func(what string, unreadable int, want ...string) {
		t.Helper()
		for _, e := range scanOnce(p) {
			watching[0].Apply(&e)
		}
		check.Equal(t, what, want, said)
		check.Equal(t, what+": unreadable", unreadable, watching[0].Unreadable)
		fresh := mustStart(t, newTestPoll(t.Context(), ff, "w"))
		check.Equal(t, what+": greeting of a new server", fresh, watching)
		said = nil
	}
	ff.Fail("open", "w/secret", nil)
	ff.Fail("open", "w/secret/deep", denied)
	expect("another one", 2, "cannot read w/secret/deep/: permission denied", "no longer unreadable: w/secret/")
	ff.Fail("open", "w/open", denied)
	ff.Fail("lstat", "w/f", nil)
	expect("one comes, one goes", 2, "cannot read w/open/: permission denied", "no longer unreadable: w/f")
	ff.Fail("open", "w/secret", denied)
	expect("one hides another", 2, "cannot read w/secret/: permission denied")
	check.Must(t, os.RemoveAll("w"))
	expect("all is gone", 0, "no longer unreadable: w/secret/deep/, and 2 more")
}

// Breaking out of the loop over changes stops polling.
func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		ff.Put("f", 1, check.Day1)
		p := newTestPoll(t.Context(), ff, "f")
		mustStart(t, p)
		ff.Put("f", 2, check.Day1)
		for range p.changes(t.Context()) {
			break
		}
		time.Sleep(time.Minute)
		if n := ff.Asked("f"); n != 2 {
			t.Errorf("%d scans, want 2", n)
		}
	})
}

// Events of several targets come in the order of the targets, each once.
func TestTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		p := newTestPoll(t.Context(), ff, "z", "a", "d/m")
		mustStart(t, p)
		for _, name := range []string{"d/m", "a", "z"} {
			ff.Put(name, 1, check.Day1)
		}
		var files []string
		for _, e := range append(scanOnce(p), scanOnce(p)...) {
			files = append(files, e.File)
		}
		check.Equal(t, "files", []string{"z", "a", "d/m"}, files)
	})
}

// A start that is stopped is an error.
func TestStartStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTestPoll(ctx, faults.Made(), "d").start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// Following the events from any first scan leads to what a first scan would find
// now, whatever the scans in between found.
func FuzzFollow(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte{5, 5, 0, 5, 1, 5, 2, 5, 0})
	f.Fuzz(func(t *testing.T, scans []byte) {
		ff := faults.Made()
		inconclusive := false
		results := []func(){
			func() { ff.Tree.RemoveAll("f") },
			func() { ff.Put("f", 1, check.Day1) },
			func() { ff.Put("f", 1, check.Day2) },
			func() { ff.Put("f", 2, check.Day1) },
			func() { ff.Fail("stat", "f", check.Errno(syscall.EMFILE, 4)); inconclusive = true },
			func() { ff.Fail("stat", "f", check.PathError(errors.New("permission denied"))) },
			func() { ff.Fail("stat", "f", check.PathError(errors.New("stale file handle"))) },
		}
		p := newTestPoll(t.Context(), ff, "f")
		followed := mustStart(t, p)
		for _, b := range scans {
			inconclusive = false
			ff.Heal()
			results[int(b)%len(results)]()
			for _, e := range scanOnce(p) {
				followed[0].Apply(&e)
			}
			if inconclusive {
				continue
			}
			fresh := mustStart(t, newTestPoll(t.Context(), ff, "f"))
			if fresh[0].Error != "" && followed[0].Error != "" {
				fresh[0].Error = followed[0].Error // the reason is that of the first scan that failed
			}
			check.Equal(t, fmt.Sprintf("after %v", scans), fresh, followed)
		}
	})
}

// Who asks for a scan gets one that begins later, whatever is under way, and its events
// before it is said to have ended. Any number who ask get one, and the next is apart from
// it by as long as it took.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ff := faults.Made()
		ff.Put("f", 1, check.Day1)
		p := newPoll(ctx, []string{"f"}, time.Hour, scan.Options{FileSystem: ff})
		begin := time.Now()
		var got check.Buffer
		note := func(format string, args ...any) {
			fmt.Fprintf(&got, "%v: "+format+"\n", append([]any{time.Since(begin)}, args...)...)
		}
		p.scanned = func(n uint64) { note("scan %d has ended", n) }
		mustStart(t, p)
		take := func(want ...string) {
			t.Helper()
			synctest.Wait()
			check.Equal(t, "what happened", want, got.Take())
		}
		ff.Put("f", 2, check.Day2)
		for range 100 {
			if n := p.ask(); n != 1 {
				t.Errorf("ask returns %d, want 1", n)
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for events := range p.changes(ctx) {
				note("%d bytes", *events[0].Size)
			}
		}()
		take("0s: 2 bytes", "0s: scan 1 has ended")

		// The next one is a little later, though the first took no time.
		ff.Put("f", 3, check.Day2)
		check.Equal(t, "number", 2, int(p.ask()))
		take()
		time.Sleep(minRest)
		take("10ms: 3 bytes", "10ms: scan 2 has ended")

		// In a flood, half of the time is for other things.
		time.Sleep(time.Minute - minRest)
		ff.Slow(time.Second)
		for range 95 {
			p.ask()
			time.Sleep(100 * time.Millisecond)
		}
		ff.Slow(0)
		take("1m1s: scan 3 has ended", "1m3s: scan 4 has ended", "1m5s: scan 5 has ended", "1m7s: scan 6 has ended", "1m9s: scan 7 has ended")

		// What changes while a scan is under way is in the next one.
		time.Sleep(50*time.Second + 500*time.Millisecond)
		synctest.Wait()
		got.Take()
		ff.Slow(time.Second)
		first := p.ask()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		ff.Slow(0)
		got.Take()
		ff.Put("f", 4, check.Day2)
		if second := p.ask(); second != first+1 {
			t.Errorf("ask returns %d after %d", second, first)
		}
		time.Sleep(time.Second)
		take("2m2s: 4 bytes", fmt.Sprintf("2m2s: scan %d has ended", first+1))
		cancel()
		<-done
	})
}

// With a short interval, a scan is late from 100 ms on, and not at each busy moment.
func TestShortInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ff := faults.Made()
		ff.Put("f", 1, check.Day1)
		var said check.Buffer
		p := newPoll(ctx, []string{"f"}, 5*time.Millisecond, scan.Options{FileSystem: ff})
		p.say = func(_, format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }
		mustStart(t, p)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range p.changes(ctx) {
			}
		}()
		ff.Slow(minLate - time.Millisecond)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		check.Equal(t, "said", []string(nil), said.Take())
		ff.Slow(2 * minLate)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		check.Equal(t, "said", []string{"scanning f (1 files) ended 200ms after its tick, later than -interval 5ms"}, said.Take())
		cancel()
		<-done
	})
}
