//go:build unix

package scan

import (
	"os"
	"syscall"
)

// See FileSystem.
const (
	openFlags = os.O_RDONLY | syscall.O_NONBLOCK
	dirFlags  = syscall.O_DIRECTORY | syscall.O_NOFOLLOW
)
