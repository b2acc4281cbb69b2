//go:build !unix

package scan

import "os"

// See open_unix.go; there is none of that here.
const (
	openFlags   = os.O_RDONLY
	folderFlags = 0
)
