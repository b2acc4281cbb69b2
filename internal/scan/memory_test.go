package scan_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/scan"
)

// memFS is a file system in memory, in which calls fail and listings are wrong. A
// scan must not be under way while it is changed.
type memFS struct {
	files   map[string]*memInfo
	fail    map[string]error // of calls with a path, "open " or "lstat " before that
	listed  map[string]int   // how often a path is in listings, if not once
	reverse bool             // listings have the reverse order
}

func newMemFS() *memFS {
	return &memFS{files: make(map[string]*memInfo), fail: make(map[string]error), listed: make(map[string]int)}
}

// newMemDriver returns a driver of a Scanner of path in a memFS.
func newMemDriver(t *testing.T, o scan.Options, path string) *driver {
	paths := []string{path}
	return &driver{T: t, scanner: scan.New(t.Context(), paths, o), options: o, paths: paths, ctx: t.Context()}
}

// put makes what exists at name, and nothing else, be a file of this size or, with
// -1, a directory. It does nothing if the parent is no directory.
func (m *memFS) put(name string, size int) {
	m.remove(name)
	info := &memInfo{name: path.Base(name), content: strings.Repeat("x", max(size, 0)), size: int64(max(size, 0))}
	if size < 0 {
		info.mode = fs.ModeDir
	}
	if dir := path.Dir(name); dir == "." || m.files[dir] != nil && m.files[dir].IsDir() {
		m.files[name] = info
	}
}

// remove removes what exists at name, and all that is below it.
func (m *memFS) remove(name string) {
	maps.DeleteFunc(m.files, func(other string, _ *memInfo) bool {
		return other == name || strings.HasPrefix(other, name+"/")
	})
}

// heal makes all calls succeed, and all listings right.
func (m *memFS) heal() {
	clear(m.fail)
	clear(m.listed)
}

func (m *memFS) Stat(name string) (scan.Entry, error) { return m.Lstat(name) }

// DirNames knows nothing, as file systems without types of entries.
func (m *memFS) DirNames(string) (map[string]bool, error) { return nil, errors.ErrUnsupported }

// IsRemote and Revalidate: it has no server.
func (m *memFS) IsRemote(string) bool { return false }
func (m *memFS) Revalidate(string)    {}

// EvalSymlinks knows no links.
func (m *memFS) EvalSymlinks(name string) (string, error) { return path.Clean(name), nil }

func (m *memFS) Lstat(name string) (scan.Entry, error) {
	info, ok := m.files[name]
	switch {
	case m.fail["lstat "+name] != nil:
		return scan.Entry{}, m.fail["lstat "+name]
	case !ok:
		return scan.Entry{}, check.Errno(syscall.ENOENT, 2)
	}
	return info.entry(), nil
}

func (m *memFS) Open(name string) (scan.File, error) { return m.open(name) }

func (m *memFS) open(name string) (*memFile, error) {
	if err := m.fail["open "+name]; err != nil {
		return nil, err
	}
	info, ok := m.files[name]
	if !ok {
		return nil, check.Errno(syscall.ENOENT, 2)
	}
	f := &memFile{fs: m, path: name, info: info, Reader: strings.NewReader(info.content)}
	for _, child := range slices.Sorted(maps.Keys(m.files)) {
		if path.Dir(child) != name {
			continue
		}
		n, ok := m.listed[child]
		if !ok {
			n = 1
		}
		f.names = append(f.names, slices.Repeat([]string{path.Base(child)}, n)...)
	}
	if m.reverse {
		slices.Reverse(f.names)
	}
	return f, nil
}

func (m *memFS) OpenDir(name string, _ bool) (scan.Dir, error) { return m.open(name) }

// memFile is an open memInfo.
type memFile struct {
	fs   *memFS
	path string
	info *memInfo
	*strings.Reader
	names []string // yet to be listed
}

func (f *memFile) Close() error              { return nil }
func (f *memFile) Stat() (scan.Entry, error) { return f.info.entry(), nil }

func (f *memFile) Readdirnames(n int) ([]string, error) {
	switch n = min(n, len(f.names)); {
	case !f.info.IsDir():
		return nil, check.Errno(syscall.ENOTDIR, 3)
	case n == 0:
		return nil, io.EOF
	}
	names := f.names[:n]
	f.names = f.names[n:]
	return names, nil
}

func (f *memFile) ReadEntries(buf []scan.Entry) (int, error) {
	names, err := f.Readdirnames(len(buf))
	for i, name := range names {
		e, err := f.fs.Lstat(f.path + "/" + name)
		e.Name, e.Err = name, err
		buf[i] = e
	}
	return len(names), err
}

// memInfo is a file or directory of a memFS.
type memInfo struct {
	name    string
	content string
	size    int64
	mode    fs.FileMode
}

func (i *memInfo) IsDir() bool { return i.mode.IsDir() }

func (i *memInfo) entry() scan.Entry {
	return scan.Entry{Mode: i.mode, Size: i.size, Mtime: check.Day1}
}
