package scan

import (
	"fmt"
	"io/fs"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/pattern"
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

// What may answer to a name that a listing lacks: a name that differs in case only, and
// what is new and looks like it, or does not show how it looks.
func TestAliases(t *testing.T) {
	aFile := Entry{Size: 1, Mtime: check.Day1}
	aDir := Entry{Mode: fs.ModeDir}
	stat := fileStat(1, check.Day1)
	hashed := stat
	hashed.hash = 7
	var manyDirs []listed
	var manyNames []string
	for i := range 65 {
		manyDirs = append(manyDirs, listed{fmt.Sprint(i, "/"), Stat{}})
		manyNames = append(manyNames, fmt.Sprint(i))
	}
	for name, test := range map[string]struct {
		entry   Entry
		listing []listed
		want    []string
	}{
		"only case differs":      {aFile, []listed{{"X", fileStat(2, check.Day1)}}, []string{"X"}},
		"it looks the same":      {aFile, []listed{{"d/", Stat{}}, {"b", fileStat(2, check.Day1)}, {"c", stat}}, []string{"c"}},
		"it does not":            {aFile, []listed{{"b", fileStat(1, check.Day2)}}, nil},
		"it was there before":    {aFile, []listed{{"known", stat}}, nil},
		"contents are compared":  {aFile, []listed{{"b", hashed}}, []string{"b"}},
		"it cannot be examined":  {aFile, []listed{{"b", Stat{err: "x"}}}, []string{"b"}},
		"a file, a directory":    {aFile, []listed{{"d/", Stat{}}}, nil},
		"directories, a file":    {aDir, []listed{{"b", stat}, {"c/", Stat{}}, {"d/", Stat{}}}, []string{"c", "d"}},
		"more than are examined": {aDir, manyDirs, manyNames[:64]},
	} {
		names := &aliases{listing: test.listing, old: []node{{name: "x"}, {name: "known"}}}
		check.Equal(t, name, test.want, names.of("x", &test.entry))
	}
}

// What a filter leaves out is not in the listing, and may answer to a name as well.
func TestAliasesIgnored(t *testing.T) {
	var ignore pattern.Set
	ignore.Add("X")
	p := &pass{options: &Options{Filter: &pattern.Filter{Ignore: ignore}}}
	names := &aliases{all: []string{"X", "x", "y"}}
	names.read.Do(func() {})
	check.Equal(t, "names", []string{"X"}, names.ignored("x", p, "."))
}
