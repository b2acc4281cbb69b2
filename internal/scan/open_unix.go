//go:build unix

package scan

import (
	"io/fs"
	"os"
	"syscall"
)

// See FileSystem.
const (
	openFlags = os.O_RDONLY | syscall.O_NONBLOCK
	dirFlags  = openFlags | syscall.O_DIRECTORY
	noFollow  = syscall.O_NOFOLLOW
)

// identify sets what e has of the system's own part of info.
func identify(e *Entry, info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.Dev, e.Inode, e.Unlinked = uint64(st.Dev), uint64(st.Ino), st.Nlink == 0
	}
}
