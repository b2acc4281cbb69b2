package scan

import (
	"io/fs"
	"testing"

	"net-watcher/internal/check"
)

// Two names may be of the same thing if an inode says so, and, since not every file system
// has numbers of its own for them, if nothing tells the two apart.
func TestPerhapsSame(t *testing.T) {
	one := Entry{Size: 1, Mtime: check.Day1, Dev: 1, Inode: 2}
	for name, test := range map[string]struct {
		change func(e *Entry)
		want   bool
	}{
		"nothing differs":              {func(e *Entry) {}, true},
		"it is written to":             {func(e *Entry) { e.Size, e.Mtime = 2, check.Day2 }, true},
		"only the inode differs":       {func(e *Entry) { e.Inode = 3 }, true},
		"another size and inode":       {func(e *Entry) { e.Size, e.Inode = 2, 3 }, false},
		"another time and inode":       {func(e *Entry) { e.Mtime, e.Inode = check.Day2, 3 }, false},
		"another type and inode":       {func(e *Entry) { e.Mode, e.Inode = fs.ModeSymlink, 3 }, false},
		"another size and device":      {func(e *Entry) { e.Size, e.Dev = 2, 2 }, false},
		"another size, without inodes": {func(e *Entry) { e.Size, e.Inode = 2, 0 }, false},
	} {
		other := one
		test.change(&other)
		check.Equal(t, name, test.want, perhapsSame(&one, &other))
	}
	without := Entry{Size: 1, Mtime: check.Day1}
	if larger := (Entry{Size: 2, Mtime: check.Day1}); perhapsSame(&without, &larger) {
		t.Error("two files without inodes are the same for that")
	}
}
