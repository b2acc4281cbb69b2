//go:build !linux

package sock

import (
	"errors"
	"io/fs"
)

// Here a socket has no permissions before it is bound. See bind_linux.go.

func setMode(uintptr, fs.FileMode) error { return errors.ErrUnsupported }

func grant(string, fs.FileMode) (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
