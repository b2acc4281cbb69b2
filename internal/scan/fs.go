package scan

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// FileSystem is the calls that scans make. Tests replace the system's own. Every
// method may be called from several goroutines at the same time, and may never
// return: then the scheduler gives up on the target.
type FileSystem interface {
	Stat(name string) (fs.FileInfo, error)  // as os.Stat
	Lstat(name string) (fs.FileInfo, error) // as os.Lstat

	// Open opens a file or directory for reading. It does not wait for a writer,
	// should name be a FIFO by now.
	Open(name string) (File, error)

	// OpenDir opens the directory name. Without follow, and where the system can tell,
	// it fails if that is a link or anything else by now.
	OpenDir(name string, follow bool) (Dir, error)

	EvalSymlinks(name string) (string, error) // as filepath.EvalSymlinks

	// DirNames returns the names of the directories in the directory name, as far
	// as that says without examining them. With an error, some may be missing.
	DirNames(name string) (map[string]bool, error)
}

// File is an open file. Its methods are those of os.File. One goroutine uses it.
type File interface {
	io.ReadCloser
	Stat() (fs.FileInfo, error)
}

// Dir is an open directory. One goroutine uses it.
type Dir interface {
	io.Closer

	// Readdirnames reads the names of the next entries, at most n, which is positive.
	// Without any it returns an error, io.EOF at the end.
	Readdirnames(n int) ([]string, error)

	// ReadEntries reads the next entries of a directory into buf, and examines
	// each without following links. It returns how many it has read; fewer than
	// len(buf) are not the end, and 0 with io.EOF is. Any other error is one of
	// reading the directory; that of examining an entry is in the entry. The names
	// are valid until the next call of any method.
	ReadEntries(buf []Entry) (int, error)
}

// Entry is one thing in a directory, as it was when that was listed.
type Entry struct {
	Name  string
	Mode  fs.FileMode // the type; the permissions are not used
	Size  int64
	Mtime time.Time

	// Unlinked says that it has no name, though it is listed: where it is mounted
	// from, it was replaced.
	Unlinked bool

	Err error // why it could not be examined; then only Name is set as well
}

// newEntry returns the entry with the name that info describes, or that err kept from
// being examined.
func newEntry(name string, info fs.FileInfo, err error) Entry {
	if err != nil {
		return Entry{Name: name, Err: err}
	}
	return Entry{Name: name, Mode: info.Mode(), Size: info.Size(), Mtime: info.ModTime(), Unlinked: unlinked(info)}
}

// OS is the file system of the operating system.
type OS struct{}

func (OS) Stat(name string) (fs.FileInfo, error)  { return os.Stat(name) }
func (OS) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

func (OS) EvalSymlinks(name string) (string, error) { return filepath.EvalSymlinks(name) }

func (OS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err // not a File that holds a nil pointer
	}
	return f, nil
}

// OpenDir differs by system.

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
