//go:build unix

package sock

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
)

// keepByHand returns a listener at path whose file is checked only when the test does
// so, and the log.
func keepByHand(t *testing.T, path string) (*unixListener, *check.Buffer) {
	t.Helper()
	var log check.Buffer
	l := newUnixListener(path, 0o600, func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) })
	check.Must(t, l.bind())
	go l.keep(nil)
	t.Cleanup(func() { l.Close() })
	return l, &log
}

// accepted returns a new connection to path that l has accepted.
func accepted(t *testing.T, l net.Listener, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	check.Must(t, err)
	return server(t, l, conn)
}

// server accepts conn from l, and returns the client's end, which has got a line
// through it.
func server(t *testing.T, l net.Listener, conn net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	defer time.AfterFunc(30*time.Second, func() { l.Close() }).Stop() // so that a failing test ends
	theirs, err := l.Accept()
	check.Must(t, err)
	t.Cleanup(func() { theirs.Close() })
	go io.Copy(theirs, theirs)
	echo(t, conn)
	return conn
}

func echo(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, err := conn.Write([]byte("x"))
	check.Must(t, err)
	_, err = conn.Read(make([]byte, 1))
	check.Must(t, err)
}

// A socket whose file is removed, or moved away, is made again. Subscribers that are
// connected or about to be keep their connection.
func TestFileRemoved(t *testing.T) {
	dir := unixFolder(t)
	path := filepath.Join(dir, "s")
	l, log := keepByHand(t, path)
	l.checkFile()
	before := accepted(t, l, path)
	for range 2 {
		waiting, err := net.Dial("unix", path)
		check.Must(t, err)
		check.Must(t, os.Remove(path))
		l.checkFile()
		l.checkFile()
		check.Equal(t, "log", []string{fmt.Sprintf("unix socket %q was removed, and is made again", path)}, log.Take())
		server(t, l, waiting)
		accepted(t, l, path)
		echo(t, before)
	}
	if n := len(l.sockets); n != 1 {
		t.Errorf("%d sockets are left, want 1", n)
	}
}

// A path that something else has taken is left to that, and taken back when it is
// free.
func TestFileReplaced(t *testing.T) {
	dir := unixFolder(t)
	path := filepath.Join(dir, "s")
	l, log := keepByHand(t, path)
	check.Must(t, os.Remove(path))
	other, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check.Must(t, err)
	for range 3 {
		l.checkFile()
	}
	check.Equal(t, "log", []string{
		fmt.Sprintf("unix socket %q was replaced, and cannot be made again for now: another server is listening on it", path),
	}, log.Take())
	other.SetDeadline(time.Now().Add(30 * time.Second))
	if conn, err := other.Accept(); err != nil { // the one try
		t.Error(err)
	} else {
		conn.Close()
	}
	other.Close()
	check.Write(t, path, "precious", check.Day1)
	l.checkFile()
	if got := log.Take(); got != nil {
		t.Errorf("within a minute it tries again: %q", got)
	}
	l.tried = time.Now().Add(-replacedInterval)
	l.checkFile()
	check.Equal(t, "log", []string{
		fmt.Sprintf("unix socket %q was replaced, and cannot be made again for now: path exists and is not a socket", path),
	}, log.Take())
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("the file is now %q, %v", got, err)
	}
	check.Must(t, os.Remove(path))
	l.checkFile()
	check.Equal(t, "log", []string{fmt.Sprintf("unix socket %q is made again", path)}, log.Take())
	accepted(t, l, path)
}

// A file that was away for some time is taken as it is, and one whose directory is
// away is made as soon as it can be.
func TestFileBack(t *testing.T) {
	dir := unixFolder(t)
	inner, aside := filepath.Join(dir, "d"), filepath.Join(dir, "e")
	check.Must(t, os.Mkdir(inner, 0o777))
	path := filepath.Join(inner, "s")
	l, log := keepByHand(t, path)
	check.Must(t, os.Rename(inner, aside))
	l.checkFile()
	l.checkFile()
	if got := log.Take(); len(got) != 1 {
		t.Errorf("the log has %q, want one line", got)
	}
	check.Must(t, os.Rename(aside, inner))
	l.checkFile()
	check.Equal(t, "log", []string{fmt.Sprintf("unix socket %q is back", path)}, log.Take())
	accepted(t, l, path)
	check.Must(t, os.RemoveAll(inner))
	l.checkFile()
	check.Must(t, os.Mkdir(inner, 0o777))
	log.Take()
	l.checkFile()
	check.Equal(t, "log", []string{fmt.Sprintf("unix socket %q is made again", path)}, log.Take())
	accepted(t, l, path)
	l.Close()
	check.Must(t, os.Remove(inner))
}

// A file system that hangs delays the end by removeTimeout, and no more.
func TestCloseHangs(t *testing.T) {
	path := filepath.Join(unixFolder(t, "s"), "s")
	synctest.Test(t, func(t *testing.T) {
		l := newUnixListener(path, 0o600, t.Logf)
		check.Must(t, l.bind())
		begin := time.Now()
		l.Close() // and there is no goroutine keep
		if took := time.Since(begin); took != removeTimeout || reachable(path) {
			t.Errorf("took %v; still reachable: %v", took, reachable(path))
		}
	})
}
