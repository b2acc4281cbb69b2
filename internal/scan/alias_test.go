package scan

import (
	"io/fs"
	"os"
	"testing"
	"time"

	"net-watcher/internal/check"
)

// made is what a file system without inodes says of a file.
type made struct {
	fs.FileInfo
	size  int64
	mode  fs.FileMode
	mtime time.Time
}

func (m made) Size() int64        { return m.size }
func (m made) Mode() fs.FileMode  { return m.mode }
func (m made) ModTime() time.Time { return m.mtime }

// Two names may be of the same thing if an inode says so, and, since not every file system
// has them, if nothing tells the two apart.
func TestPerhapsSame(t *testing.T) {
	dir := t.TempDir()
	check.Write(t, dir+"/a", "1", check.Day1)
	check.Must(t, os.Link(dir+"/a", dir+"/b"))
	before, err := os.Lstat(dir + "/a")
	check.Must(t, err)
	check.Write(t, dir+"/b", "22", check.Day2)
	after, err := os.Lstat(dir + "/b")
	check.Must(t, err)
	if !perhapsSame(before, after) {
		t.Error("one file, which is written to meanwhile, is taken for two")
	}
	one := made{size: 1, mode: 0o600, mtime: check.Day1}
	for name, test := range map[string]struct {
		other made
		want  bool
	}{
		"nothing differs":  {one, true},
		"the size differs": {made{size: 2, mode: one.mode, mtime: one.mtime}, false},
		"the mode differs": {made{size: 1, mode: fs.ModeSymlink, mtime: one.mtime}, false},
		"the time differs": {made{size: 1, mode: one.mode, mtime: one.mtime.Add(1)}, false},
	} {
		check.Equal(t, name, test.want, perhapsSame(one, test.other))
	}
}
