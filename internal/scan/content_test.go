package scan_test

import (
	"strings"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// A file is read up to its size, since it may grow faster than it is read; but those
// of /proc say that they are empty, and are not.
func TestContentSize(t *testing.T) {
	const most = 1 << 20 // of a file that says it is empty
	large := strings.Repeat("x", 100_000)
	for _, test := range []struct {
		name    string
		content string
		size    int64  // that it says it has
		next    string // the content, before the next scan
		watch   string
		want    []string
	}{
		{"as it says", "abc", 3, "abd", "watching f, 3 bytes", []string{"modified f, 3 bytes"}},
		{"the same", "abc", 3, "abc", "watching f, 3 bytes", nil},
		{"more than it says", "abcdef", 3, "abcxyz1", "watching f, 3 bytes", nil},
		{"less than it says", "abc", 10, "ab", "watching f, 3 bytes", []string{"modified f, 2 bytes"}},
		{"it says nothing", "abc", 0, "abd", "watching f, 3 bytes", []string{"modified f, 3 bytes"}},
		{"it says nothing, and is empty", "", 0, "a", "watching f, 0 bytes", []string{"modified f, 1 bytes"}},
		{"the last of many bytes", large + "a", 100_001, large + "b", "watching f, 100001 bytes", []string{"modified f, 100001 bytes"}},
		{"it says nothing, and is endless", strings.Repeat("x", most+9), 0, strings.Repeat("x", most+99), "watching f, 1048576 bytes", nil},
	} {
		ff := faults.Made()
		ff.Put("f", 0, check.Day1)
		contain := func(content string) {
			ff.Tree.Edit("f", func(f *faults.Inode) { f.Content, f.Size = content, test.size })
		}
		contain(test.content)
		d := newDriver(t, ff, scan.Options{Content: true}, "f")
		check.Equal(t, test.name+": first scan", []string{test.watch}, d.begin())
		contain(test.next)
		check.Equal(t, test.name, test.want, d.scan())
	}
}
