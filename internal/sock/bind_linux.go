package sock

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// setMode sets the permissions of a socket. When it is bound, its file has those, but
// for what the umask takes away.
func setMode(fd uintptr, mode fs.FileMode) error { return syscall.Fchmod(int(fd), uint32(mode)) }

// grant gives the socket at path the permissions that the umask took away, and returns
// its identity. It follows no link that somebody puts there in the meantime. Where the
// umask took nothing away, as is usual, it needs no descriptor.
func grant(path string, mode fs.FileMode) (fs.FileInfo, error) {
	own, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, err
	case own.Mode().Type() != fs.ModeSocket || own.Mode().Perm()&^mode != 0:
		return nil, fmt.Errorf("mode %v", own.Mode()) // a system that is not quite Linux
	case own.Mode().Perm() == mode:
		return own, nil
	}
	const oPath = 0x200000 // O_PATH, which package syscall lacks
	file, err := os.OpenFile(path, oPath|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	switch opened, err := file.Stat(); {
	case err != nil:
		return nil, err
	case !os.SameFile(own, opened):
		return nil, errLive
	}
	return own, os.Chmod(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), mode)
}
