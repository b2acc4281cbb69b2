//go:build unix

package scan_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// A file without a name is one that is mounted by itself and was replaced where it is
// mounted from; one that is seen so once may be about to be replaced. It is said once.
func TestReplacedNotice(t *testing.T) {
	ff := faults.Made()
	ff.Put("f", 1, check.Day1)
	d := newDriver(t, ff, scan.Options{}, "e", "f")
	d.begin()
	d.scan()
	scanWhile := func(unlinked bool) {
		ff.Tree.Edit("f", func(f *faults.Inode) { f.Unlinked = unlinked })
		d.scan()
	}
	scanWhile(true)
	scanWhile(false)
	check.Equal(t, "when it was replaced", []scan.Notice(nil), d.notices)
	for range 3 {
		scanWhile(true)
	}
	check.Equal(t, "when its mount is of the old one", []scan.Notice{{Target: 1, Path: "f", About: scan.Replaced}}, d.notices)
}

// It is said of a file in a directory as well, and of no directory.
func TestReplacedBelow(t *testing.T) {
	for name, want := range map[string][]scan.Notice{"d/f": {{Target: 0, Path: "d/f", About: scan.Replaced}}, "d/sub": nil, "d": nil} {
		ff := faults.Made()
		putAll(ff, "d/f", "d/sub/a")
		check.Must(t, ff.Tree.Edit(name, func(f *faults.Inode) { f.Unlinked = true }))
		d := newDriver(t, ff, scan.Options{}, "d")
		d.begin()
		d.scan()
		check.Equal(t, name, want, d.notices)
	}
}

// The second change of a target just now, and in a whole second, shows that its file
// system has no finer times. It is said once, and not if contents are compared.
func TestCoarseTimesNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Made()
		edit := func(name string, size int64, mtime time.Time) { ff.Put(name, size, mtime) }
		edit("fine", 0, check.Day1)
		edit("coarse", 0, check.Day1)
		d := newDriver(t, ff, scan.Options{}, "fine", "coarse")
		d.begin()
		time.Sleep(1300 * time.Millisecond)
		for i := range int64(5) {
			now := time.Now()
			edit("fine", i, now)
			if i == 0 { // which may be, of any file
				edit("fine", i, now.Truncate(time.Second))
			}
			edit("coarse", i, now.Truncate(time.Second))
			d.scan()
			if i == 0 {
				check.Equal(t, "after one change", []scan.Notice(nil), d.notices)
			} else {
				check.Equal(t, "after two and more", []scan.Notice{{Target: 1, Path: "coarse", About: scan.CoarseTimes}}, d.notices)
			}
			time.Sleep(1100 * time.Millisecond)
			edit("fine", 100+i, now.Truncate(time.Hour)) // as from an archive
			d.scan()
		}
	})
	t.Chdir(t.TempDir())
	d := newDriver(t, faults.Real(), scan.Options{Content: true}, "f")
	d.begin()
	for _, text := range []string{"1", "22", "333"} {
		check.Write(t, "f", text, time.Now().Truncate(time.Second))
		d.scan()
	}
	check.Equal(t, "with contents", []scan.Notice(nil), d.notices)
}

// A directory that is the working directory is removed like any other, though its path
// leads to it all the same. (Some systems say so of the path.)
func TestWorkingDirectoryRemoved(t *testing.T) {
	for _, target := range []string{".", "../d", "./."} {
		dir := t.TempDir() + "/d"
		check.Must(t, os.MkdirAll(dir+"/sub", 0o777))
		check.Write(t, dir+"/sub/a", "1", check.Day1)
		t.Chdir(dir)
		d := newDriver(t, faults.Real(), scan.Options{}, target)
		d.begin()
		check.Must(t, os.RemoveAll(dir))
		want := []string{"removed " + target + "/sub/a", "removed " + target + "/sub/", "removed " + target}
		check.Equal(t, target+" is removed", want, d.scan())
		check.Equal(t, target+" stays removed", []string(nil), d.scan())
	}
}

// No path has two separators, not even below a root.
func TestBelowRoot(t *testing.T) {
	dir := t.TempDir()
	check.MakeTree(t, dir, 1, 1)
	ff := faults.Real()
	ff.Slow(time.Microsecond)
	d := newDriver(t, ff, scan.Options{}, dir+"/")
	d.begin()
	check.Equal(t, "directories", []string{dir + "/", dir + "/dir0000"}, ff.Calls("open"))
}
