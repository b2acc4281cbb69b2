//go:build !(linux && (amd64 || arm64 || riscv64))

package scan

import (
	"os"
	"runtime"

	"net-watcher/internal/pattern"
)

// Stat implements FileSystem.
func (OS) Stat(name string) (Entry, error) {
	info, err := os.Stat(name)
	return newEntry("", info, err), err
}

// Lstat implements FileSystem.
func (OS) Lstat(name string) (Entry, error) {
	info, err := os.Lstat(name)
	return newEntry("", info, err), err
}

// openDir is an open directory.
type openDir struct{ *os.File }

// OpenDir implements FileSystem.
func (OS) OpenDir(name string, follow bool) (Dir, error) {
	flags := dirFlags
	if !follow {
		flags |= noFollow
	}
	f, err := os.OpenFile(name, flags, 0)
	if err != nil {
		return nil, err
	}
	return openDir{f}, nil
}

// Refresh implements Dir.
func (f openDir) Refresh() { refresh(f.Fd(), f.Name()) }

// See calls_linux.go. On Windows, listing a directory examines its entries.
// Elsewhere ReadDir fails as a whole if it is not told the type of an entry, and
// cannot examine that one.
func (f openDir) ReadEntries(buf []Entry, folder *pattern.Folder) (int, error) {
	if runtime.GOOS != "windows" {
		names, err := f.Readdirnames(len(buf))
		for i, name := range names {
			if folder.LeavesOut(name) {
				buf[i] = Entry{Name: name, LeftOut: true}
				continue
			}
			info, err := os.Lstat(Join(f.Name(), name))
			buf[i] = newEntry(name, info, err)
		}
		return len(names), err
	}
	list, err := f.ReadDir(len(buf))
	for i, d := range list {
		info, err := d.Info()
		buf[i] = newEntry(d.Name(), info, err)
	}
	return len(list), err
}
