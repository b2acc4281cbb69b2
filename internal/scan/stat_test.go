package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

// byField compares Stats field by field.
var byField = cmp.AllowUnexported(Stat{})

// The table of transitions of docs/protocol.md, row by row.
func TestCompare(t *testing.T) {
	there := fileStat(3, check.Day1)
	larger := fileStat(4, check.Day1)
	later := fileStat(3, check.Day1.Add(time.Nanosecond))
	earlier := fileStat(3, check.Day1.AddDate(-1, 0, 0))
	abroad := fileStat(3, check.Day1.In(time.FixedZone("", 3600)))
	content := there.withHash(1)
	dir := Stat{kind: directory}
	denied := Stat{err: "denied"}
	never := denied

	for _, test := range []struct {
		name    string
		was, is Stat
		want    wire.Change
		keep    Stat
	}{
		{"not there, not there", gone, gone, "", gone},
		{"not there, there", gone, there, wire.Created, there},
		{"not there, a directory", gone, dir, wire.Created, dir},
		{"there, same", there, there, "", there},
		{"there, same in another zone", there, abroad, "", abroad},
		{"there, other size", there, larger, wire.Modified, larger},
		{"there, later", there, later, wire.Modified, later},
		{"there, earlier", there, earlier, wire.Modified, earlier},
		{"there, not there", there, gone, wire.Removed, gone},
		{"a directory, the same", dir, dir, "", dir},
		{"a directory, not there", dir, gone, wire.Removed, gone},
		{"never known, there", Stat{}, there, "", there},

		{"not there, unreadable", gone, denied, wire.Unreadable, gone.WithErr("denied")},
		{"there, unreadable", there, denied, wire.Unreadable, there.WithErr("denied")},
		{"a directory, unreadable", dir, denied, wire.Unreadable, dir.WithErr("denied")},
		{"never known, unreadable", Stat{}, denied, wire.Unreadable, never},
		{"unreadable, for another reason", there.WithErr("denied"), Stat{err: "no answer"}, "", there.WithErr("denied")},
		{"unreadable and never known, unreadable", never, denied, "", never},

		{"unreadable, other size", there.WithErr("denied"), larger, wire.Modified, larger},
		{"unreadable, other mtime", there.WithErr("denied"), later, wire.Modified, later},
		{"unreadable, same", there.WithErr("denied"), there, wire.Readable, there},
		{"unreadable, never known", never, there, wire.Readable, there},
		{"unreadable, never known, a directory", never, dir, wire.Readable, dir},
		{"an unreadable directory, readable", dir.WithErr("denied"), dir, wire.Readable, dir},
		{"unreadable, last not there", gone.WithErr("denied"), there, wire.Created, there},
		{"unreadable, not there", there.WithErr("denied"), gone, wire.Removed, gone},
		{"unreadable and last not there, not there", gone.WithErr("denied"), gone, wire.Removed, gone},
		{"unreadable and never known, not there", never, gone, wire.Removed, gone},

		{"contents, the same", content, content, "", content},
		{"contents, the same later", content, later.withHash(1), "", later.withHash(1)},
		{"contents, others", content, there.withHash(2), wire.Modified, there.withHash(2)},
		{"contents, another size", content, larger.withHash(1), wire.Modified, larger.withHash(1)},
		{"contents unreadable, the same later", content.WithErr("denied"), later.withHash(1), wire.Readable, later.withHash(1)},
		{"contents unreadable, others", content.WithErr("denied"), there.withHash(2), wire.Modified, there.withHash(2)},
		{"contents, no regular file", content, there, wire.Modified, there},
	} {
		got, keep := compare(test.was, test.is)
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		check.Equal(t, fmt.Sprintf("%s: keeps", test.name), test.keep, keep, byField)
	}
}

// withHash returns s as it is if contents are compared.
func (s Stat) withHash(hash uint64) Stat {
	s.hash = hash
	return s
}

// Tags are compared with those of other machines and of versions to come, so
// these numbers may never change. They were computed apart from this code:
//
//	printf 'present \0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\1\0\0\0\2a/b' | sha256sum
func TestTag(t *testing.T) {
	for _, test := range []struct {
		name string
		stat Stat
		want uint64
	}{
		{"a/b", fileStat(3, time.Unix(1, 2)), 0x4bd45b268872f31f},
		{"", fileStat(3, time.Unix(-1, 2)), 0xbee3921ac621106c},
		{"a/b", Stat{err: "denied"}, 0xd59f0558a9274355},
		{"a/b", Stat{kind: file, size: 3, err: "no answer"}, 0xd59f0558a9274355},
		{"a/b", Stat{kind: absent}, 0},
		{"a/b", Stat{}, 0},
		// printf 'folder a/b/'; printf 'content \0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\4a/b'
		{"a/b/", Stat{kind: directory}, 0x2ce8a3c2b45d5e91},
		{"a/b", fileStat(3, time.Unix(1, 2)).withHash(4), 0xc0e458bcdd3f3faa},
	} {
		if got := test.stat.tag(test.name); got != test.want {
			t.Errorf("%q, %+v: %#x, want %#x", test.name, test.stat, got, test.want)
		}
	}
}

// Each thing that a tag is made of makes another tag.
func TestTagDiffers(t *testing.T) {
	base := fileStat(3, check.Day1)
	seen := map[uint64]string{}
	for _, test := range []struct {
		what string
		name string
		stat Stat
	}{
		{"base", "a", base},
		{"name", "b", base},
		{"size", "a", fileStat(4, check.Day1)},
		{"a nanosecond", "a", fileStat(3, check.Day1.Add(1))},
		// Nanoseconds since 1970 are the same number for these two.
		{"year 2001 + 2^64 ns", "a", fileStat(3, check.Day1.Add(1<<62).Add(1<<62).Add(1<<62).Add(1<<62))},
		{"not there", "a", gone},
		{"unreadable", "a", Stat{err: "x"}},
		{"a directory", "a", Stat{kind: directory}},
		{"contents", "a", base.withHash(1)},
		{"other contents", "a", base.withHash(2)},
		{"contents of another size", "a", fileStat(4, check.Day1).withHash(1)},
	} {
		tag := test.stat.tag(test.name)
		if other, ok := seen[tag]; ok {
			t.Errorf("%s and %s have the same tag", test.what, other)
		}
		seen[tag] = test.what
	}
	if base.withHash(1).tag("a") != fileStat(3, check.Day2).withHash(1).tag("a") {
		t.Error("with contents, the tag depends on the mtime")
	}
}

// Only the error of a call with a path says that something is gone, and one for
// lack of descriptors says nothing.
func TestErrStat(t *testing.T) {
	short := func(unix, windows int) Stat {
		return Stat{err: oserr.Cause(check.Errno(syscall.Errno(unix), syscall.Errno(windows))).Error(), inconclusive: true}
	}
	for _, test := range []struct {
		name         string
		err          error
		path, opened Stat
	}{
		{"denied", check.PathError(errors.New("denied")), Stat{err: "denied"}, Stat{err: "denied"}},
		{"no text", check.PathError(errors.New("")), Stat{err: "unknown error"}, Stat{err: "unknown error"}},
		{"ENOENT", check.Errno(syscall.ENOENT, 2), gone, Stat{err: syscall.Errno(2).Error()}},
		{"EMFILE", check.Errno(syscall.EMFILE, 4), short(int(syscall.EMFILE), 4), short(int(syscall.EMFILE), 4)},
		{"ENFILE", check.Errno(syscall.ENFILE, 10024), short(int(syscall.ENFILE), 10024), short(int(syscall.ENFILE), 10024)},
		{"a lease", check.Errno(syscall.EAGAIN, 32), short(int(syscall.EAGAIN), 32), short(int(syscall.EAGAIN), 32)},
		{"no memory", check.Errno(syscall.ENOMEM, 8), short(int(syscall.ENOMEM), 8), short(int(syscall.ENOMEM), 8)},
	} {
		check.Equal(t, test.name+" with a path", test.path, pathStat(test.err), byField)
		check.Equal(t, test.name+" of something open", test.opened, errStat(test.err), byField)
	}
	if stat := pathStat(check.Errno(syscall.ENOTDIR, 3)); stat != gone {
		t.Errorf("ENOTDIR with a path: %+v", stat)
	}
}

// A file is as it was when it was read if it was read, and not too soon, and has the same
// size and time.
func TestIsSame(t *testing.T) {
	read := fileStat(3, check.Day1).withHash(1)
	young := read
	young.young = true
	entry := Entry{Size: 3, Mtime: check.Day1}
	for name, test := range map[string]struct {
		known Stat
		entry Entry
		want  bool
	}{
		"the same":         {read, entry, true},
		"another size":     {read, Entry{Size: 4, Mtime: check.Day1}, false},
		"another time":     {read, Entry{Size: 3, Mtime: check.Day1.Add(1)}, false},
		"another second":   {read, Entry{Size: 3, Mtime: check.Day1.Add(time.Second)}, false},
		"no regular file":  {read, Entry{Size: 3, Mtime: check.Day1, Mode: fs.ModeIrregular}, false},
		"read too soon":    {young, entry, false},
		"it was not read":  {fileStat(3, check.Day1), entry, false},
		"it was denied":    {read.WithErr("denied"), entry, false},
		"it was not there": {gone, entry, false},
	} {
		check.Equal(t, name, test.want, test.known.isSame(&test.entry))
	}
}
