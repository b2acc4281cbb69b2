//go:build !(linux && (amd64 || arm64 || riscv64))

package scan

import (
	"os"
	"runtime"
)

// See readdir_linux.go. On Windows, listing a directory examines its entries.
// Elsewhere ReadDir fails as a whole if it is not told the type of an entry, and
// cannot examine that one.
func (f osFile) ReadEntries(buf []Entry) (int, error) {
	if runtime.GOOS != "windows" {
		names, err := f.Readdirnames(len(buf))
		for i, name := range names {
			buf[i] = entryOf(name, func() (os.FileInfo, error) { return os.Lstat(f.Name() + "/" + name) })
		}
		return len(names), err
	}
	list, err := f.ReadDir(len(buf))
	for i, d := range list {
		buf[i] = entryOf(d.Name(), d.Info)
	}
	return len(list), err
}

// entryOf returns the entry with the name that info describes.
func entryOf(name string, info func() (os.FileInfo, error)) Entry {
	i, err := info()
	if err != nil {
		return Entry{Name: name, Err: err}
	}
	return newEntry(i)
}
