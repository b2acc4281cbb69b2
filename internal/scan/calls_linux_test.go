package scan

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

// entry is what a scan uses of an entry.
type entry struct {
	Name           string
	Size           int64
	Mtime          time.Time
	Regular, IsDir bool
	Link           bool
}

func entriesOf(entries []Entry) []entry {
	var all []entry
	for _, e := range entries {
		all = append(all, entry{e.Name, e.Size, e.Mtime, e.Mode.IsRegular(), e.Mode.IsDir(), e.Mode.Type() == fs.ModeSymlink})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// readAll reads the directory dir in portions of n.
func readAll(t *testing.T, dir string, n int) []Entry {
	t.Helper()
	f, err := OS{}.OpenDir(dir, false)
	check.Must(t, err)
	defer f.Close()
	// The buffer is used again: nothing of a portion may be left in the next.
	buf := slices.Repeat([]Entry{{Name: "stale", Mode: fs.ModeSymlink, Size: -1, Err: io.ErrClosedPipe}}, n)
	var all []Entry
	for {
		got, err := f.ReadEntries(buf, nil)
		if got > n || err != nil && got > 0 {
			t.Errorf("%d entries and %v, want at most %d, or an error", got, err, n)
		}
		for _, e := range buf[:got] {
			if e.Err != nil {
				t.Errorf("%s: %v", e.Name, e.Err)
			}
		}
		for _, e := range buf[:got] {
			e.Name = strings.Clone(e.Name) // it is not valid for long
			all = append(all, e)
		}
		if err == io.EOF {
			return all
		}
		check.Must(t, err)
	}
}

// ReadEntries finds what (*os.File).Readdir finds, entry by entry.
func TestReaddir(t *testing.T) {
	dir := t.TempDir()
	check.Write(t, dir+"/empty", "", time.Unix(0, 0))
	check.Write(t, dir+"/old", "a", time.Unix(-1, 999_999_999))
	check.Write(t, dir+"/new", "ab", time.Unix(1<<33, 1))
	check.Write(t, dir+"/"+strings.Repeat("x", 255), "abc", time.Unix(1, 0))
	check.Write(t, dir+"/\xff\n", "", time.Unix(1, 0))
	check.Write(t, dir+"/large", "", time.Unix(1, 0))
	check.Must(t, os.Truncate(dir+"/large", 1<<33))
	check.Must(t, os.Mkdir(dir+"/directory", 0o700))
	check.Must(t, os.Symlink("directory", dir+"/link"))
	check.Must(t, os.Symlink("nothing", dir+"/dangling"))
	check.Must(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	check.MakeTree(t, dir, 1, 300)

	for _, dir := range []string{dir, filepath.Join(dir, "dir0000")} {
		f, err := os.Open(dir)
		check.Must(t, err)
		infos, err := f.Readdir(0)
		check.Must(t, err)
		f.Close()
		var want []Entry
		for _, info := range infos {
			want = append(want, newEntry(info.Name(), info, nil))
		}
		for _, n := range []int{1, 8, 1000} {
			check.Equal(t, fmt.Sprintf("%s by %d", dir, n), entriesOf(want), entriesOf(readAll(t, dir, n)))
		}
	}
}

// A file that is removed while it is entry is an entry with an error that says so, and hides no
// other. Where the listing itself fails, there is no entry.
func TestReaddirVanished(t *testing.T) {
	dir := t.TempDir()
	check.MakeTree(t, dir, 1, 20)
	dir = filepath.Join(dir, "dir0000")
	f, err := OS{}.OpenDir(dir, false)
	check.Must(t, err)
	buf := make([]Entry, 9)
	// The rest of the names is in the buffer of f from now on.
	n, err := f.ReadEntries(buf[:1], nil)
	check.Must(t, err)
	first := buf[0].Name
	if n != 1 || buf[0].Err != nil {
		t.Errorf("%d entries, the first of which is %+v", n, buf[0])
	}
	names, err := os.ReadDir(dir)
	check.Must(t, err)
	kept := names[5].Name()
	for _, d := range names {
		if d.Name() != kept {
			check.Must(t, os.Remove(filepath.Join(dir, d.Name())))
		}
	}
	var vanished, there []string
	for {
		n, err := f.ReadEntries(buf, nil)
		if err == io.EOF {
			break
		}
		check.Must(t, err)
		for _, e := range buf[:n] {
			switch {
			case e.Err == nil:
				there = append(there, e.Name)
			case !oserr.IsNotExist(e.Err) || e.Mode != 0 || e.Size != 0 || !e.Mtime.IsZero():
				t.Errorf("%+v", e)
			default:
				vanished = append(vanished, e.Name)
			}
		}
	}
	want := []string{kept}
	if first == kept {
		want = nil
	}
	check.Equal(t, "not removed", want, there)
	check.Equal(t, "vanished", 19-len(want), len(vanished))
	check.Must(t, f.Close())
	if n, err := f.ReadEntries(buf, nil); n != 0 || err == nil || err == io.EOF {
		t.Errorf("closed: %d entries and %v", n, err)
	}
}

// A link is not followed where a directory is to be opened, nor is anything else
// opened there; a target may be a link.
func TestOpenDir(t *testing.T) {
	dir := t.TempDir()
	check.Must(t, os.Mkdir(dir+"/directory", 0o700))
	check.Must(t, os.Symlink("directory", dir+"/link"))
	check.Must(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	check.Write(t, dir+"/file", "1", check.Day1)
	for name, opens := range map[string]func(follow bool) bool{
		"directory": func(bool) bool { return true },
		"link":      func(follow bool) bool { return follow },
		"fifo":      func(bool) bool { return false },
		"file":      func(bool) bool { return false },
		"none":      func(bool) bool { return false },
	} {
		for _, follow := range []bool{false, true} {
			f, err := OS{}.OpenDir(filepath.Join(dir, name), follow)
			if want := opens(follow); (err == nil) != want || (f != nil) != want {
				t.Errorf("%s, follow %v: a Dir of %v and %v", name, follow, f, err)
			}
			if err == nil {
				f.Close()
			}
		}
	}
	for _, name := range []string{"directory", "link", "fifo", "file"} {
		f, err := OS{}.Open(filepath.Join(dir, name))
		check.Must(t, err)
		f.Close()
	}
}

// The number of fadvise64, and the order of its arguments, differ by architecture.
func TestForgetListing(t *testing.T) {
	f, err := os.Open(t.TempDir())
	check.Must(t, err)
	defer f.Close()
	want := syscall.Errno(0)
	if !slices.Contains([]string{"amd64", "arm64", "riscv64", "loong64", "386"}, runtime.GOARCH) {
		want = syscall.ENOSYS
	}
	check.Equal(t, "a directory", want, forgetListing(f.Fd()))
	if forgetListing(^uintptr(0)) == 0 {
		t.Error("no descriptor, and no error")
	}
	r, w, err := os.Pipe()
	check.Must(t, err)
	defer r.Close()
	defer w.Close()
	if errno := forgetListing(r.Fd()); want == 0 && errno != syscall.ESPIPE {
		t.Errorf("a pipe: %v, want %v", errno, syscall.ESPIPE)
	}
}

// A directory that is closed before its end leaves nothing of it to the next one, which
// has its memory.
func TestOpenDirAnew(t *testing.T) {
	for range 10 { // a pool need not keep what it gets
		first, second := t.TempDir(), t.TempDir()
		for _, name := range []string{"a", "b", "c"} {
			check.Must(t, os.WriteFile(filepath.Join(first, name), nil, 0o666))
		}
		check.Must(t, os.WriteFile(filepath.Join(second, "x"), nil, 0o666))
		f, err := OS{}.OpenDir(first, false)
		check.Must(t, err)
		if n, err := f.ReadEntries(make([]Entry, 1), nil); n != 1 || err != nil {
			t.Fatalf("%d entries, %v", n, err)
		}
		check.Must(t, f.Close())
		if got := readAll(t, second, 8); len(got) != 1 || got[0].Name != "x" {
			t.Fatalf("the next directory has %v", got)
		}
	}
}
