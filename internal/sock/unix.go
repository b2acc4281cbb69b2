package sock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"net-watcher/internal/oserr"
)

// staleAfter is how long a socket must have refused connections to be stale. One
// refuses them between bind and listen too: a server that takes longer than this
// for that gives the socket up, because another one may have taken it away, and tries
// again, maxLate times: the machine may be busy.
const (
	staleAfter = 50 * time.Millisecond
	maxLate    = 5
)

var (
	// errLive says that a live server owns the path.
	errLive = errors.New("another server is listening on it")

	// errAside says that a socket could not be bound at its own path safely.
	errAside = errors.New("not with these permissions")

	// errLate says that the time between bind and listen was too long for that.
	errLate = errors.New("not soon enough")
)

// modeSetter sets the permissions that the file of a socket will have before it is
// bound.
type modeSetter func(fd uintptr, mode fs.FileMode) error

// bindUnix listens on a Unix socket at path with these permissions, which hold
// from its first moment (on Windows, those of its directory count). It replaces a
// socket that has no server any more, and nothing else. It returns the identity of
// the socket's file, which closing the listener leaves alone.
func bindUnix(path string, mode fs.FileMode, set modeSetter) (*net.UnixListener, fs.FileInfo, error) {
	stale, err := findStale(path)
	if err != nil {
		return nil, nil, err
	}
	if runtime.GOOS == "windows" {
		if stale != nil {
			os.Remove(path)
		}
		return bindAt(path, func() error { return nil })
	}
	for range maxLate {
		l, own, err := bindInPlace(path, stale, mode, set)
		if !errors.Is(err, errAside) && !errors.Is(err, errLate) {
			return l, own, err
		}
		late := errors.Is(err, errLate)
		if stale, err = findStale(path); err != nil { // what bindInPlace may have left
			return nil, nil, err
		}
		if !late {
			break
		}
	}
	return bindAside(path, stale, mode)
}

// findStale returns the file at path if it is a socket without a server, nil if
// nothing exists there, and an error if the file must not be touched.
func findStale(path string) (stale fs.FileInfo, err error) {
	if err := checkLength(path, len(path)); err != nil {
		return nil, err
	}
	for range 2 {
		info, err := os.Lstat(path)
		switch {
		case oserr.IsNotExist(err):
			return nil, nil // if the directory is missing, bind says so
		case err != nil:
			return nil, err
		case info.Mode().Type() != fs.ModeSocket:
			return nil, errors.New("path exists and is not a socket")
		case stale != nil && !os.SameFile(info, stale):
			return nil, errLive // it came in the meantime
		}
		conn, err := net.Dial("unix", path)
		switch {
		case err == nil:
			conn.Close()
			return nil, errLive
		case oserr.IsNotExist(err):
			return nil, nil // its server has just removed it
		case oserr.IsTooManyFiles(err):
			return nil, err
		case !oserr.IsRefused(err):
			// Such as a full backlog, or no permission: a server may well listen.
			return nil, fmt.Errorf("another server may be listening on it: %w", oserr.Cause(err))
		}
		if stale == nil {
			time.Sleep(staleAfter)
		}
		stale = info
	}
	return stale, nil
}

// maxPath is how long the path of a socket may be, in bytes. Of a longer one the
// system says "invalid argument".
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// bindInPlace binds the socket at its absolute path, which is what the kernel then
// knows it by: systemd-tmpfiles deletes old sockets that nobody seems to have bound,
// and ss, lsof and fuser find the owner. The error is errAside or errLate if that cannot
// be done safely; then it may leave a stale socket at path.
func bindInPlace(path string, stale fs.FileInfo, mode fs.FileMode, set modeSetter) (*net.UnixListener, fs.FileInfo, error) {
	private := ""
	if stale != nil {
		var err error
		// It stays in there until the new socket exists, which so cannot get the
		// number of its inode.
		if private, err = makePrivate(path); err != nil {
			return nil, nil, err
		}
		defer removePrivate(private)
	}
	var began time.Time
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		began = time.Now()
		var err error
		if c.Control(func(fd uintptr) { err = set(fd, mode) }) != nil || err != nil {
			return errAside
		}
		if stale != nil {
			err = takeAway(path, private+"/old", stale)
		}
		return err
	}}
	name := absolute(path)
	l, err := bind(&config, name)
	switch took := time.Since(began); {
	case errors.Is(err, errAside), errors.Is(err, errLive):
		return nil, nil, err
	case oserr.IsInUse(err):
		return nil, nil, errLive
	case err != nil:
		return nil, nil, notUsable(err)
	case took >= staleAfter:
		l.Close()
		return nil, nil, errLate
	}
	own, err := grant(name, mode)
	if err != nil {
		l.Close()
		return nil, nil, errAside
	}
	return l, own, nil
}

// absolute returns path as the kernel should know it: absolute, and without links.
// It returns path as it is where that would be too long, or cannot be found out.
func absolute(path string) string {
	dir, file := filepath.Split(path)
	if !filepath.IsAbs(dir) {
		wd, err := os.Getwd()
		if err != nil {
			return path
		}
		dir = wd + "/" + dir // not cleaned: the meaning of ".." depends on links
	}
	dir, err := filepath.EvalSymlinks(dir)
	if name := filepath.Join(dir, file); err == nil && len(name) <= maxPath {
		return name
	}
	return path
}

// checkLength returns an error if the path of a Unix socket, or one beside it with
// so many bytes, is too long: the system would say "invalid argument".
func checkLength(path string, bytes int) error {
	if over := bytes - maxPath; over > 0 {
		return fmt.Errorf("path too long by %d bytes (a socket's may have %d there)", over, len(path)-over)
	}
	return nil
}

// bindAside binds the socket in a private directory beside its path, sets its
// permissions there, where no other user can connect, and then links it to its
// path. It is for systems where a socket has no permissions before it is bound. The
// alternatives are worse: a chmod at the path comes after the first moment at which
// others can connect, and the umask is that of the whole process.
func bindAside(path string, stale fs.FileInfo, mode fs.FileMode) (*net.UnixListener, fs.FileInfo, error) {
	// The path is not cleaned: the meaning of ".." depends on links, and "@" at the
	// beginning of a socket's path makes it an abstract one. The name of the private
	// directory has up to 10 digits.
	dir, _ := filepath.Split(path)
	if err := checkLength(path, len(dir)+len("./.4294967295/s")); err != nil {
		return nil, nil, err
	}
	private, err := makePrivate(path)
	if err != nil {
		return nil, nil, err
	}
	defer removePrivate(private)
	socket := private + "/s"
	return bindAt(socket, func() error {
		if err := os.Chmod(socket, mode); err != nil {
			return err
		}
		if stale != nil {
			if err := takeAway(path, private+"/old", stale); err != nil {
				return err
			}
		}
		return place(socket, path)
	})
}

// bindAt binds and listens at path, and then calls ready.
func bindAt(path string, ready func() error) (*net.UnixListener, fs.FileInfo, error) {
	l, err := bind(&net.ListenConfig{}, path)
	if err != nil {
		return nil, nil, err
	}
	own, err := identify(path)
	if err == nil {
		err = ready()
	}
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	return l, own, nil
}

// makePrivate makes a directory beside path that only this user can use.
func makePrivate(path string) (string, error) {
	parent, _ := filepath.Split(path)
	private, err := os.MkdirTemp(cmp.Or(parent, "."), ".")
	if err == nil {
		if err = makeUsable(private); err != nil {
			os.Remove(private)
		}
	}
	if err != nil {
		return "", notUsable(err)
	}
	return private, nil
}

// removePrivate removes a directory of makePrivate. It needs no descriptor, which
// os.RemoveAll does.
func removePrivate(private string) {
	os.Remove(private + "/s")
	os.Remove(private + "/old")
	os.Remove(private)
}

// notUsable returns the error for err, from a call about the directory of a socket.
func notUsable(err error) error {
	if oserr.IsTooManyFiles(err) {
		return err
	}
	return fmt.Errorf("directory not usable: %w", oserr.Cause(err))
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

// bind binds and listens at path. Closing the listener leaves the socket's file
// alone: by then that may be another server's.
func bind(config *net.ListenConfig, path string) (*net.UnixListener, error) {
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l.(*net.UnixListener), nil
}

// identify returns the identity of the socket's file at path.
func identify(path string) (fs.FileInfo, error) {
	own, err := os.Lstat(path)
	os.SameFile(own, own) // makes Windows look up the identity now, not later
	return own, err
}
