//go:build unix

package scan

import (
	"os"
	"syscall"
)

// openFlags is how to open what is looked at: without waiting, should it be a
// FIFO by now. folderFlags come on top for a folder below a target, which must
// not have become a link.
const (
	openFlags   = os.O_RDONLY | syscall.O_NONBLOCK
	folderFlags = syscall.O_DIRECTORY | syscall.O_NOFOLLOW
)
