//go:build unix

package main

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The permissions are those asked for, whatever the umask.
func TestListenUnixUmask(t *testing.T) {
	for _, umask := range []int{0, 0o22, 0o77, 0o777} {
		path := filepath.Join(unixFolder(t), "s")
		old := syscall.Umask(umask)
		l, err := listenUnix(path, 0o620)
		syscall.Umask(old)
		must(t, err)
		info, err := os.Lstat(path)
		must(t, err)
		if info.Mode() != fs.ModeSocket|0o620 {
			t.Errorf("umask %#o: mode %v", umask, info.Mode())
		}
		l.Close()
	}
}

// A server that is too busy to take connections is alive.
func TestListenUnixBusy(t *testing.T) {
	path := filepath.Join(unixFolder(t, "s"), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	defer syscall.Close(fd)
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	must(t, syscall.Listen(fd, 0))
	for range 1000 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			if isRefused(err) {
				t.Skipf("this system says of a busy server what it says of a dead one: %v", err)
			}
			break
		}
		defer conn.Close()
	}
	if _, err := listenUnix(path, 0o600); err == nil || !strings.HasPrefix(err.Error(), "another server may be listening there: ") {
		t.Errorf("%v", err)
	}
}
