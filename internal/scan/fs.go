package scan

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"net-watcher/internal/pattern"
)

// FileSystem is the calls that scans make. Tests replace the system's own. Every
// method may be called from several goroutines at the same time, and may never
// return: then the scheduler gives up on the target.
type FileSystem interface {
	Stat(name string) (Entry, error)  // follows links, as os.Stat
	Lstat(name string) (Entry, error) // does not, as os.Lstat

	// Open opens a file or directory for reading. It does not wait for a writer,
	// should name be a FIFO by now.
	Open(name string) (File, error)

	// OpenDir opens the directory name. Without follow, and where the system can tell,
	// it fails if that is a link or anything else by now.
	OpenDir(name string, follow bool) (Dir, error)

	EvalSymlinks(name string) (string, error) // as filepath.EvalSymlinks

	// IsRemote reports whether name is, perhaps, on a file system that has a server, and
	// answers for some time without asking it; and whether that is a program (FUSE) with a
	// memory of its own, perhaps, which only opening a file renews.
	IsRemote(name string) (is, isProgram bool)

	// IsMounted reports whether what name leads to is, perhaps, mounted by itself.
	IsMounted(name string) bool

	// Revalidate makes such a file system ask its server about name, following links.
	// Elsewhere it is a call of no use. Nothing can be said of an error: the next call
	// for name has it.
	Revalidate(name string)

	// DirNames returns the names of the directories in the directory name, as far
	// as that says without examining them. With an error, some may be missing.
	DirNames(name string) (map[string]bool, error)
}

// Join returns the path of what is at name below the directory or target path, which ends
// in a separator only if it is a root. An empty name is path itself.
func Join(path, name string) string {
	if name == "" || os.IsPathSeparator(path[len(path)-1]) {
		return path + name
	}
	return path + "/" + name
}

// File is an open file. Read and Close are as those of os.File. One goroutine uses it.
type File interface {
	io.ReadCloser
	Stat() (Entry, error)
}

// Dir is an open directory. One goroutine uses it.
type Dir interface {
	io.Closer

	// Refresh makes a network file system ask its server for the listing that is read
	// next, even if it has one, and the server's answer may say how the entries are, too:
	// NFS examines them all with one call. Nothing can be said of an error.
	Refresh()

	// Readdirnames reads the names of the next entries, at most n, which is positive.
	// Without any it returns an error, io.EOF at the end.
	Readdirnames(n int) ([]string, error)

	// ReadEntries reads the next entries of a directory into buf, and examines
	// each without following links, but for those that folder, which may be nil, is
	// known to leave out. It returns how many it has read; fewer than len(buf) are not
	// the end, and 0 with io.EOF is. Any other error is one of reading the directory;
	// that of examining an entry is in the entry. The names are valid until the next
	// call of any method.
	ReadEntries(buf []Entry, folder *pattern.Folder) (int, error)
}

// Entry is a file, a directory or anything else, as it was when it was examined.
type Entry struct {
	Name  string      // in its directory; only as an entry of a listing
	Mode  fs.FileMode // the type; the permissions are not used
	Size  int64
	Mtime time.Time

	// Dev is the device of the file system that it is on, and Inode its number there.
	// Both are 0 where the system does not say.
	Dev, Inode uint64

	// Unlinked says that it has no name any more, though there is a way to it: an open
	// descriptor, a working directory, or a mount of its own. Some file systems (FUSE) say
	// so of everything.
	Unlinked bool

	LeftOut bool // it was not examined; then only Name is set as well

	Err error // why it could not be examined; then only Name is set as well
}

// newEntry returns the entry with the name that info describes, or that err kept from
// being examined.
func newEntry(name string, info fs.FileInfo, err error) Entry {
	if err != nil {
		return Entry{Name: name, Err: err}
	}
	e := Entry{Name: name, Mode: info.Mode(), Size: info.Size(), Mtime: info.ModTime()}
	identify(&e, info)
	return e
}

// OS is the file system of the operating system.
type OS struct{}

func (OS) EvalSymlinks(name string) (string, error) { return filepath.EvalSymlinks(name) }

func (OS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err // not a File that holds a nil pointer
	}
	return osFile{f}, nil
}

// Stat, Lstat and OpenDir differ by system.

func (OS) DirNames(name string) (map[string]bool, error) {
	list, err := os.ReadDir(name)
	dirs := make(map[string]bool)
	for _, d := range list {
		if d.IsDir() {
			dirs[d.Name()] = true
		}
	}
	return dirs, err
}

// reopen opens a file or directory and closes it, which makes network file systems ask
// their servers about it. It is no error if that is refused.
func reopen(name string) {
	if f, err := (OS{}).Open(name); err == nil {
		f.Close()
	}
}

// osFile is an open file of the operating system.
type osFile struct{ *os.File }

func (f osFile) Stat() (Entry, error) {
	info, err := f.File.Stat()
	return newEntry("", info, err), err
}
