//go:build amd64 || arm64 || riscv64

package scan

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"net-watcher/internal/pattern"
)

// openDir is an open directory. Most of the CPU time of a scan is spent here: it makes the
// system calls of (*os.File).Readdir, getdents64 and newfstatat, without that one's
// garbage, which costs a fifth of that time.
type openDir struct {
	fd   int
	name string
	rest []byte // of buf, the entries that are not yet read
	buf  [direntSize]byte
}

// direntSize is how many bytes of entries are asked for at a time, as in glibc.
const direntSize = 32 << 10

var openDirs = sync.Pool{New: func() any { return new(openDir) }}

// OpenDir implements FileSystem.
func (OS) OpenDir(name string, follow bool) (Dir, error) {
	flags := dirFlags | syscall.O_CLOEXEC
	if !follow {
		flags |= noFollow
	}
	for {
		fd, err := syscall.Open(name, flags, 0)
		if err == nil {
			d := openDirs.Get().(*openDir)
			d.fd, d.name, d.rest = fd, name, nil
			return d, nil
		}
		if err != syscall.EINTR {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// Close closes the directory. Nothing may be called after it.
func (d *openDir) Close() error {
	err := syscall.Close(d.fd)
	openDirs.Put(d)
	return err
}

// Refresh implements Dir.
func (d *openDir) Refresh() { refresh(uintptr(d.fd), d.name) }

// next returns the name of the next entry, which is followed by a 0, and its type as the
// directory has it, a DT constant of readdir(3). The name is part of buf, which is filled
// again only if refill is set; else it returns nil at the end of it.
func (d *openDir) next(refill bool) ([]byte, byte, error) {
	// The fields of struct linux_dirent64 in getdents(2).
	const reclen, kind, name = 16, 18, 19
	for {
		if len(d.rest) == 0 {
			if !refill {
				return nil, 0, nil
			}
			n, err := syscall.ReadDirent(d.fd, d.buf[:])
			switch {
			case err == syscall.EINTR:
				continue
			case err != nil:
				return nil, 0, &fs.PathError{Op: "readdirent", Path: d.name, Err: err}
			case n <= 0:
				return nil, 0, io.EOF
			}
			d.rest = d.buf[:n]
		}
		entry := d.rest[:binary.NativeEndian.Uint16(d.rest[reclen:])]
		d.rest = d.rest[len(entry):]
		base := entry[name:]
		base = base[:bytes.IndexByte(base, 0)]
		if inode := binary.NativeEndian.Uint64(entry); inode != 0 && string(base) != "." && string(base) != ".." {
			return base, entry[kind], nil
		}
	}
}

// ReadEntries implements Dir.
func (d *openDir) ReadEntries(buf []Entry, folder *pattern.Folder) (int, error) {
	var st syscall.Stat_t
	for n := range buf {
		base, kind, err := d.next(n == 0)
		if base == nil {
			return n, err
		}
		name := unsafe.String(&base[0], len(base))
		if leavesOut(folder, name, kind) {
			buf[n] = Entry{Name: name, LeftOut: true}
			continue
		}
		if errno := statAt(d.fd, &base[0], &st, symlinkNofollow); errno != 0 {
			buf[n] = Entry{Name: name, Err: &fs.PathError{Op: "lstat", Path: Join(d.name, name), Err: errno}}
			continue
		}
		buf[n] = entryOf(&st)
		buf[n].Name = name
	}
	return len(buf), nil
}

// leavesOut reports whether folder leaves out the entry with the type that the directory
// has, which not every file system knows.
func leavesOut(folder *pattern.Folder, name string, kind byte) bool {
	if kind == syscall.DT_UNKNOWN {
		return folder.LeavesOut(name)
	}
	return folder.Choose(name, kind == syscall.DT_DIR) == pattern.LeftOut
}

// Readdirnames implements Dir.
func (d *openDir) Readdirnames(n int) (names []string, err error) {
	for len(names) < n {
		base, _, err := d.next(len(names) == 0)
		if base == nil {
			return names, err
		}
		names = append(names, string(base))
	}
	return names, nil
}

// Stat implements FileSystem.
func (OS) Stat(name string) (Entry, error) { return statPath("stat", name, 0) }

// Lstat implements FileSystem.
func (OS) Lstat(name string) (Entry, error) { return statPath("lstat", name, symlinkNofollow) }

func statPath(op, name string, flags uintptr) (Entry, error) {
	var room [256]byte // of the stack, for nearly all paths
	path, errno := append(append(room[:0], name...), 0), syscall.EINVAL
	var st syscall.Stat_t
	if !strings.Contains(name, "\x00") {
		const cwd = -100 // AT_FDCWD
		errno = statAt(cwd, &path[0], &st, flags)
	}
	if errno != 0 {
		return Entry{}, &fs.PathError{Op: op, Path: name, Err: errno}
	}
	return entryOf(&st), nil
}

// entryOf returns the entry that st describes, without a name.
func entryOf(st *syscall.Stat_t) Entry {
	return Entry{
		Mode: fileType(st.Mode), Size: st.Size, Mtime: time.Unix(st.Mtim.Unix()),
		Dev: st.Dev, Inode: st.Ino, Unlinked: st.Nlink == 0,
	}
}

// symlinkNofollow is AT_SYMLINK_NOFOLLOW.
const symlinkNofollow = 0x100

// statAt is fstatat(2) of the name, ended by a 0, in the directory fd. The numbers are
// those of newfstatat in the kernel's system call tables; package syscall does not export
// it.
func statAt(fd int, name *byte, st *syscall.Stat_t, flags uintptr) syscall.Errno {
	newfstatat := uintptr(79)
	if runtime.GOARCH == "amd64" {
		newfstatat = 262
	}
	for {
		_, _, errno := syscall.Syscall6(newfstatat, uintptr(fd), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(st)), flags, 0, 0)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// fileType returns the type bits of a mode of stat(2).
func fileType(mode uint32) fs.FileMode {
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return 0
	case syscall.S_IFDIR:
		return os.ModeDir
	case syscall.S_IFLNK:
		return os.ModeSymlink
	}
	return os.ModeIrregular // a device, FIFO or socket
}
