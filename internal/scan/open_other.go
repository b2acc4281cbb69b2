//go:build !unix

package scan

import "os"

// See open_unix.go; nothing of that exists here.
const (
	openFlags = os.O_RDONLY
	dirFlags  = 0
)
