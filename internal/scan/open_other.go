//go:build !unix

package scan

import (
	"io/fs"
	"os"
)

// See open_unix.go; nothing of that exists here.
const (
	openFlags = os.O_RDONLY
	dirFlags  = openFlags
	noFollow  = 0
)

func identify(*Entry, fs.FileInfo) {}
