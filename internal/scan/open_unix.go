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
	dirFlags  = syscall.O_DIRECTORY | syscall.O_NOFOLLOW
)

// unlinked reports whether what info describes has no name any more, though there is
// a way to it: an open descriptor, a working directory, or a mount of its own.
func unlinked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}
