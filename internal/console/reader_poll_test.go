//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package console

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
)

// Only a reader that does not come again is gone.
func TestReaderGone(t *testing.T) {
	expect := func(what string, file *os.File, want bool) {
		t.Helper()
		conn, err := file.SyscallConn()
		check.Must(t, err)
		conn.Control(func(fd uintptr) {
			if got := mayLoseReader(file) && readerGone(int(fd)); got != want {
				t.Errorf("%s: gone is %v", what, got)
			}
		})
	}
	dir := t.TempDir()

	r, w, err := os.Pipe()
	check.Must(t, err)
	defer w.Close()
	expect("a pipe", w, false)
	w.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	w.Write(make([]byte, 1<<20))
	expect("a full pipe", w, false)
	r.Close()
	expect("a pipe without a reader", w, true)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if NewOutput(w).AwaitNoReader(ctx); ctx.Err() != nil {
		t.Error("waited 30 s in vain")
	}

	fifo := filepath.Join(dir, "fifo")
	check.Must(t, syscall.Mkfifo(fifo, 0o600))
	both, err := os.OpenFile(fifo, os.O_RDWR, 0)
	check.Must(t, err)
	w, err = os.OpenFile(fifo, os.O_WRONLY, 0)
	check.Must(t, err)
	defer w.Close()
	expect("a FIFO", w, false)
	both.Close()
	expect("a FIFO that nobody reads now", w, false)

	pair := func() (ours, theirs *os.File) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		check.Must(t, err)
		ours, theirs = os.NewFile(uintptr(fds[0]), ""), os.NewFile(uintptr(fds[1]), "")
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		return ours, theirs
	}
	ours, theirs := pair()
	expect("a socket", ours, false)
	check.Must(t, syscall.Shutdown(int(theirs.Fd()), syscall.SHUT_WR))
	expect("a socket whose peer writes no more", ours, false)
	theirs.Close()
	expect("a socket without a peer", ours, true)

	for _, name := range []string{filepath.Join(dir, "file"), os.DevNull} {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
		check.Must(t, err)
		defer file.Close()
		expect(name, file, false)
	}
}
