package scan_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
)

// portionFS is the system's file system; it notes how directories are read.
type portionFS struct {
	scan.OS
	t        *testing.T
	portions []int
	open     int
}

func (p *portionFS) Lstat(name string) (scan.Entry, error) {
	p.t.Errorf("%s is examined by itself", name)
	return p.OS.Lstat(name)
}

func (p *portionFS) DirNames(name string) (map[string]bool, error) {
	p.t.Errorf("%s is read once more", name)
	return p.OS.DirNames(name)
}

func (p *portionFS) OpenDir(name string, follow bool) (scan.Dir, error) {
	d, err := p.OS.OpenDir(name, follow)
	p.open++
	return &portionDir{d, p}, err
}

type portionDir struct {
	scan.Dir
	fs *portionFS
}

func (f *portionDir) ReadEntries(buf []scan.Entry, folder *pattern.Folder) (int, error) {
	f.fs.portions = append(f.fs.portions, len(buf))
	return f.Dir.ReadEntries(buf, folder)
}

func (f *portionDir) Close() error {
	f.fs.open--
	return f.Dir.Close()
}

// A directory whose file system is fast is read in portions, small ones first, and
// nothing in it is examined once more.
func TestListPortions(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, ".", 1, 300)
	synctest.Test(t, func(t *testing.T) {
		ff := &portionFS{t: t}
		s := scan.New(t.Context(), []string{"dir0000"}, scan.Options{FileSystem: ff})
		for s.Start(); s.Outstanding(); s.Collect() {
			<-s.Ready()
		}
		check.Equal(t, "portions", []int{8, 16, 32, 64, 128, 256, 256}, ff.portions)
		check.Equal(t, "entries, and the directory", 301, len(s.Sums(0)))
		check.Equal(t, "files left open", 0, ff.open)
	})
}

// Without a file system in the options, it is the system's.
func TestSystem(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "f", "1", check.Day1)
	s := scan.New(t.Context(), []string{"f"}, scan.Options{})
	for s.Start(); !s.Known(); s.Collect() {
		<-s.Ready()
	}
	if got, want := s.State(0).Stat, scan.FileStat(1, check.Day1); got != want {
		t.Errorf("state %+v, want %+v", got, want)
	}
}

// A listing that breaks off is made anew: what was listed before that is not there
// twice, and what has vanished since not at all.
func TestListTwice(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, ".", 1, 20)
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		const vanishing = "dir0000/file000019.txt"
		calls := 0
		ff.Before("readdir", "dir0000", func() {
			switch calls++; calls {
			case 2:
				ff.Fail("readdir", "dir0000", check.PathError(syscall.EIO))
			case 3:
				ff.Fail("readdir", "dir0000", nil)
				ff.Fail("lstat", vanishing, check.Errno(syscall.ENOENT, 2))
			}
		})
		d := newDriver(t, ff, scan.Options{}, "dir0000")
		check.Equal(t, "first scan", []string{"watching dir0000"}, d.begin())
		check.Equal(t, "listed, and the directory", 20, len(d.sums[0]))
		check.Equal(t, "calls", 5, calls)
		ff.Heal()
		d.expect("created dir0000/file000019.txt, 0 bytes")
		d.checkTree()
	})
}

// Files that vanish while their directory is listed do not end the listing, nor does
// a portion that has become short.
func TestVanishing(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 1, 500)
	for name, edit := range map[string]func(entries []scan.Entry) []scan.Entry{
		"error": func(entries []scan.Entry) []scan.Entry {
			for i := range entries {
				if i%2 > 0 {
					entries[i] = scan.Entry{Name: entries[i].Name, Err: check.Errno(syscall.ENOENT, 2)}
				}
			}
			return entries
		},
		"short": func(entries []scan.Entry) []scan.Entry { return entries[:(len(entries)+1)/2] },
	} {
		synctest.Test(t, func(t *testing.T) { // where calls take no time
			ff := faults.Real()
			d := newDriver(t, ff, scan.Options{}, "d/dir0000")
			ff.Entries(func(_ string, entries []scan.Entry) []scan.Entry { return edit(entries) })
			d.begin()
			if n := len(d.sums[0]) - 1; n < 250 || n > 255 {
				t.Errorf("%s: %d of 500 are listed", name, n)
			}
			ff.Heal()
			d.scan()
			check.Equal(t, name+": listed then, and the directory", 501, len(d.sums[0]))
			d.checkSums()
			d.checkTree()
		})
	}
}

// What has vanished while its directory was scanned is removed at once, and nobody asks
// for it again.
func TestVanishedOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	check.Write(t, "d/a", "1", check.Day1)
	ff := faults.Real()
	d := newDriver(t, ff, scan.Options{}, "d")
	d.begin()
	ff.Before("open", "d/sub", func() { os.Remove("d/sub") })
	check.Equal(t, "steps", []string{"removed d/sub/"}, d.scan())
	ff.Calls("")
	check.Equal(t, "steps of the next scan", []string(nil), d.scan())
	check.Equal(t, "asked for then", []string(nil), ff.Calls("lstat"))
}

// A listing that lacks a name, and has another one that differs in case only, has not
// lost the one for the other where both are different files.
func TestMissingBesideCase(t *testing.T) {
	ff := faults.Made()
	putAll(ff, "d/a")
	ff.Put("d/A", 2, check.Day1)
	d := newDriver(t, ff, scan.Options{}, "d")
	d.begin()
	ff.Listed("d/a", 0)
	check.Equal(t, "steps", []string(nil), d.scan())
}

// fleetingFS is the system's file system; the names that it lists are overwritten by the
// next call, as those of any may be.
type fleetingFS struct{ scan.OS }

type fleetingDir struct {
	scan.Dir
	names [][]byte
}

func (f *fleetingFS) OpenDir(name string, follow bool) (scan.Dir, error) {
	d, err := f.OS.OpenDir(name, follow)
	if err != nil {
		return nil, err
	}
	return &fleetingDir{Dir: d}, nil
}

func (d *fleetingDir) overwrite() {
	for _, name := range d.names {
		for i := range name {
			name[i] = '!'
		}
	}
	d.names = nil
}

func (d *fleetingDir) ReadEntries(buf []scan.Entry, folder *pattern.Folder) (int, error) {
	d.overwrite()
	n, err := d.Dir.ReadEntries(buf, folder)
	for i := range n {
		name := []byte(buf[i].Name)
		d.names = append(d.names, name)
		buf[i].Name = unsafe.String(&name[0], len(name))
	}
	return n, err
}

func (d *fleetingDir) Close() error {
	d.overwrite()
	return d.Dir.Close()
}

// Names are kept for as long as they are needed.
func TestFleetingNames(t *testing.T) {
	t.Chdir(t.TempDir())
	check.MakeTree(t, "d", 20, 20)
	for _, content := range []bool{false, true} {
		var sums []map[string]scan.Sum
		for _, fs := range []scan.FileSystem{scan.OS{}, &fleetingFS{}} {
			s := scan.New(t.Context(), []string{"d"}, scan.Options{FileSystem: fs, Content: content})
			for range 2 {
				for s.Start(); s.Outstanding(); s.Collect() {
					<-s.Ready()
				}
			}
			sums = append(sums, s.Sums(0))
		}
		check.Equal(t, fmt.Sprintf("what is found, contents %v", content), sums[0], sums[1])
	}
}

// No call is made for what is ignored, beside that which lists it.
func TestIgnored(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"d/sub/.git", "d/.git", "d/a.tmp.d"} {
		check.Must(t, os.MkdirAll(name, 0o777))
	}
	for _, name := range []string{"d/a", "d/a.tmp", "d/sub/a.tmp", "d/sub/x.log", "d/.git/f"} {
		check.Write(t, name, "1", check.Day1)
	}
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Real()
			o := scan.Options{Filter: &pattern.Filter{}, Content: true}
			for _, p := range []string{"*.tmp", ".git/", "sub/*.log"} {
				o.Filter.Ignore.Add(p)
			}
			d := newDriver(t, ff, o, "none", "d")
			d.begin()
			if slow {
				ff.Slow(time.Millisecond)
			}
			ff.Calls("")
			d.scan()
			opened := ff.Calls("open")
			slices.Sort(opened)
			check.Equal(t, "opened", []string{"d", "d/a", "d/a.tmp.d", "d/sub"}, opened)
			d.scan()
			for _, name := range ff.Calls("lstat") {
				if strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".log") {
					t.Errorf("%s is examined", name)
				}
			}
			d.expect()
		})
	}
}

// Where case makes no difference, a file whose new name is ignored is gone, below a link
// too; and the directory that was read for that is closed.
func TestIgnoredAlias(t *testing.T) {
	ff := faults.Made()
	putAll(ff, "d/a", "d/b")
	check.Must(t, ff.Tree.Symlink("d", "l"))
	var ignore pattern.Set
	ignore.Add("A")
	d := newDriver(t, ff, scan.Options{Filter: &pattern.Filter{Ignore: ignore}}, "l")
	d.begin()
	check.Must(t, ff.Tree.Rename("d/a", "d/A"))
	ff.Alias("l/a", "l/A")
	check.Equal(t, "steps", []string{"removed l/a"}, d.scan())
	check.Equal(t, "open files", 0, ff.Opened().Now)
}
