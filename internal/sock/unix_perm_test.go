//go:build unix

package sock

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

// The permissions are those asked for, whatever the umask.
func TestListenUnixUmask(t *testing.T) {
	for _, umask := range []int{0, 0o22, 0o77, 0o777} {
		path := filepath.Join(unixFolder(t), "s")
		old := syscall.Umask(umask)
		l, err := listenUnix(path, 0o620, t.Logf)
		syscall.Umask(old)
		check.Must(t, err)
		info, err := os.Lstat(path)
		check.Must(t, err)
		if info.Mode() != fs.ModeSocket|0o620 {
			t.Errorf("umask %#o: mode %v", umask, info.Mode())
		}
		l.Close()
	}
}

// The group is that of all else that is made in the folder.
func TestListenUnixGroup(t *testing.T) {
	groups, err := os.Getgroups()
	check.Must(t, err)
	if os.Geteuid() == 0 {
		groups = append(groups, os.Getegid()+1)
	}
	if len(groups) == 0 {
		t.Skip("no group to give a folder to")
	}
	folder := unixFolder(t)
	for _, group := range groups {
		check.Must(t, os.Chown(folder, -1, group))
		check.Must(t, os.Chmod(folder, 0o700|fs.ModeSetgid))
		for _, umask := range []int{0, 0o777} {
			old := syscall.Umask(umask)
			l, err := listenUnix(filepath.Join(folder, "s"), 0o660, t.Logf)
			syscall.Umask(old)
			check.Must(t, err)
			check.Write(t, filepath.Join(folder, "file"), "1", check.Day1)
			var is [2]syscall.Stat_t
			check.Must(t, syscall.Lstat(filepath.Join(folder, "s"), &is[0]))
			check.Must(t, syscall.Lstat(filepath.Join(folder, "file"), &is[1]))
			if is[0].Gid != is[1].Gid {
				t.Errorf("umask %#o: the group is %d, want %d", umask, is[0].Gid, is[1].Gid)
			}
			l.Close()
			check.Must(t, os.Remove(filepath.Join(folder, "file")))
		}
	}
}

// A server that is too busy to take connections is alive.
func TestListenUnixBusy(t *testing.T) {
	path := filepath.Join(unixFolder(t, "s"), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	check.Must(t, err)
	defer syscall.Close(fd)
	check.Must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	check.Must(t, syscall.Listen(fd, 0))
	for range 1000 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			if oserr.IsRefused(err) {
				t.Skipf("this system says of a busy server what it says of a dead one: %v", err)
			}
			break
		}
		defer conn.Close()
	}
	if _, err := listenUnix(path, 0o600, t.Logf); err == nil || !strings.HasPrefix(err.Error(), "another server may be listening on it: ") {
		t.Errorf("%v", err)
	}
}
