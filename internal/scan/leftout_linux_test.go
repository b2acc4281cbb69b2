//go:build amd64 || arm64 || riscv64

package scan

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/pattern"
)

// What is left out is not examined where the directory knows the type that decides.
func TestReaddirLeavesOut(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.go", "b", "c.o"} {
		check.Write(t, dir+"/"+name, "", time.Unix(1, 0))
	}
	for _, name := range []string{"d", "e.o"} {
		check.Must(t, os.Mkdir(dir+"/"+name, 0o700))
	}
	check.Must(t, os.Symlink("d", dir+"/link"))
	var filter pattern.Filter
	filter.Only.Add("*.go")
	filter.Ignore.Add("*.o")
	f, err := OS{}.OpenDir(dir, false)
	check.Must(t, err)
	defer f.Close()
	buf := make([]Entry, 10)
	n, err := f.ReadEntries(buf, filter.Root())
	check.Must(t, err)
	got := make(map[string]bool)
	for _, e := range buf[:n] {
		if e.LeftOut != (e.Mtime.IsZero() && e.Inode == 0) {
			t.Errorf("%+v", e)
		}
		got[strings.Clone(e.Name)] = e.LeftOut
	}
	check.Equal(t, "left out", map[string]bool{"a.go": false, "b": true, "c.o": true, "d": false, "e.o": true, "link": true}, got)

	// Without the type, what may be a directory is examined.
	for name, want := range map[string]bool{"a.go": false, "b": false, "c.o": true} {
		if leavesOut(filter.Root(), name, syscall.DT_UNKNOWN) != want {
			t.Errorf("%s is left out: %v", name, !want)
		}
	}
}
