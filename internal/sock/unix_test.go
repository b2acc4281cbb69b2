package sock

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

// unixFolder returns an empty folder for sockets, and checks at the end that
// it holds what is named and nothing else.
func unixFolder(t *testing.T, left ...string) string {
	t.Helper()
	check.NeedUnix(t)
	dir := check.SocketDir(t)
	t.Cleanup(func() {
		entries, err := os.ReadDir(dir)
		check.Must(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		check.Equal(t, "left in the folder", left, got)
	})
	return dir
}

// reachable reports whether somebody listens at path.
func reachable(path string) bool {
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// abandon leaves a socket at path that nobody listens on.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check.Must(t, err)
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(unixFolder(t), "s")
	for _, mode := range []fs.FileMode{0o600, 0o666} {
		l, err := listenUnix(path, mode, t.Logf)
		check.Must(t, err)
		if got := l.Addr().String(); got != path {
			t.Errorf("address %q, want %q", got, path)
		}
		info, err := os.Lstat(path)
		check.Must(t, err)
		if runtime.GOOS != "windows" && info.Mode() != fs.ModeSocket|mode {
			t.Errorf("mode %v, want %v", info.Mode(), fs.ModeSocket|mode)
		}
		if !reachable(path) {
			t.Error("not reachable")
		}
		if _, err := listenUnix(path, mode, t.Logf); !errors.Is(err, errLive) {
			t.Errorf("a second server: %v, want %v", err, errLive)
		}
		if !reachable(path) {
			t.Error("not reachable after a second server tried")
		}
		check.Must(t, l.Close())
		check.Must(t, l.Close())
	}
}

func TestListenUnixReclaims(t *testing.T) {
	path := filepath.Join(unixFolder(t), "s")
	abandon(t, path)
	l, err := listenUnix(path, 0o600, t.Logf)
	check.Must(t, err)
	if !reachable(path) {
		t.Error("not reachable")
	}
	l.Close()
}

// The path is taken as it is.
func TestListenUnixPaths(t *testing.T) {
	t.Chdir(unixFolder(t, "@d", "d", "up"))
	check.Must(t, os.MkdirAll("d/deep", 0o777))
	check.Must(t, os.Mkdir("@d", 0o777))
	check.Must(t, os.Mkdir("up", 0o777))
	paths := []string{"s", "./@s", "./@d/s", "d/deep/../s"}
	if os.Symlink(filepath.Join("..", "d", "deep"), "up/link") == nil {
		paths = append(paths, "up/link/../s") // which is d/s
	}
	for _, path := range paths {
		l, err := listenUnix(path, 0o600, t.Logf)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !reachable(path) {
			t.Errorf("%s is not reachable", path)
		}
		l.Close()
	}
}

// What is no socket is left alone.
func TestListenUnixNoSocket(t *testing.T) {
	dir := unixFolder(t, "dir", "file")
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "dir")
	check.Write(t, file, "precious", check.Day1)
	check.Must(t, os.Mkdir(folder, 0o777))
	for _, path := range []string{file, folder} {
		if _, err := listenUnix(path, 0o600, t.Logf); check.Message(err) != "path exists and is not a socket" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "precious" {
		t.Errorf("the file is now %q, %v", got, err)
	}
}

// Nor is a link followed and its target taken for the socket's own path.
func TestListenUnixSymlink(t *testing.T) {
	dir := unixFolder(t, "link", "s")
	path, link := filepath.Join(dir, "s"), filepath.Join(dir, "link")
	abandon(t, path)
	check.Symlink(t, path, link)
	if _, err := listenUnix(link, 0o600, t.Logf); check.Message(err) != "path exists and is not a socket" {
		t.Errorf("%v", err)
	}
}

// At the end only the own socket is removed.
func TestListenUnixClose(t *testing.T) {
	dir := unixFolder(t, "s")
	path := filepath.Join(dir, "s")
	l, err := listenUnix(path, 0o600, t.Logf)
	check.Must(t, err)
	check.Must(t, os.Remove(path))
	other, err := listenUnix(path, 0o600, t.Logf)
	check.Must(t, err)
	l.Close()
	if !reachable(path) {
		t.Error("the socket of another server was removed")
	}
	other.Close()

	l, err = listenUnix(path, 0o600, t.Logf)
	check.Must(t, err)
	check.Must(t, os.Remove(path))
	check.Write(t, path, "mine", check.Day1)
	l.Close()
}

// Of two servers that start at the same time over a stale socket one wins, and
// stays reachable.
func TestListenUnixRace(t *testing.T) {
	dir := unixFolder(t)
	path := filepath.Join(dir, "s")
	for range 20 {
		abandon(t, path)
		var won []net.Listener
		var mu sync.Mutex // guards won
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				l, err := listenUnix(path, 0o600, t.Logf)
				switch {
				case err == nil:
					mu.Lock()
					won = append(won, l)
					mu.Unlock()
				case !errors.Is(err, errLive):
					t.Errorf("loser: %v", err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 || !reachable(path) {
			t.Fatalf("%d servers won; reachable: %v", len(won), reachable(path))
		}
		won[0].Close()
	}
}

// A live socket that has come in place of the stale one is put back.
func TestTakeAway(t *testing.T) {
	dir := unixFolder(t, "s")
	path, old := filepath.Join(dir, "s"), filepath.Join(dir, "old")
	abandon(t, filepath.Join(dir, "stale"))
	stale, err := os.Lstat(filepath.Join(dir, "stale"))
	check.Must(t, err)
	os.SameFile(stale, stale) // on Windows, look at it now
	check.Must(t, os.Remove(filepath.Join(dir, "stale")))
	abandon(t, filepath.Join(dir, "other")) // another inode than the stale one's
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check.Must(t, err)
	defer l.Close()
	l.SetUnlinkOnClose(false)
	check.Must(t, os.Remove(filepath.Join(dir, "other")))
	if err := takeAway(path, old, stale); !errors.Is(err, errLive) || !reachable(path) {
		t.Errorf("%v; reachable: %v", err, reachable(path))
	}
}

// Of a path that is no socket the system says that it refuses the connection.
func TestDialNoSocket(t *testing.T) {
	dir := unixFolder(t, "file", "stale")
	file := filepath.Join(dir, "file")
	check.Write(t, file, "1", check.Day1)
	stale := filepath.Join(dir, "stale")
	abandon(t, stale)
	for path, want := range map[string]string{dir: " (it is not a socket)", file: " (it is not a socket)", stale: ""} {
		_, err := Address{"unix", path}.Dial(t.Context())
		if !oserr.IsRefused(err) || err.Error() != oserr.Cause(errors.Unwrap(err)).Error()+want {
			t.Errorf("%s: %v, want %q at the end", path, err, want)
		}
	}
}

// Where a socket cannot be linked, what has come to be at its path is not taken
// for the socket.
func TestPlaceWithoutLink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	check.Write(t, path, "of another server", check.Day1)
	if err := place(path+".none", path); err != errLive {
		t.Errorf("%v, want %v", err, errLive)
	}
}

func TestListenUnixErrors(t *testing.T) {
	dir := unixFolder(t)
	long := filepath.Join(dir, strings.Repeat("x", 2000))
	if _, err := listenUnix(long, 0o600, t.Logf); err == nil || !strings.HasPrefix(err.Error(), "path too long by ") {
		t.Errorf("too long: %v", err)
	}
	_, err := listenUnix(filepath.Join(dir, "none", "s"), 0o600, t.Logf)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	// The longest path that the system takes is one that this program takes.
	most := len(syscall.RawSockaddrUnix{}.Path) - 1
	if pad := most - len(dir) - 1; pad > 0 {
		path := filepath.Join(dir, strings.Repeat("x", pad))
		l, err := listenUnix(path, 0o600, t.Logf)
		check.Must(t, err)
		if !reachable(path) {
			t.Error("not reachable at the longest path")
		}
		l.Close()
	}
}
