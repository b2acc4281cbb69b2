package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"time"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

// A look is what the file system told of one thing. There are as many as there
// are files, so it is kept small, and has the parts of a time.Time.
type look struct {
	size int64  // bytes; of a file
	sec  int64  // of the mtime of a file, since 1970
	sum  uint64 // of the contents of a file, instead of mtime, if contents are compared

	// why says why it could not be looked at. If it is not empty, the other
	// fields are those of the last look that did succeed.
	why string

	nsec int32 // of the mtime of a file, to be added to sec
	kind kind
}

// fileLook returns the look at a file that is not a folder.
func fileLook(size int64, mtime time.Time) look {
	return look{kind: file, size: size, sec: mtime.Unix(), nsec: int32(mtime.Nanosecond())}
}

// kind is what a look found.
type kind int8

const (
	unknown kind = iota // it could never be looked at
	absent
	file // anything but a folder
	directory
)

// maxUnsized is how much is read of a file that says it is empty, in bytes:
// those of /proc do, and are not.
const maxUnsized = 1 << 20

// looker is how to look at things. It is not written to once looks have begun.
type looker struct {
	ignore  []string // patterns of what is left out below a folder
	content bool     // compare contents, not times
	fresh   bool     // open before looking

	// stopped reports whether to give up: then nothing is told of any folder.
	stopped func() bool

	// The file system; tests have another.
	stat, lstat func(string) (fs.FileInfo, error)
	open        func(string, int, fs.FileMode) (*os.File, error)
	readdir     func(*os.File, int) ([]fs.FileInfo, error)
}

// stat, lstat and open are those of looker, with account of how long they take.
func (c *caller) stat(name string) (fs.FileInfo, error) {
	defer c.begin().end(1)
	return c.looker.stat(name)
}

func (c *caller) lstat(name string) (fs.FileInfo, error) {
	defer c.begin().end(1)
	return c.looker.lstat(name)
}

func (c *caller) open(name string, flags int) (openFile, error) {
	defer c.begin().end(1)
	f, err := c.looker.open(name, flags, 0)
	return openFile{f, c}, err
}

// openFile is a file whose calls its caller accounts for.
type openFile struct {
	*os.File
	caller *caller
}

func (f openFile) Read(b []byte) (int, error) {
	defer f.caller.begin().end(1)
	return f.File.Read(b)
}

func (f openFile) Readdir(n int) (infos []fs.FileInfo, err error) {
	f.caller.begin()
	defer func() { f.caller.end(1 + len(infos)) }()
	return f.caller.readdir(f.File, n)
}

func (f openFile) Readdirnames(n int) ([]string, error) {
	defer f.caller.begin().end(1)
	return f.File.Readdirnames(n)
}

func (f openFile) ReadDir(n int) ([]fs.DirEntry, error) {
	defer f.caller.begin().end(1)
	return f.File.ReadDir(n)
}

func (f openFile) Stat() (fs.FileInfo, error) {
	defer f.caller.begin().end(1)
	return f.File.Stat()
}

func (f openFile) Close() error {
	defer f.caller.begin().end(1)
	return f.File.Close()
}

// at looks at the thing at the path name, following links. It returns false if
// that told nothing, so that it must be repeated.
func (c *caller) at(name string) (look, bool) {
	info, err := c.stat(name)
	if c.fresh && err == nil && info.Mode().IsRegular() {
		c.touch(name)
		info, err = c.stat(name)
	}
	if err != nil {
		return failed(err)
	}
	return c.describe(name, info)
}

// touch opens a file or folder and closes it: that makes a network file system
// ask its server how it is. What cannot be opened is looked at all the same.
func (c *caller) touch(name string) {
	if f, err := c.open(name, openFlags); err == nil {
		f.Close()
	}
}

// failed returns the look at a path that ended in err, and false if that tells
// nothing.
func failed(err error) (look, bool) {
	if oserr.IsNotExist(err) {
		return look{kind: absent}, true
	}
	return unreadable(err)
}

// unreadable returns the look that ended in err when the thing was open, and
// false if that tells nothing. Only a path tells that a thing is gone: Linux
// says of an open folder that it is not there when its SMB server has restarted.
func unreadable(err error) (look, bool) {
	if oserr.IsTooManyFiles(err) {
		return look{}, false
	}
	// An error without words would read as no error.
	return look{why: cmp.Or(oserr.Cause(err).Error(), "unknown error")}, true
}

// describe returns the look that found info at the path name.
func (c *caller) describe(name string, info fs.FileInfo) (look, bool) {
	if info.IsDir() {
		return look{kind: directory}, true
	}
	if c.content && info.Mode().IsRegular() {
		return c.read(name)
	}
	return fileLook(info.Size(), info.ModTime()), true
}

// read looks at the contents of the regular file at the path name. The mtime is
// that of before they were read.
func (c *caller) read(name string) (look, bool) {
	f, err := c.open(name, openFlags)
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return unreadable(err)
	}
	if !info.Mode().IsRegular() { // by now
		return fileLook(info.Size(), info.ModTime()), true
	}
	// Not to its end, which may move faster than this.
	h := sha256.New()
	size, err := io.Copy(h, io.LimitReader(f, cmp.Or(info.Size(), maxUnsized)))
	if err != nil {
		return unreadable(err)
	}
	l := fileLook(size, info.ModTime())
	l.sum = max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
	return l, true
}

// compare returns how is differs from was, "" for not at all, and what to
// compare the next look with. Of a folder it compares only whether it is there.
func compare(was, is look) (wire.Change, look) {
	switch {
	case is.why != "":
		if was.why != "" {
			return "", was
		}
		was.why = is.why
		return wire.Unreadable, was
	case is.kind == absent:
		if was.kind == absent && was.why == "" {
			return "", is
		}
		return wire.Removed, is
	case was.kind == absent:
		return wire.Created, is
	case was.kind == is.kind && (is.size != was.size || is.sum != was.sum || is.sum == 0 && (is.sec != was.sec || is.nsec != was.nsec)):
		return wire.Modified, is
	case was.why != "":
		return wire.Readable, is
	}
	return "", is
}

// tag returns what the look l at name, a path below the target, adds to the
// tag of the target. Tags outlive the process and are compared across
// machines, so this may never change: the first 8 bytes, big endian, of the
// SHA-256 of the fields below. A plain sum of them keeps its worth only with a
// hash whose every bit depends on every bit of the input.
func (l look) tag(name string) uint64 {
	var b []byte
	switch {
	case l.why != "":
		b = append(b, "unreadable "...)
	case l.kind == directory:
		b = append(b, "folder "...)
	case l.kind != file:
		return 0
	case l.sum != 0:
		b = append(b, "content "...)
		b = binary.BigEndian.AppendUint64(b, uint64(l.size))
		b = binary.BigEndian.AppendUint64(b, l.sum)
	default:
		b = append(b, "present "...)
		b = binary.BigEndian.AppendUint64(b, uint64(l.size))
		b = binary.BigEndian.AppendUint64(b, uint64(l.sec))
		b = binary.BigEndian.AppendUint32(b, uint32(l.nsec))
	}
	b = append(b, name...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// say fills in the fields of e that tell what l found.
func (l look) say(e *wire.Event) {
	switch {
	case l.why != "":
		e.Error = l.why
	case l.kind == file:
		e.Size, e.Mtime = &l.size, time.Unix(l.sec, int64(l.nsec))
	}
}
