//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package console

import (
	"io/fs"
	"os"
	"syscall"
)

// mayLoseReader reports whether a reader of file that goes does not come again. To
// a FIFO with a name another one may come, until a write finds none.
func mayLoseReader(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		return err == nil
	}
	// Pipes without a name are all on one device, which has no others.
	r, w, err := os.Pipe()
	if err != nil {
		return false
	}
	defer r.Close()
	defer w.Close()
	pipe, err := w.Stat()
	return err == nil && info.Sys().(*syscall.Stat_t).Dev == pipe.Sys().(*syscall.Stat_t).Dev
}
