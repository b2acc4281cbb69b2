package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

// Stat is what one stat (and, with Options.Content, one read) observed at a path.
// There is one for each file, so it is small: it has the parts of a time.Time.
// The zero value is that of a path that could never be examined.
type Stat struct {
	size int64  // bytes; of a file
	sec  int64  // of the mtime of a file, since 1970
	hash uint64 // of the contents of a file, compared instead of the mtime; 0 if contents are not compared

	// err says why the path could not be examined. If it is not empty, the other
	// fields are those of the last Stat without it.
	err string

	nsec int32 // of the mtime of a file, to be added to sec
	kind kind

	// young says that the contents were read so soon after the mtime that a later change
	// may have the same one.
	young bool

	// inconclusive says that err tells nothing about the path: what was known of it
	// stays. No tree has such a Stat.
	inconclusive bool
}

// kind is what exists at a path.
type kind int8

const (
	unknown   kind = iota // it could never be examined
	absent                // nothing exists there
	file                  // anything but a directory
	directory             // a directory
	entered               // a directory that the filter does not choose, but something below it perhaps
)

// gone is the Stat of a path where nothing exists.
var gone = Stat{kind: absent}

// fileStat returns the Stat of a file that is no directory.
func fileStat(size int64, mtime time.Time) Stat {
	return Stat{kind: file, size: size, sec: mtime.Unix(), nsec: int32(mtime.Nanosecond())}
}

// entryStat returns the Stat of what is examined.
func entryStat(e *Entry) Stat {
	if e.Mode.IsDir() {
		return Stat{kind: directory}
	}
	return fileStat(e.Size, e.Mtime)
}

// A file is young for so long after its mtime: times may be whole seconds, even ones on
// FAT, or else those of the last tick of the kernel's clock, of which there are 100 a second
// or more.
const (
	youngSecond = 2 * time.Second
	youngTick   = 20 * time.Millisecond
)

// isYoung reports whether a file with the mtime of s that is read now may be changed again
// without another mtime. Of one with a time to come nothing else can be said than of an
// old one.
func (s Stat) isYoung(now time.Time) bool {
	window := youngTick
	if s.nsec == 0 {
		window = youngSecond
	}
	return now.Sub(time.Unix(s.sec, int64(s.nsec))).Abs() < window
}

// isSame reports whether e is a regular file as it was when the contents of s were read.
func (s Stat) isSame(e *Entry) bool {
	now := entryStat(e)
	return e.Mode.IsRegular() && s.hash != 0 && s.err == "" && !s.young &&
		now.size == s.size && now.sec == s.sec && now.nsec == s.nsec
}

// Err returns why the path cannot be examined, "" if it can.
func (s Stat) Err() string { return s.err }

// Missing reports whether nothing exists at the path.
func (s Stat) Missing() bool { return s == gone }

// Size returns the size of the file in bytes, and its mtime; ok is false if the
// path is no file that can be examined.
func (s Stat) Size() (bytes int64, mtime time.Time, ok bool) {
	if s.err != "" || s.kind != file {
		return 0, time.Time{}, false
	}
	return s.size, time.Unix(s.sec, int64(s.nsec)), true
}

// pathStat returns the Stat of a path for which a call failed with err.
func pathStat(err error) Stat {
	if oserr.IsNotExist(err) {
		return gone
	}
	return errStat(err)
}

// errStat returns the Stat of an open file or directory for which a call
// failed with err. Only a path says that something is gone: Linux says of an
// open directory that it does not exist when its SMB server has restarted.
func errStat(err error) Stat {
	// An empty reason would read as no error.
	return Stat{err: cmp.Or(oserr.Cause(err).Error(), "unknown error"), inconclusive: oserr.IsInconclusive(err)}
}

// compare returns the change from was to is, "" for none, and the Stat to compare
// the next one with. Of directories it compares only whether they exist; and not even
// that of those that are only entered, while they can be read. docs/protocol.md has the
// table of transitions.
func compare(was, is Stat) (wire.Change, Stat) {
	switch {
	case is.err != "":
		if was.err != "" {
			return "", was
		}
		was.err = is.err
		return wire.Unreadable, was
	case is.kind == absent:
		if (was.kind == absent || was.kind == entered) && was.err == "" {
			return "", is
		}
		return wire.Removed, is
	case is.kind == entered && was.err == "":
		return "", is
	case is.kind == entered:
		return wire.Readable, is
	case was.kind == absent:
		return wire.Created, is
	case was.kind == is.kind && (is.size != was.size || is.hash != was.hash || is.hash == 0 && (is.sec != was.sec || is.nsec != was.nsec)):
		return wire.Modified, is
	case was.err != "":
		return wire.Readable, is
	}
	return "", is
}

// tag returns what s at name, a path below the target, adds to the tag of the
// target. Tags outlive the process and are compared across machines, so this may
// never change: the first 8 bytes, big endian, of the SHA-256 of the fields
// below. Tags are added up, which keeps different trees apart only with a hash
// whose every bit depends on every bit of the input.
func (s Stat) tag(name string) uint64 {
	b := make([]byte, 0, 256) // of the stack, for nearly all names
	switch {
	case s.err != "":
		b = append(b, "unreadable "...)
	case s.kind == directory:
		b = append(b, "folder "...)
	case s.kind != file:
		return 0
	case s.hash != 0:
		b = append(b, "content "...)
		b = binary.BigEndian.AppendUint64(b, uint64(s.size))
		b = binary.BigEndian.AppendUint64(b, s.hash)
	default:
		b = append(b, "present "...)
		b = binary.BigEndian.AppendUint64(b, uint64(s.size))
		b = binary.BigEndian.AppendUint64(b, uint64(s.sec))
		b = binary.BigEndian.AppendUint32(b, uint32(s.nsec))
	}
	b = append(b, name...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}
