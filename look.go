package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A look is what the file system told of one thing.
type look struct {
	kind  kind
	size  int64     // bytes; of a file
	mtime time.Time // of a file
	sum   uint64    // of the contents of a file, instead of mtime, if contents are compared

	// why says why it could not be looked at. If it is not empty, the fields
	// above are those of the last look that did succeed.
	why string
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

// looker is how to look at things.
type looker struct {
	ignore  []string // patterns of what is left out below a folder
	content bool     // compare contents, not times
	fresh   bool     // open before looking

	// stopped reports whether to give up: then nothing is told of any folder.
	stopped func() bool

	// The file system; tests have another.
	stat, lstat func(string) (fs.FileInfo, error)
	open        func(string, int, fs.FileMode) (*os.File, error)
}

// at looks at the thing at the path name, following links. It returns false if
// that told nothing, so that it must be repeated.
func (lr *looker) at(name string) (look, bool) {
	info, err := lr.stat(name)
	if lr.fresh && err == nil && info.Mode().IsRegular() {
		lr.touch(name)
		info, err = lr.stat(name)
	}
	if err != nil {
		return failed(err)
	}
	return lr.describe(name, info)
}

// touch opens a file or folder and closes it: that makes a network file system
// ask its server how it is. What cannot be opened is looked at all the same.
func (lr *looker) touch(name string) {
	if f, err := lr.open(name, openFlags, 0); err == nil {
		f.Close()
	}
}

// failed returns the look that ended in err, and false if that tells nothing.
func failed(err error) (look, bool) {
	switch {
	case isNotThere(err):
		return look{kind: absent}, true
	case isOutOfFiles(err):
		return look{}, false
	}
	// An error without words would read as no error.
	return look{why: cmp.Or(cause(err).Error(), "unknown error")}, true
}

// describe returns the look that found info at the path name.
func (lr *looker) describe(name string, info fs.FileInfo) (look, bool) {
	if info.IsDir() {
		return look{kind: directory}, true
	}
	if lr.content && info.Mode().IsRegular() {
		return lr.read(name)
	}
	return look{kind: file, size: info.Size(), mtime: info.ModTime()}, true
}

// read looks at the contents of the regular file at the path name. The mtime is
// that of before they were read.
func (lr *looker) read(name string) (look, bool) {
	f, err := lr.open(name, openFlags, 0)
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return failed(err)
	}
	if !info.Mode().IsRegular() { // by now
		return look{kind: file, size: info.Size(), mtime: info.ModTime()}, true
	}
	// Not to its end, which may move faster than this.
	h := sha256.New()
	size, err := io.Copy(h, io.LimitReader(f, cmp.Or(info.Size(), maxUnsized)))
	if err != nil {
		return failed(err)
	}
	return look{kind: file, size: size, mtime: info.ModTime(), sum: max(binary.BigEndian.Uint64(h.Sum(nil)), 1)}, true
}

// list lists the folder at the path name, of which below is the path below the
// target, either "" or ending in "/". It returns what is in it, by name, and
// the look at the folder itself. As at, it returns false if that told nothing.
func (lr *looker) list(name, below string) ([]entry, look, bool) {
	if lr.stopped() {
		return nil, look{}, false
	}
	flags := openFlags
	if below != "" {
		flags |= folderFlags
	}
	f, err := lr.open(name, flags, 0)
	if err != nil {
		l, ok := failed(err)
		if isErrno(err, syscall.ELOOP, 0) { // it has become a link
			l, ok = look{kind: absent}, true
		}
		return nil, l, ok
	}
	defer f.Close()
	infos, err := f.Readdir(-1)
	var unread []entry
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		infos, unread, err = lr.listEach(f, below)
	}
	if err != nil {
		l, ok := failed(err)
		return nil, l, ok
	}
	entries := append(make([]entry, 0, len(infos)+len(unread)), unread...)
	for _, info := range infos {
		if lr.stopped() {
			return nil, look{}, false
		}
		e := entry{name: info.Name()}
		if info.IsDir() {
			e.name += "/"
		}
		if lr.ignored(e.name, below) {
			continue
		}
		var ok bool
		if e.look, ok = lr.inFolder(name, info); !ok {
			return nil, look{}, false
		}
		if e.kind != absent || e.why != "" {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	// tmpfs lists a file twice that is replaced meanwhile.
	entries = slices.CompactFunc(entries, func(a, b entry) bool { return a.name == b.name })
	return entries, look{kind: directory}, true
}

// listEach lists the folder f again, of which one thing could not be looked at:
// that does not stop it from looking at the others. It returns those, and what
// could not be looked at.
func (lr *looker) listEach(f *os.File, below string) (infos []fs.FileInfo, unread []entry, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	listed, err := f.ReadDir(-1)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range listed {
		e := entry{name: d.Name()}
		if d.IsDir() {
			e.name += "/"
		}
		if lr.ignored(e.name, below) {
			continue
		}
		info, err := d.Info()
		switch {
		case err == nil:
			infos = append(infos, info)
		case isNotThere(err):
		case isOutOfFiles(err):
			return nil, nil, err
		default:
			e.look, _ = failed(err)
			unread = append(unread, e)
		}
	}
	return infos, unread, nil
}

// inFolder looks at what was listed in a folder, without following links, as
// info.
func (lr *looker) inFolder(folder string, info fs.FileInfo) (look, bool) {
	regular, link := info.Mode().IsRegular(), info.Mode().Type() == fs.ModeSymlink
	if !link && !(regular && (lr.fresh || lr.content)) {
		return lr.describe("", info)
	}
	name := folder + "/" + info.Name()
	switch {
	case link:
		l, ok := lr.at(name)
		if ok && l.kind == directory {
			// It is not entered: that might go round in circles.
			return look{kind: file, size: info.Size(), mtime: info.ModTime()}, true
		}
		return l, ok
	case lr.fresh:
		l, ok := lr.at(name)
		if l.kind == directory { // by now; the next listing has it as a folder
			l = look{kind: absent}
		}
		return l, ok
	}
	return lr.describe(name, info)
}

// ignored reports whether what has this name in the folder below is left out.
// The name of a folder ends in "/".
func (lr *looker) ignored(name, below string) bool {
	base, isFolder := strings.CutSuffix(name, "/")
	for _, pattern := range lr.ignore {
		pattern, forFolders := strings.CutSuffix(pattern, "/")
		if forFolders && !isFolder {
			continue
		}
		if ok, _ := path.Match(pattern, base); ok {
			return true
		}
		if ok, _ := path.Match(pattern, below+base); ok {
			return true
		}
	}
	return false
}

// compare returns how is differs from was, "" for not at all, and what to
// compare the next look with. Of a folder it compares only whether it is there.
func compare(was, is look) (Change, look) {
	switch {
	case is.why != "":
		if was.why != "" {
			return "", was
		}
		was.why = is.why
		return Unreadable, was
	case is.kind == absent:
		if was.kind == absent && was.why == "" {
			return "", is
		}
		return Removed, is
	case was.kind == absent:
		return Created, is
	case was.kind == is.kind && (is.size != was.size || is.sum != was.sum || is.sum == 0 && !is.mtime.Equal(was.mtime)):
		return Modified, is
	case was.why != "":
		return Readable, is
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
		b = binary.BigEndian.AppendUint64(b, uint64(l.mtime.Unix()))
		b = binary.BigEndian.AppendUint32(b, uint32(l.mtime.Nanosecond()))
	}
	b = append(b, name...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// say fills in the fields of e that tell what l found.
func (l look) say(e *Event) {
	switch {
	case l.why != "":
		e.Error = l.why
	case l.kind == file:
		e.Size, e.Mtime = &l.size, l.mtime
	}
}
