// Package check holds what the tests of several packages share: one line for
// what would be three or four. Only tests import it.
package check

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/oserr"
)

// Day1 is a time with nanoseconds for files to have, and Day2 is a day later.
var (
	Day1 = time.Date(2001, 2, 3, 4, 5, 6, 700, time.UTC)
	Day2 = Day1.Add(24 * time.Hour)
)

// Must ends the test if err is not nil.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Equal reports an error that begins with what if want and got differ.
func Equal(tb testing.TB, what string, want, got any, options ...cmp.Option) {
	tb.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Eventually returns when holds returns true, and ends the test if it has not
// done so after 30 s.
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited 30 s in vain: %s", what)
		}
	}
}

// Write makes the file name have the content and the mtime.
func Write(tb testing.TB, name, content string, mtime time.Time) {
	tb.Helper()
	Must(tb, os.WriteFile(name, []byte(content), 0o666))
	Must(tb, os.Chtimes(name, mtime, mtime))
}

// MakeTree makes directories in the new directory name, and as many empty files in
// each.
func MakeTree(tb testing.TB, name string, dirs, files int) {
	tb.Helper()
	for i := range dirs {
		dir := filepath.Join(name, fmt.Sprintf("dir%04d", i))
		Must(tb, os.MkdirAll(dir, 0o777))
		for j := range files {
			Must(tb, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%06d.txt", j)), nil, 0o666))
		}
	}
}

// Symlink makes a symbolic link to target, and skips the test where the system
// refuses that.
func Symlink(tb testing.TB, target, name string) {
	tb.Helper()
	if err := os.Symlink(target, name); err != nil {
		tb.Skipf("no symbolic links here: %v", err)
	}
}

// SocketDir returns a temporary directory with a path that is short enough for a
// socket in it, as that of TempDir may not be.
func SocketDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "")
	Must(tb, err)
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// NeedUnix skips the test where the system has no Unix sockets.
func NeedUnix(tb testing.TB) {
	tb.Helper()
	l, err := net.Listen("unix", filepath.Join(SocketDir(tb), "s"))
	if oserr.IsNoAddress(err) {
		tb.Skipf("no Unix sockets here: %v", err)
	}
	Must(tb, err)
	l.Close()
}

// Loopbacks returns the loopback addresses that this machine has.
func Loopbacks(tb testing.TB) []string {
	tb.Helper()
	var have []string
	for _, ip := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if oserr.IsNoAddress(err) {
			continue
		}
		Must(tb, err)
		l.Close()
		have = append(have, ip)
	}
	return have
}

// Message returns the text of err, "" for nil.
func Message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Errno returns an error of a file system call with the number that this system
// uses: unix, or windows on Windows.
func Errno(unix, windows syscall.Errno) error {
	if runtime.GOOS == "windows" {
		return PathError(windows)
	}
	return PathError(unix)
}

// PathError returns err as package os returns it from a call with a path.
func PathError(err error) error { return &fs.PathError{Op: "stat", Path: "/secret/f", Err: err} }

// Buffer is a log that a test reads while others write to it. Its methods may be
// called from any goroutine.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// Take returns the lines written since the last Take.
func (b *Buffer) Take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := strings.Split(strings.TrimSuffix(b.b.String(), "\n"), "\n")
	b.b.Reset()
	if lines[0] == "" {
		return nil
	}
	return lines
}
