package sock

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"net-watcher/internal/oserr"
)

// unixListener listens on a Unix socket and owns its file.
type unixListener struct {
	*net.UnixListener
	path  string
	own   fs.FileInfo // of the socket at path
	close func() error
}

// Addr returns the path of the socket, which was bound at another one.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket's file, if it is still this listener's own, and closes
// the listener.
func (l *unixListener) Close() error { return l.close() }

// errLive says that a live server owns the path.
var errLive = errors.New("another server is listening on it")

// listenUnix listens on a Unix socket at path with these permissions, which
// hold before anyone can connect (on Windows, those of its directory count). It
// replaces a socket that has no server any more, and nothing else.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	stale, err := findStale(path)
	if err != nil {
		return nil, err
	}
	l := &unixListener{path: path}
	if runtime.GOOS != "windows" {
		err = l.bindAside(stale, mode)
	} else {
		if stale != nil {
			os.Remove(path)
		}
		err = l.bind(path)
	}
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would remove whatever is at the path by then
	l.close = sync.OnceValue(func() error {
		if info, err := os.Lstat(path); err == nil && os.SameFile(info, l.own) {
			os.Remove(path)
		}
		return l.UnixListener.Close()
	})
	return l, nil
}

// findStale returns the file at path if it is a socket without a server, nil if
// nothing exists there, and an error if the file must not be touched.
func findStale(path string) (fs.FileInfo, error) {
	// In the directory of bindAside, os.MkdirTemp adds up to 10 digits.
	dir, _ := filepath.Split(path)
	if err := checkLength(path, max(len(path), len(dir+"./.4294967295/s"))); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case oserr.IsNotExist(err):
		return nil, nil // if the directory is missing, bind says so
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("path exists and is not a socket")
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		conn.Close()
		return nil, errLive
	case oserr.IsNotExist(err):
		return nil, nil // its server has just removed it
	case !oserr.IsRefused(err):
		// Such as a full backlog, or no permission: a server may well listen.
		return nil, fmt.Errorf("another server may be listening on it: %w", oserr.Cause(err))
	}
	return info, nil
}

// checkLength returns an error if the path of a Unix socket, or one beside it with
// so many bytes, is too long: the system would say "invalid argument".
func checkLength(path string, bytes int) error {
	most := len(syscall.RawSockaddrUnix{}.Path) - 1
	if over := bytes - most; over > 0 {
		return fmt.Errorf("path too long by %d bytes (a socket's may have %d there)", over, len(path)-over)
	}
	return nil
}

// bindAside binds the socket in a private directory beside its path, sets its
// permissions there, where no other user can connect, and then links it to its
// path. The alternatives are worse: a chmod at the path comes after the first
// moment at which others can connect, and the umask is that of the whole process.
func (l *unixListener) bindAside(stale fs.FileInfo, mode fs.FileMode) error {
	// The path is not cleaned: the meaning of ".." depends on links, and "@" at the
	// beginning of a socket's path makes it an abstract one.
	parent, _ := filepath.Split(l.path)
	private, err := os.MkdirTemp(cmp.Or(parent, "."), ".")
	if err == nil {
		defer os.RemoveAll(private)
		err = makeUsable(private)
	}
	if err != nil {
		return fmt.Errorf("directory not usable: %w", oserr.Cause(err))
	}
	socket := private + "/s"
	if err = l.bind(socket); err != nil {
		return err
	}
	if err = os.Chmod(socket, mode); err == nil && stale != nil {
		err = takeAway(l.path, private+"/old", stale)
	}
	if err == nil {
		err = place(socket, l.path)
	}
	if err != nil {
		l.UnixListener.Close()
	}
	return err
}

// makeUsable gives the owner of a new directory the permissions that the umask
// took away. It keeps the bit by which a socket in it inherits its group.
func makeUsable(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil || info.Mode().Perm() == 0o700 {
		return err
	}
	return os.Chmod(dir, 0o700|info.Mode()&fs.ModeSetgid)
}

// takeAway moves the stale socket at path to old, unless a live one has replaced
// it. One that comes between the check and the move is put back: of two servers
// that start at the same time, one wins. (Of three, the third might come between
// the move and the putting back; no portable call excludes that.)
func takeAway(path, old string, stale fs.FileInfo) error {
	if info, err := os.Lstat(path); err == nil && !os.SameFile(info, stale) {
		return errLive
	}
	err := os.Rename(path, old)
	if oserr.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := os.Lstat(old); err == nil && os.SameFile(info, stale) {
		return nil
	}
	return cmp.Or(place(old, path), errLive)
}

// place moves a socket to path, unless something exists there by now. A link is
// atomic in that and a rename is not, but not every system links sockets.
func place(socket, path string) error {
	switch err := os.Link(socket, path); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return errLive
	}
	if _, err := os.Lstat(path); !oserr.IsNotExist(err) {
		return errLive
	}
	return os.Rename(socket, path)
}

// bind binds and listens at path, and notes the identity of the socket's file.
func (l *unixListener) bind(path string) error {
	var err error
	l.UnixListener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	if l.own, err = os.Lstat(path); err != nil {
		l.UnixListener.Close()
		return err
	}
	os.SameFile(l.own, l.own) // makes Windows look up the identity now, not later
	return nil
}
