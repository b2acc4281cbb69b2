package scan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// A file without a name is not mounted for that: a link may lead to a descriptor, and some
// file systems count no names. (scripts/mount-check.sh mounts one.)
func TestNotMounted(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	check.Must(t, err)
	defer file.Close()
	check.Must(t, os.Remove(file.Name()))
	path := filepath.Join(t.TempDir(), "link")
	check.Must(t, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), path))
	e, err := scan.OS{}.Stat(path)
	check.Must(t, err)
	if !e.Unlinked {
		t.Fatal("the file has a name")
	}
	d := newDriver(t, faults.Real(), scan.Options{}, path)
	d.begin()
	for range 3 {
		d.scan()
	}
	check.Equal(t, "notices", []scan.Notice(nil), d.notices)
}

// What is mounted by itself is told from what is not. What the system does not say is yes.
func TestIsMounted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	check.Write(t, file, "1", check.Day1)
	for name, want := range map[string]bool{"/": true, "/proc": true, file: false, filepath.Dir(file): false, file + "none": true} {
		check.Equal(t, name, want, scan.OS{}.IsMounted(name))
	}
	t.Chdir(filepath.Dir(file))
	check.Equal(t, "by a relative name", false, scan.OS{}.IsMounted("f"))
}

// A file system that is not known to have no server may have one.
func TestIsRemote(t *testing.T) {
	for name, want := range map[string]bool{"/proc": false, "/dev/pts": true} {
		if is, isProgram := (scan.OS{}).IsRemote(name); is != want || isProgram {
			t.Errorf("%s: %v, %v", name, is, isProgram)
		}
	}
}
