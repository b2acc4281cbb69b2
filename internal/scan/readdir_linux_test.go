package scan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
)

// seen is what the program uses of a fs.FileInfo.
type seen struct {
	Name           string
	Size           int64
	Mtime          time.Time
	Regular, IsDir bool
	Link           bool
}

func seenOf(infos []fs.FileInfo) []seen {
	var all []seen
	for _, info := range infos {
		mode := info.Mode()
		all = append(all, seen{info.Name(), info.Size(), info.ModTime(), mode.IsRegular(), info.IsDir(), mode.Type() == fs.ModeSymlink})
	}
	slices.SortFunc(all, func(a, b seen) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// readAll reads the folder dir in portions of n.
func readAll(t *testing.T, dir string, n int, readdir func(*os.File, int) ([]fs.FileInfo, error)) []seen {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []fs.FileInfo
	for {
		infos, err := readdir(f, n)
		if len(infos) > n || err != nil && len(infos) > 0 {
			t.Errorf("%d entries and %v, want at most %d, or an error", len(infos), err, n)
		}
		all = append(all, infos...)
		if err == io.EOF {
			return seenOf(all)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What readdir tells is what (*os.File).Readdir tells.
func TestReaddir(t *testing.T) {
	dir := t.TempDir()
	check.Write(t, dir+"/empty", "", time.Unix(0, 0))
	check.Write(t, dir+"/old", "a", time.Unix(-1, 999_999_999))
	check.Write(t, dir+"/new", "ab", time.Unix(1<<33, 1))
	check.Write(t, dir+"/"+strings.Repeat("x", 255), "abc", time.Unix(1, 0))
	check.Write(t, dir+"/\xff\n", "", time.Unix(1, 0))
	check.Write(t, dir+"/large", "", time.Unix(1, 0))
	check.Must(t, os.Truncate(dir+"/large", 1<<33))
	check.Must(t, os.Mkdir(dir+"/folder", 0o700))
	check.Must(t, os.Symlink("folder", dir+"/link"))
	check.Must(t, os.Symlink("nothing", dir+"/dangling"))
	check.Must(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	makeTree(t, dir, 1, 300)

	for _, dir := range []string{dir, filepath.Join(dir, "folder0000")} {
		want := readAll(t, dir, 1000, (*os.File).Readdir)
		for _, n := range []int{1, 8, 1000} {
			check.Equal(t, fmt.Sprintf("%s by %d", dir, n), want, readAll(t, dir, n, readdir))
		}
	}
}

// What goes while it is listed is left out, and what cannot be looked at is an
// error.
func TestReaddirVanished(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, 1, 20)
	dir = filepath.Join(dir, "folder0000")
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	next := func(n, want int, wantErr error) {
		t.Helper()
		infos, err := readdir(f, n)
		if len(infos) != want || !errors.Is(err, wantErr) {
			t.Errorf("%d entries and %v, want %d and %v", len(infos), err, want, wantErr)
		}
	}
	// The rest of the names is in the buffer of f from now on.
	next(1, 1, nil)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		check.Must(t, os.Remove(name))
	}
	next(9, 0, nil)
	// No folder, no entry of one.
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	check.Must(t, syscall.Dup3(int(null.Fd()), int(f.Fd()), 0))
	next(9, 0, syscall.ENOTDIR)
}
