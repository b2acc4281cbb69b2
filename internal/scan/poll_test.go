package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

// The table of transitions, row by row.
func TestCompare(t *testing.T) {
	gone := look{kind: absent}
	there := fileLook(3, check.Day1)
	other := fileLook(4, check.Day1)
	later := fileLook(3, check.Day1.Add(time.Nanosecond))
	earlier := fileLook(3, check.Day1.AddDate(-1, 0, 0))
	abroad := fileLook(3, check.Day1.In(time.FixedZone("", 3600)))
	unread := func(l look) look { l.why = "denied"; return l }
	failing := look{why: "denied"}
	failingElse := look{why: "no answer"}
	never := unread(look{})

	for _, test := range []struct {
		name    string
		was, is look
		want    wire.Change
		keep    look
	}{
		{"not there, not there", gone, gone, "", gone},
		{"not there, there", gone, there, wire.Created, there},
		{"there, same", there, there, "", there},
		{"there, same in another zone", there, abroad, "", abroad},
		{"there, other size", there, other, wire.Modified, other},
		{"there, later", there, later, wire.Modified, later},
		{"there, earlier", there, earlier, wire.Modified, earlier},
		{"there, not there", there, gone, wire.Removed, gone},

		{"not there, unreadable", gone, failing, wire.Unreadable, unread(gone)},
		{"there, unreadable", there, failing, wire.Unreadable, unread(there)},
		{"unreadable, for another reason", unread(there), failingElse, "", unread(there)},
		{"never known, still unreadable", never, failing, "", never},

		{"unreadable, other size", unread(there), other, wire.Modified, other},
		{"unreadable, other mtime", unread(there), later, wire.Modified, later},
		{"unreadable, same", unread(there), there, wire.Readable, there},
		{"unreadable, never known", never, there, wire.Readable, there},
		{"unreadable, last not there", unread(gone), there, wire.Created, there},
		{"unreadable, not there", unread(there), gone, wire.Removed, gone},
		{"unreadable and last not there, not there", unread(gone), gone, wire.Removed, gone},
		{"unreadable and never known, not there", never, gone, wire.Removed, gone},
	} {
		got, keep := compare(test.was, test.is)
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		check.Equal(t, fmt.Sprintf("%s: keeps", test.name), test.keep, keep, cmp.AllowUnexported(look{}))
	}
}

// Tags are compared with those of other machines and of versions to come, so
// these numbers may never change. They were computed apart from this code:
//
//	printf 'present \0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\1\0\0\0\2a/b' | sha256sum
func TestTag(t *testing.T) {
	for _, test := range []struct {
		name string
		look look
		want uint64
	}{
		{"a/b", fileLook(3, time.Unix(1, 2)), 0x4bd45b268872f31f},
		{"", fileLook(3, time.Unix(-1, 2)), 0xbee3921ac621106c},
		{"a/b", look{why: "denied"}, 0xd59f0558a9274355},
		{"a/b", look{kind: file, size: 3, why: "no answer"}, 0xd59f0558a9274355},
		{"a/b", look{kind: absent}, 0},
	} {
		if got := test.look.tag(test.name); got != test.want {
			t.Errorf("%q, %+v: %#x, want %#x", test.name, test.look, got, test.want)
		}
	}
}

// Every single thing that a tag is made of makes another tag.
func TestTagDiffers(t *testing.T) {
	base := fileLook(3, check.Day1)
	seen := map[uint64]string{}
	for _, test := range []struct {
		what string
		name string
		look look
	}{
		{"base", "a", base},
		{"name", "b", base},
		{"size", "a", fileLook(4, check.Day1)},
		{"a nanosecond", "a", fileLook(3, check.Day1.Add(1))},
		// Nanoseconds since 1970 are the same number for these two.
		{"year 2001 + 2^64 ns", "a", fileLook(3, check.Day1.Add(1<<62).Add(1<<62).Add(1<<62).Add(1<<62))},
		{"not there", "a", look{kind: absent}},
		{"unreadable", "a", look{why: "x"}},
	} {
		tag := test.look.tag(test.name)
		if other, ok := seen[tag]; ok {
			t.Errorf("%s and %s have the same tag", test.what, other)
		}
		seen[tag] = test.what
	}
}

// newTestPoll returns a poll of the named files that has taken its first look.
func newTestPoll(t *testing.T, names ...string) *Poll {
	t.Helper()
	p := New(names, time.Second, Options{})
	if _, err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// brief is what matters of an event where times and tags cannot be known.
func brief(events []wire.Event) []string {
	var lines []string
	for _, e := range events {
		line := e.String()
		if e.Size != nil {
			line += fmt.Sprintf(", %d bytes", *e.Size)
		}
		lines = append(lines, line)
	}
	return lines
}

// What real files go through, a look after each step.
func TestFiles(t *testing.T) {
	type step struct {
		do   func(t *testing.T)
		want []string
	}
	for name, steps := range map[string][]step{
		"nothing happens": {{func(t *testing.T) { check.Write(t, "f", "1", check.Day1) }, []string{"created f, 1 bytes"}}, {func(*testing.T) {}, nil}},
		"touch": {
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day1) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Chtimes("f", check.Day2, check.Day2)) }, []string{"modified f, 1 bytes"}},
		},
		"mtime goes back": {
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day2) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Chtimes("f", check.Day1, check.Day1)) }, []string{"modified f, 1 bytes"}},
		},
		"an older file of the same size is moved over it": {
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day2); check.Write(t, "old", "2", check.Day1) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Rename("old", "f")) }, []string{"modified f, 1 bytes"}},
		},
		"it grows without its mtime moving": {
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day1) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Write(t, "f", "12", check.Day1) }, []string{"modified f, 2 bytes"}},
		},
		"truncation": {
			{func(t *testing.T) { check.Write(t, "f", "1234", check.Day1) }, []string{"created f, 4 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Truncate("f", 0)) }, []string{"modified f, 0 bytes"}},
		},
		"replaced by rename": {
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day1) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Write(t, "new", "22", check.Day2); check.Must(t, os.Rename("new", "f")) }, []string{"modified f, 2 bytes"}},
		},
		"removed and made again": {
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day1) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Remove("f")) }, []string{"removed f"}},
			{func(*testing.T) {}, nil},
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day1) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Remove("f")); check.Write(t, "f", "12", check.Day2) }, []string{"modified f, 2 bytes"}},
		},
		"its folder comes, goes, and turns into a file": {
			{func(t *testing.T) { check.Must(t, os.Mkdir("d", 0o777)) }, nil},
			{func(t *testing.T) { check.Write(t, "d/f", "1", check.Day1) }, []string{"created d/f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Rename("d", "e")) }, []string{"removed d/f"}},
			{func(t *testing.T) { check.Write(t, "d", "not a folder", check.Day1) }, nil},
			{func(t *testing.T) { check.Must(t, os.Remove("d")); check.Must(t, os.Rename("e", "d")) }, []string{"created d/f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.RemoveAll("d")); check.Write(t, "d", "a file", check.Day1) }, []string{"removed d/f"}},
		},
		"it becomes a directory and a file again": {
			{func(t *testing.T) { check.Write(t, "f", "1", check.Day1) }, []string{"created f, 1 bytes"}},
			{func(t *testing.T) { check.Must(t, os.Remove("f")); check.Must(t, os.Mkdir("f", 0o777)) }, []string{"removed f", "created f"}},
			{func(*testing.T) {}, nil},
			{func(t *testing.T) { check.Must(t, os.Remove("f")); check.Write(t, "f", "1", check.Day1) }, []string{"removed f", "created f, 1 bytes"}},
		},
		"a Kubernetes ConfigMap is swapped": {
			{func(t *testing.T) {
				check.Must(t, os.Mkdir("v1", 0o777))
				check.Must(t, os.Mkdir("v2", 0o777))
				check.Write(t, "v1/f", "one", check.Day2)
				check.Write(t, "v2/f", "two", check.Day1)
				check.Symlink(t, "v1", "..data")
				check.Symlink(t, filepath.Join("..data", "f"), "f")
			}, []string{"created f, 3 bytes"}},
			{func(t *testing.T) {
				check.Symlink(t, "v2", "..data_tmp")
				check.Must(t, os.Rename("..data_tmp", "..data"))
			}, []string{"modified f, 3 bytes"}},
			{func(t *testing.T) { check.Must(t, os.RemoveAll("v2")) }, []string{"removed f"}}, // dangling
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			p := newTestPoll(t, "f", "d/f")
			replica := newReplica(mustStart(t, New([]string{"f", "d/f"}, time.Second, Options{})))
			for i, s := range steps {
				s.do(t)
				events, _ := p.look()
				check.Equal(t, fmt.Sprintf("step %d", i+1), s.want, brief(events))
				// Who follows the events knows what a newcomer is told.
				if len(events) > 0 {
					replica.publish(events)
				}
				var got []wire.Event
				for _, target := range replica.targets {
					got = append(got, target.now)
				}
				want := mustStart(t, New([]string{"f", "d/f"}, time.Second, Options{}))
				check.Equal(t, fmt.Sprintf("step %d: what the events add up to", i+1), want, got)
			}
		})
	}
}

// look looks at every target once and returns what changed, and how many
// things it looked at.
func (p *Poll) look() (events []wire.Event, things int) {
	events = p.news() // of looks that were given up before
	p.pool.add(p.parents)
	for p.pool.isOpen() {
		events = append(events, p.wait(context.Background(), nil)...)
	}
	return events, p.pool.things
}

// looked returns the events of one look.
func looked(p *Poll) []wire.Event {
	events, _ := p.look()
	return events
}

func mustStart(t *testing.T, p *Poll) []wire.Event {
	t.Helper()
	events, err := p.Start(t.Context())
	check.Must(t, err)
	return events
}

func TestStart(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "f", "123", check.Day1)
	got := mustStart(t, New([]string{"f", "later"}, 1500*time.Millisecond, Options{}))
	want := []wire.Event{
		{Type: wire.Watching, File: "f", Protocol: 1, Interval: 1500, Targets: 2, Size: new(int64(3)), Mtime: check.Day1, State: got[0].State},
		{Type: wire.Watching, File: "later", Protocol: 1, Interval: 1500, Targets: 2, Missing: true, State: "0000000000000000"},
	}
	check.Equal(t, "events", want, got)
}

// fakeInfo is a file that was never on a disk.
type fakeInfo struct {
	fs.FileInfo
	size  int64
	mtime time.Time
}

func (i fakeInfo) Size() int64        { return i.size }
func (i fakeInfo) ModTime() time.Time { return i.mtime }
func (i fakeInfo) IsDir() bool        { return false }

// An error is not a deletion. It comes, changes and goes.
func TestErrors(t *testing.T) {
	file := fakeInfo{size: 5, mtime: check.Day1}
	notThere := check.Errno(syscall.ENOENT, 2)
	notFolder := check.Errno(syscall.ENOTDIR, 3)
	outOfFiles := check.Errno(syscall.EMFILE, 4)
	outOfFilesToo := check.Errno(syscall.ENFILE, 10024)
	denied := check.PathError(errors.New("permission denied"))
	stale := check.PathError(errors.New("stale file handle"))
	type result struct {
		info fs.FileInfo
		err  error
		want []string
	}
	for name, results := range map[string][]result{
		"comes, changes, goes": {
			{err: denied, want: []string{"unreadable f: permission denied"}},
			{err: stale},
			{err: denied},
			{info: file, want: []string{"readable f, 5 bytes"}},
			{info: file},
		},
		"hides a change": {
			{err: denied, want: []string{"unreadable f: permission denied"}},
			{info: fakeInfo{size: 6, mtime: check.Day1}, want: []string{"modified f, 6 bytes"}},
		},
		"hides a removal": {
			{err: denied, want: []string{"unreadable f: permission denied"}},
			{err: notThere, want: []string{"removed f"}},
			{err: notFolder},
			{err: denied, want: []string{"unreadable f: permission denied"}},
			{info: file, want: []string{"created f, 5 bytes"}},
		},
		"out of descriptors is no news": {
			{err: outOfFiles}, {err: outOfFilesToo}, {info: file},
			{err: notThere, want: []string{"removed f"}}, {err: outOfFiles}, {err: notThere},
			{err: denied, want: []string{"unreadable f: permission denied"}}, {err: outOfFiles},
			{info: file, want: []string{"created f, 5 bytes"}},
		},
		"without words": {
			{err: check.PathError(errors.New("")), want: []string{"unreadable f: unknown error"}},
			{info: file, want: []string{"readable f, 5 bytes"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := result{info: file}
			p := New([]string{"f"}, time.Second, Options{})
			p.looker.stat = func(string) (fs.FileInfo, error) { return now.info, now.err }
			mustStart(t, p)
			for i, r := range results {
				now = r
				check.Equal(t, fmt.Sprintf("look %d", i+1), r.want, brief(looked(p)))
			}
		})
	}
	t.Run("at the start", func(t *testing.T) {
		now := result{err: denied}
		p := New([]string{"f"}, time.Second, Options{})
		p.looker.stat = func(string) (fs.FileInfo, error) { return now.info, now.err }
		check.Equal(t, "events", []string{"watching f (unreadable: permission denied)"}, brief(mustStart(t, p)))
		now = result{info: file}
		check.Equal(t, "events", []string{"readable f, 5 bytes"}, brief(looked(p)))
	})
}

// Looks are an interval apart, for hours; those that a slow file system leaves
// no time for are left out and do not pile up.
func TestRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hours = 3 * 3600
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		looks := []time.Duration{}
		p := New([]string{"f"}, time.Second, Options{})
		p.looker.stat = func(string) (fs.FileInfo, error) {
			looks = append(looks, time.Since(begin))
			switch len(looks) - 1 { // the first is that of start
			case hours + 1:
				time.Sleep(3500 * time.Millisecond)
			case hours + 3:
				cancel()
			}
			return fakeInfo{size: int64(len(looks))}, nil
		}
		mustStart(t, p)
		var stamps []int64
		for events := range p.Changes(ctx) {
			stamps = append(stamps, events[0].Timestamp-begin.UnixMilli())
		}

		// The look that took 3.5 s is followed by one at the next whole second,
		// and what it saw is dated when it was seen.
		wantLooks := []time.Duration{0}
		var wantStamps []int64
		for i := range time.Duration(hours) {
			wantLooks = append(wantLooks, (i+1)*time.Second)
			wantStamps = append(wantStamps, int64(i+1)*1000)
		}
		wantLooks = append(wantLooks, (hours+1)*time.Second, (hours+5)*time.Second, (hours+6)*time.Second)
		wantStamps = append(wantStamps, hours*1000+4500, hours*1000+5000) // the last saw the end
		check.Equal(t, "looks", wantLooks, looks)
		check.Equal(t, "timestamps", wantStamps, stamps)
	})
}

// Who breaks off the loop over changes stops the looking.
func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := New([]string{"f"}, time.Second, Options{})
		p.looker.stat = func(string) (fs.FileInfo, error) { n++; return fakeInfo{size: int64(n)}, nil }
		mustStart(t, p)
		for range p.Changes(t.Context()) {
			break
		}
		if n != 2 {
			t.Errorf("%d looks, want 2", n)
		}
	})
}

// Events of several targets come in the order of the targets, one each.
func TestTargets(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("d", 0o777))
	synctest.Test(t, func(t *testing.T) {
		p := newTestPoll(t, "z", "a", "d/m")
		for _, name := range []string{"d/m", "a", "z"} {
			check.Write(t, name, "1", check.Day1)
		}
		check.Equal(t, "events", []string{"created z, 1 bytes", "created a, 1 bytes", "created d/m, 1 bytes"}, brief(looked(p)))
		if events, _ := p.look(); len(events) > 0 {
			t.Errorf("told again: %v", brief(events))
		}
	})
}

// A tag is that of the file, whatever it went through and whoever looks.
func TestStateReturns(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "f", "1", check.Day1)
	p := newTestPoll(t, "f")
	first := p.targets[0].tag
	check.Write(t, "f", "2", check.Day2)
	if looked(p); p.targets[0].tag == first {
		t.Error("another mtime, the same state")
	}
	check.Write(t, "f", "3", check.Day1)
	if looked(p); p.targets[0].tag != first {
		t.Error("the same mtime and size again, another state")
	}
	check.Must(t, os.Rename("f", "g"))
	if got := newTestPoll(t, "g").targets[0].tag; got != first {
		t.Error("the state depends on the target's own name")
	}
}

// Following the events from any first look leads to what a first look would
// tell now, whatever the looks in between found.
func FuzzFollow(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte{5, 5, 0, 5, 1, 5, 2, 5, 0})
	f.Fuzz(func(t *testing.T, looks []byte) {
		results := []struct {
			info fs.FileInfo
			err  error
		}{
			{err: check.Errno(syscall.ENOENT, 2)},
			{info: fakeInfo{size: 1, mtime: check.Day1}},
			{info: fakeInfo{size: 1, mtime: check.Day2}},
			{info: fakeInfo{size: 2, mtime: check.Day1}},
			{err: check.Errno(syscall.EMFILE, 4)},
			{err: check.PathError(errors.New("permission denied"))},
			{err: check.PathError(errors.New("stale file handle"))},
		}
		now := results[0]
		stat := func(string) (fs.FileInfo, error) { return now.info, now.err }
		p := New([]string{"f"}, time.Second, Options{})
		p.looker.stat = stat
		follower := newReplica(mustStart(t, p))
		for _, b := range looks {
			now = results[int(b)%len(results)]
			if events, _ := p.look(); len(events) > 0 {
				follower.publish(events)
			}
			if oserr.IsTooManyFiles(now.err) {
				continue
			}
			fresh := New([]string{"f"}, time.Second, Options{})
			fresh.looker.stat = stat
			// The reason is that of the first failing look.
			opts := cmpopts.IgnoreFields(wire.Event{}, "Error")
			got := follower.targets[0].now
			want := mustStart(t, fresh)[0]
			if diff := cmp.Diff(want, got, opts); diff != "" || (got.Error == "") != (want.Error == "") {
				t.Fatalf("after %v (-want +got):\n%s", looks, diff)
			}
		}
	})
}

// replica is what those who follow the events of a poll know of its targets.
type replica struct {
	targets []*replicated
	byName  map[string]*replicated
}

type replicated struct{ now wire.Event }

func newReplica(watching []wire.Event) *replica {
	r := &replica{byName: make(map[string]*replicated)}
	for _, e := range watching {
		t := &replicated{e}
		r.targets = append(r.targets, t)
		r.byName[e.File] = t
	}
	return r
}

func (r *replica) publish(events []wire.Event) {
	for i := range events {
		r.byName[events[i].TargetName()].now.Apply(&events[i])
	}
}
