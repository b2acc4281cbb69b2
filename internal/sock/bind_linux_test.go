package sock

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

// boundNames returns the names of all Unix sockets that the kernel knows.
func boundNames(t *testing.T) (names []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	check.Must(t, err)
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) == 8 {
			names = append(names, fields[7])
		}
	}
	return names
}

// The kernel knows a socket by its absolute path, however it is spelled, also one that
// replaces a stale one: so the owner can be found, and systemd-tmpfiles leaves it.
func TestBoundAtItsPath(t *testing.T) {
	dir := unixFolder(t, "d", "link")
	t.Chdir(dir)
	check.Must(t, os.MkdirAll("d/deep", 0o777))
	check.Must(t, os.Symlink("d/deep", "link"))
	physical, err := filepath.EvalSymlinks(dir)
	check.Must(t, err)
	for path, name := range map[string]string{
		"s": "s", "./@s": "@s", "d/../s": "s", "link/../s": "d/s", "link/s": "d/deep/s", dir + "/./s": "s",
	} {
		for range 2 {
			l, err := listenUnix(path, 0o600, t.Logf)
			check.Must(t, err)
			if want := filepath.Join(physical, name); !slices.Contains(boundNames(t), want) {
				t.Errorf("%s: the kernel does not know %s", path, want)
			}
			l.Close()
			abandon(t, path)
		}
		check.Must(t, os.Remove(path))
	}
}

// A relative path that is too long when it is absolute works all the same.
func TestLongDirectory(t *testing.T) {
	dir := filepath.Join(check.SocketDir(t), strings.Repeat("long/", 50))
	check.Must(t, os.MkdirAll(dir, 0o777))
	t.Chdir(dir)
	abandon(t, "s")
	l, err := listenUnix("s", 0o660, t.Logf)
	check.Must(t, err)
	defer l.Close()
	if !reachable("s") {
		t.Error("not reachable")
	}
}

// The file has no other permissions when it is bound, at any umask.
func TestModeBeforeBind(t *testing.T) {
	for _, umask := range []int{0, 0o22, 0o77} {
		for _, mode := range []fs.FileMode{0, 0o600, 0o660} {
			path := filepath.Join(check.SocketDir(t), "s")
			config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
				c.Control(func(fd uintptr) { err = setMode(fd, mode) })
				return err
			}}
			old := syscall.Umask(umask)
			l, err := config.ListenPacket(t.Context(), "unixgram", path) // which calls bind and no listen
			syscall.Umask(old)
			check.Must(t, err)
			info, err := os.Lstat(path)
			check.Must(t, err)
			check.Equal(t, "mode", fs.ModeSocket|mode&^fs.FileMode(umask), info.Mode())
			l.Close()
		}
	}
}

// A socket that cannot be given its permissions before, or that another server may
// have taken for a stale one, is bound aside.
func TestBoundAside(t *testing.T) {
	for name, set := range map[string]modeSetter{
		"no permissions": func(uintptr, fs.FileMode) error { return syscall.EINVAL },
		"no effect":      func(uintptr, fs.FileMode) error { return nil },
		"slow": func(fd uintptr, mode fs.FileMode) error {
			time.Sleep(staleAfter)
			return setMode(fd, mode)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(unixFolder(t, "s"), "s")
			abandon(t, path)
			synctest.Test(t, func(t *testing.T) {
				l, own, err := bindUnix(path, 0o620, set)
				check.Must(t, err)
				defer l.Close()
				if l.Addr().String() == path {
					t.Error("bound at its path")
				}
				info, err := os.Lstat(path)
				check.Must(t, err)
				if !os.SameFile(info, own) || info.Mode() != fs.ModeSocket|0o620 || !reachable(path) {
					t.Errorf("%v is its own: %v, reachable: %v", info, os.SameFile(info, own), reachable(path))
				}
			})
		})
	}
}

// A server that has bound its socket and does not listen yet is alive.
func TestBoundAndNotListening(t *testing.T) {
	path := filepath.Join(unixFolder(t, "s"), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	check.Must(t, err)
	defer syscall.Close(fd)
	check.Must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(staleAfter-1, func() { syscall.Listen(fd, 1) })
		if _, _, err := bindUnix(path, 0o600, setMode); err != errLive {
			t.Errorf("%v, want %v", err, errLive)
		}
	})
	if !reachable(path) {
		t.Error("not reachable")
	}
}

// Somebody who can write to the directory puts a link in the place of the socket: the
// socket that it leads to keeps its permissions.
func TestGrantFollowsNoLink(t *testing.T) {
	dir := check.SocketDir(t)
	other, link := filepath.Join(dir, "other"), filepath.Join(dir, "s")
	abandon(t, other)
	check.Must(t, os.Chmod(other, 0o600))
	check.Must(t, os.Symlink(other, link))
	if _, err := grant(link, 0o666); err == nil {
		t.Error("no error")
	}
	info, err := os.Lstat(other)
	check.Must(t, err)
	check.Equal(t, "mode", fs.ModeSocket|0o600, info.Mode())
}

// However few descriptors there are, nothing is left behind, and the reason is named.
func TestFewDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	check.Must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	free, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0)
	check.Must(t, err)
	check.Must(t, syscall.Close(free))
	listenUnix(filepath.Join(check.SocketDir(t), "s"), 0o600, t.Logf) // opens what Go keeps open
	for name, set := range map[string]modeSetter{
		"in place": setMode,
		"aside":    func(uintptr, fs.FileMode) error { return syscall.EINVAL },
	} {
		failed := 0
		for few := range uint64(10) {
			dir := check.SocketDir(t)
			path := filepath.Join(dir, "s")
			if few%2 == 0 {
				abandon(t, path)
			}
			check.Must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(free) + few, Max: limit.Max}))
			l, _, err := bindUnix(path, 0o666, set)
			check.Must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
			if err == nil {
				l.Close()
			} else if failed++; oserr.Cause(err).Error() != "too many open files" {
				t.Errorf("%s: %v", name, err)
			}
			left, err := os.ReadDir(dir)
			check.Must(t, err)
			left = slices.DeleteFunc(left, func(e fs.DirEntry) bool { return e.Name() == "s" })
			if len(left) > 0 {
				t.Errorf("%s, %d descriptors: %v is left", name, few, left)
			}
		}
		if failed == 0 || failed == 10 {
			t.Errorf("%s: %d of 10 have failed", name, failed)
		}
	}
}
