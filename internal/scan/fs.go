package scan

import (
	"io"
	"io/fs"
	"os"
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

	// OpenDir opens the directory name. Where the system can tell, it fails if
	// that is a link or anything else by now.
	OpenDir(name string) (File, error)

	// DirNames returns the names of the directories in the directory name, as far
	// as that says without examining them. With an error, some may be missing.
	DirNames(name string) (map[string]bool, error)
}

// File is an open file or directory. Its methods are those of os.File but for
// ReadEntries. One goroutine uses it.
type File interface {
	io.ReadCloser
	Stat() (fs.FileInfo, error)
	Readdirnames(n int) ([]string, error)

	// ReadEntries reads the next entries of a directory into buf, and examines
	// each without following links. It returns how many it has read; fewer than
	// len(buf) are not the end, and 0 with io.EOF is. Any other error is one of
	// reading the directory; that of examining an entry is in the entry.
	ReadEntries(buf []Entry) (int, error)
}

// Entry is one thing in a directory, as it was when that was listed.
type Entry struct {
	Name  string
	Mode  fs.FileMode // the type; the permissions are not used
	Size  int64
	Mtime time.Time
	Err   error // why it could not be examined; then only Name is set as well
}

// newEntry returns the entry that info describes.
func newEntry(info fs.FileInfo) Entry {
	return Entry{Name: info.Name(), Mode: info.Mode(), Size: info.Size(), Mtime: info.ModTime()}
}

// OS is the file system of the operating system.
type OS struct{}

func (OS) Stat(name string) (fs.FileInfo, error)  { return os.Stat(name) }
func (OS) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

func (OS) Open(name string) (File, error)    { return open(name, openFlags) }
func (OS) OpenDir(name string) (File, error) { return open(name, openFlags|dirFlags) }

func (OS) DirNames(name string) (map[string]bool, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dirs := make(map[string]bool)
	for {
		list, err := f.ReadDir(maxPortion)
		for _, d := range list {
			if d.IsDir() {
				dirs[d.Name()] = true
			}
		}
		if err == io.EOF {
			return dirs, nil
		}
		if err != nil {
			return dirs, err
		}
	}
}

func open(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags, 0)
	if err != nil {
		return nil, err // not a File that holds a nil pointer
	}
	return osFile{f}, nil
}

// osFile is a File of the operating system. Its ReadEntries differs by system.
type osFile struct{ *os.File }
