package faults

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
	"net-watcher/internal/scan"
)

// writer is what a Tree and the system's file system have in common.
type writer interface {
	Mkdir(name string) error
	Write(name, content string) error
	Append(name, content string) error
	Rename(name, other string) error
	Exchange(name, other string) error
	Remove(name string) error
	RemoveAll(name string) error
	Symlink(target, name string) error
	Link(name, other string) error
	Chtimes(name string, mtime time.Time) error
}

// disk is the system's file system.
type disk struct{}

func (disk) Mkdir(name string) error                    { return os.Mkdir(name, 0o777) }
func (disk) Write(name, content string) error           { return os.WriteFile(name, []byte(content), 0o666) }
func (disk) Rename(name, other string) error            { return os.Rename(name, other) }
func (disk) Remove(name string) error                   { return os.Remove(name) }
func (disk) RemoveAll(name string) error                { return os.RemoveAll(name) }
func (disk) Symlink(target, name string) error          { return os.Symlink(target, name) }
func (disk) Link(name, other string) error              { return os.Link(name, other) }
func (disk) Chtimes(name string, mtime time.Time) error { return os.Chtimes(name, mtime, mtime) }

func (disk) Append(name, content string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(content)
	return err
}

func (disk) Exchange(name, other string) error {
	const between = "between"
	for _, pair := range [][2]string{{name, between}, {other, name}, {between, other}} {
		if err := os.Rename(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}

// treeTests is what happens in a Tree and on a disk alike: a call, and what comes of
// it.
var treeTests = []struct {
	name  string
	unix  bool // other systems may differ
	steps string
}{
	{"files and directories", false, `
		mkdir d: ok
		mkdir d: fails
		mkdir e/f: fails
		write d/a 12: ok
		write d/sub/a 1: fails
		write d 1: fails
		mkdir d/sub: ok
		stat d/a: file 2
		lstat d/a: file 2
		stat d: directory
		stat ./d/../d/a: file 2
		stat none: not there
		stat d/a/b: not there
		list d: a:2 sub/
		names d: a sub
		dirs d: sub
		read d/a: 12
		append d/a 345: ok
		append none 1: fails
		read d/a: 12345
		list d: a:5 sub/
		write d/a 6: ok
		read d/a: 6
		read d: fails
		list none: not there
		list d/sub: nothing
		dirs none: not there
		real d/./sub/..: d`},
	{"removing", false, `
		mkdir d: ok
		mkdir d/e: ok
		write d/e/f 1: ok
		remove none: fails
		remove d/e: fails
		remove d/e/f: ok
		stat d/e/f: not there
		remove d/e: ok
		list d: nothing
		mkdir d/e: ok
		write d/e/f 1: ok
		removeall d: ok
		removeall d: ok
		stat d: not there
		stat d/e/f: not there
		mkdir d: ok
		list d: nothing`},
	{"renaming", false, `
		mkdir d: ok
		write d/a 1: ok
		write d/b 22: ok
		rename d/a d/b: ok
		list d: b:1
		rename d/a d/b: fails
		rename d/b e/b: fails
		rename d/b d/b: ok
		mkdir e: ok
		mkdir e/f: ok
		write e/f/g 333: ok
		rename e d/e: ok
		stat e: not there
		read d/e/f/g: 333
		rename d d/e/d: fails
		rename d/b d/e: fails
		list d: b:1 e/
		mkdir x: ok
		exchange d x: ok
		list d: nothing
		list x: b:1 e/
		exchange d none: fails`},
	{"kinds", true, `
		mkdir d: ok
		mkdir e: ok
		write f 1: ok
		write g 1: ok
		rename d f: fails
		rename f d: fails
		rename d e: fails
		opendir d: ok
		opendir f: fails
		opendir none: fails
		list f: not there`},
	{"symbolic links", true, `
		mkdir d: ok
		write d/a 12: ok
		symlink d/a l: ok
		symlink x l: fails
		lstat l: link
		stat l: file 2
		read l: 12
		real l: d/a
		symlink ../d d/up: ok
		list d: a:2 up@
		list d/up: a:2 up@
		opendir d/up: fails
		read d/up/up/a: 12
		real d/up/up/a: d/a
		dirs d: nothing
		symlink n dangling: ok
		stat dangling: not there
		lstat dangling: link
		real dangling: not there
		write dangling 1: ok
		read n: 1
		symlink one two: ok
		symlink two one: ok
		stat one: fails
		lstat one: link
		stat one/a: fails
		append l 3: ok
		read d/a: 123
		rename l m: ok
		lstat m: link
		remove m: ok
		read d/a: 123
		removeall d/up: ok
		stat d/a: file 3
		symlink d e: ok
		write e/b 1: ok
		rename e/b e/c: ok
		list d: a:3 c:1
		list e/: a:3 c:1
		lstat d/a/: not there`},
	{"hard links", true, `
		write a 1: ok
		link a b: ok
		link a b: fails
		link none c: fails
		append b 23: ok
		read a: 123
		old a: ok
		touched b: false
		rename a b: ok
		stat a: file 3
		remove a: ok
		read b: 123
		mkdir d: ok
		link d e: fails`},
	{"times", true, `
		mkdir d: ok
		old d: ok
		write d/a 1: ok
		touched d: true
		old d: ok
		old d/a: ok
		append d/a 2: ok
		touched d/a: true
		touched d: false
		old d/a: ok
		write d/a 12: ok
		touched d/a: true
		old d: ok
		old d/a: ok
		rename d/a d/b: ok
		touched d: true
		touched d/b: false
		old d: ok
		remove d/b: ok
		touched d: true`},
}

// What a scan sees of what a writer does is the same in memory and on a disk.
func TestTree(t *testing.T) {
	for _, test := range treeTests {
		t.Run("memory/"+test.name, func(t *testing.T) {
			tree := NewTree()
			treeTest{tree, tree}.run(t, test.steps)
		})
		t.Run("disk/"+test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if test.unix && runtime.GOOS == "windows" {
				t.Skip("this differs here")
			}
			treeTest{disk{}, scan.OS{}}.run(t, test.steps)
		})
	}
}

// Where case makes no difference, names are kept as they were spelled, and a rename
// may change only that.
func TestFold(t *testing.T) {
	tree := NewTree()
	tree.Fold = true
	treeTest{tree, tree}.run(t, `
		mkdir Dir: ok
		mkdir dir: fails
		write dir/Hello 1: ok
		write dir/HELLO 22: ok
		list dir: Hello:2
		stat DIR/hello: file 2
		rename dir/hello dir/heLLo: ok
		list Dir: heLLo:2
		rename Dir DIR: ok
		names .: DIR
		write x 1: ok
		rename x dir/Hello: ok
		list dir: Hello:1
		symlink DIR/hello l: ok
		read L: 1
		remove dir/HELLO: ok
		list dir: nothing
		exchange dir none: fails`)
}

// treeTest does to the writer what the steps say, and compares what comes of it.
type treeTest struct {
	to   writer
	seen scan.FileSystem
}

func (tt treeTest) run(t *testing.T, steps string) {
	for line := range strings.Lines(steps) {
		step, want, ok := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case ok:
			check.Equal(t, step, want, tt.do(strings.Fields(step)))
		case step != "":
			t.Errorf("%q has no result", step)
		}
	}
}

func (tt treeTest) do(words []string) string {
	name, arg := words[1], words[len(words)-1]
	switch words[0] {
	case "mkdir":
		return done(tt.to.Mkdir(name))
	case "write":
		return done(tt.to.Write(name, arg))
	case "append":
		return done(tt.to.Append(name, arg))
	case "rename":
		return done(tt.to.Rename(name, arg))
	case "exchange":
		return done(tt.to.Exchange(name, arg))
	case "remove":
		return done(tt.to.Remove(name))
	case "removeall":
		return done(tt.to.RemoveAll(name))
	case "symlink":
		return done(tt.to.Symlink(name, arg))
	case "link":
		return done(tt.to.Link(name, arg))
	case "old":
		return done(tt.to.Chtimes(name, check.Day1))
	case "touched":
		e, err := tt.seen.Stat(name)
		return outcome(fmt.Sprint(!e.Mtime.Equal(check.Day1)), err)
	case "stat":
		e, err := tt.seen.Stat(name)
		return outcome(kind(e), err)
	case "lstat":
		e, err := tt.seen.Lstat(name)
		return outcome(kind(e), err)
	case "real":
		real, err := tt.seen.EvalSymlinks(name)
		return outcome(filepath.ToSlash(real), err)
	case "opendir":
		d, err := tt.seen.OpenDir(name, false)
		if err == nil {
			d.Close()
		}
		return done(err)
	case "dirs":
		dirs, err := tt.seen.DirNames(name)
		var names []string
		for dir := range dirs {
			names = append(names, dir)
		}
		return outcome(join(names), err)
	case "read":
		f, err := tt.seen.Open(name)
		if err != nil {
			return outcome("", err)
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		return outcome(string(b), err)
	}
	d, err := tt.seen.OpenDir(name, true)
	if err != nil {
		return outcome("", err)
	}
	defer d.Close()
	switch words[0] {
	case "names":
		names, err := d.Readdirnames(100)
		return outcome(join(names), err)
	case "list":
		entries, err := list(d)
		return outcome(join(entries), err)
	}
	return "no such call"
}

// list returns the entries of a directory in short, read one by one.
func list(d scan.Dir) (entries []string, err error) {
	for {
		buf := make([]scan.Entry, 1)
		n, err := d.ReadEntries(buf, nil)
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		for _, e := range buf[:n] {
			switch {
			case e.Err != nil:
				entries = append(entries, e.Name+"!")
			case e.Mode.IsDir():
				entries = append(entries, e.Name+"/")
			case e.Mode.Type() == fs.ModeSymlink:
				entries = append(entries, e.Name+"@")
			default:
				entries = append(entries, fmt.Sprintf("%s:%d", e.Name, e.Size))
			}
		}
	}
}

// done returns whether a call failed: how, systems differ in.
func done(err error) string {
	if err != nil {
		return "fails"
	}
	return "ok"
}

// outcome returns what, or what kind of an error err is.
func outcome(what string, err error) string {
	switch {
	case err == nil:
		return what
	case oserr.IsNotExist(err):
		return "not there"
	}
	return "fails"
}

// kind returns what e describes.
func kind(e scan.Entry) string {
	switch {
	case e.Mode.IsDir():
		return "directory"
	case e.Mode.Type() == fs.ModeSymlink:
		return "link"
	}
	return fmt.Sprintf("file %d", e.Size)
}

func join(names []string) string {
	slices.Sort(names)
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " ")
}

// What happens to a file or directory that is open.
func TestTreeOpen(t *testing.T) {
	tree := NewTree()
	check.Must(t, tree.MkdirAll("d/sub"))
	check.Must(t, tree.Write("d/a", "123"))
	check.Must(t, tree.Write("d/b", "1"))
	open := func(name string) scan.Dir {
		d, err := tree.OpenDir(name, false)
		check.Must(t, err)
		return d
	}
	dir, removed := open("d"), open("d/sub")
	file, err := tree.Open("d/a")
	check.Must(t, err)
	buf := make([]scan.Entry, 1)
	n, err := dir.ReadEntries(buf, nil)
	check.Equal(t, "the first", "1 a <nil>", fmt.Sprint(n, " ", buf[0].Name, " ", err))
	check.Must(t, tree.RemoveAll("d"))
	entries, err := list(dir)
	check.Equal(t, "names that are gone", "[b! sub!] <nil>", fmt.Sprint(entries, " ", err))
	_, err = list(removed)
	check.Equal(t, "a directory that is gone", "not there", outcome("", err))
	b, err := io.ReadAll(file)
	check.Equal(t, "a file that is gone", "123 <nil>", fmt.Sprint(string(b), " ", err))
}

// An mtime is no other's, even if no time passes, and no whole second; what is said of
// a file may be edited.
func TestTreeTimes(t *testing.T) { synctest.Test(t, testTreeTimes) }

func testTreeTimes(t *testing.T) {
	tree := NewTree()
	seen := make(map[int64]bool)
	for range 100 {
		check.Must(t, tree.Write("f", "1"))
		e, err := tree.Stat("f")
		check.Must(t, err)
		if seen[e.Mtime.UnixNano()] || e.Mtime.Nanosecond() == 0 {
			t.Errorf("written at %v", e.Mtime)
		}
		seen[e.Mtime.UnixNano()] = true
	}
	check.Must(t, tree.Edit("f", func(n *Inode) {
		n.Size, n.Mode, n.Mtime, n.Unlinked = 9, fs.ModeNamedPipe, check.Day1, true
	}))
	e, err := tree.Stat("f")
	check.Must(t, err)
	check.Equal(t, "edited", scan.Entry{Size: 9, Mode: fs.ModeNamedPipe, Mtime: check.Day1, Unlinked: true}, e)
}

// Where inodes have numbers, all names of a file have the same, and no other file.
func TestNumbered(t *testing.T) {
	for _, numbered := range []bool{false, true} {
		tree := NewTree()
		tree.Numbered = numbered
		check.Must(t, tree.Write("a", "1"))
		check.Must(t, tree.Link("a", "b"))
		check.Must(t, tree.Write("c", "1"))
		check.Must(t, tree.Rename("c", "d"))
		d, err := tree.OpenDir(".", false)
		check.Must(t, err)
		entries := make([]scan.Entry, 9)
		n, err := d.ReadEntries(entries, nil)
		check.Must(t, err)
		var numbers []uint64
		for _, e := range entries[:n] {
			stat, err := tree.Stat(e.Name)
			check.Must(t, err)
			check.Equal(t, e.Name, stat.Inode, e.Inode)
			numbers = append(numbers, e.Inode)
		}
		want := []uint64{0, 0, 0}
		if numbered {
			want = []uint64{2, 2, 3} // the root is the first
		}
		check.Equal(t, "numbers", want, numbers)
	}
}

// Listings lose and double names, in portions too; and what fails by a prefix is what
// begins with it.
func TestListed(t *testing.T) {
	ff := Made()
	for i := range 5 {
		ff.Put(fmt.Sprintf("d/%d", i), 1, check.Day1)
	}
	ff.Put("d2", 1, check.Day1)
	ff.Listed("d/1", 0)
	ff.Listed("d/3", 3)
	open := func() scan.Dir {
		d, err := ff.OpenDir("d", false)
		check.Must(t, err)
		return d
	}
	entries, err := list(open())
	check.Equal(t, "listed one by one", "[0:1 2:1 3:1 3:1 3:1 4:1] <nil>", fmt.Sprint(entries, " ", err))
	ff.Entries(func(_ string, entries []scan.Entry) []scan.Entry {
		slices.Reverse(entries)
		return entries
	})
	d := open()
	n, err := d.ReadEntries(make([]scan.Entry, 4), nil)
	check.Equal(t, "the first portion", "4 <nil>", fmt.Sprint(n, " ", err))
	names, err := d.Readdirnames(4)
	check.Equal(t, "names after entries", "[0] <nil>", fmt.Sprint(names, " ", err))
	names, err = d.Readdirnames(4)
	check.Equal(t, "the next", "[4] <nil>", fmt.Sprint(names, " ", err))
	check.Equal(t, "open", Level{Now: 2, Most: 2}, ff.Opened())

	ff.Heal()
	ff.Fail("lstat", "d/", check.PathError(fs.ErrPermission))
	entries, err = list(open())
	check.Equal(t, "entries that fail", "[0! 1! 2! 3! 4!] <nil>", fmt.Sprint(entries, " ", err))
	for name, fails := range map[string]bool{"d": false, "d2": false, "d/0": true, "d/none": true} {
		if _, err := ff.Lstat(name); (err != nil) != fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}
