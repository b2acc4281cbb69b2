package scan_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// With Fresh, the server is asked about every regular file before it is examined, and
// what it refuses is examined all the same.
func TestFresh(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	check.Write(t, "d/sub/a", "1", check.Day1)
	check.Write(t, "f", "1", check.Day1)
	ff := faults.Real()
	d := newDriver(t, ff, scan.Options{Fresh: true}, "f", "d", "none/x")
	d.begin()
	ff.Fail("revalidate", "d/sub/a", check.PathError(fs.ErrPermission))
	ff.Fail("revalidate", "f", check.PathError(fs.ErrPermission))
	ff.Calls("revalidate")
	// A file has its new size from the moment that its server is asked.
	ff.Before("revalidate", "f", func() { check.Write(t, "f", "22", check.Day1) })
	ff.Before("revalidate", "d/sub/a", func() { check.Write(t, "d/sub/a", "22", check.Day1) })
	check.Equal(t, "steps", []string{"modified f, 2 bytes", "modified d/sub/a, 2 bytes"}, d.scan())
	want := []string{".", "f", "none/", "d/sub/a"} // parents of targets in turn
	check.Equal(t, "asked", want, ff.Calls("revalidate"))
}

// With Fresh, on a file system whose server is a program, each file is opened as well: the
// program may remember what it has said.
func TestFreshProgram(t *testing.T) {
	needDevices(t)
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("d", 0o777))
	check.Write(t, "d/a", "1", check.Day1)
	check.Write(t, "f", "1", check.Day1)
	for _, isProgram := range []bool{false, true} {
		ff := faults.Real()
		ff.SetRemote(true)
		opened := []string{}
		if isProgram {
			ff.SetProgram()
			opened = []string{"f", "d/a"}
		}
		d := newDriver(t, ff, scan.Options{Fresh: true}, "f", "d")
		d.begin()
		ff.Calls("open")
		d.scan()
		check.Equal(t, "opened", opened, slices.DeleteFunc(ff.Calls("open"), func(name string) bool { return name == "d" }))
		check.Equal(t, "open files", 0, ff.Opened().Now)
	}
}

// Where the system does not say which device a file is on, no file is opened with Fresh.
func TestFreshWithoutDevices(t *testing.T) {
	ff := faults.Made()
	putAll(ff, "f")
	ff.SetRemote(true)
	ff.SetProgram()
	d := newDriver(t, ff, scan.Options{Fresh: true}, "f")
	d.begin()
	check.Equal(t, "opened", []string(nil), ff.Calls("open"))
}

// On a file system that has a server, it is asked at each scan about what was named, about
// the directory of that, once for all, and for the listing of each directory; on others
// nobody is. Whether there is a server is found out again from time to time.
func TestRemote(t *testing.T) {
	needDevices(t)
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	check.Must(t, os.Mkdir("e", 0o777))
	for _, name := range []string{"d/a", "d/sub/a", "e/f", "e/g"} {
		check.Write(t, name, "1", check.Day1)
	}
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		d := newDriver(t, ff, scan.Options{}, "e/f", "e/g", "e/none", "d")
		d.begin()
		r := d.record()
		defer r.stop()
		time.Sleep(5500 * time.Millisecond)
		check.Equal(t, "asked without a server", []string(nil), ff.Calls("revalidate"))

		ff.SetRemote(true)
		time.Sleep(20 * time.Second) // in which that is found out
		ff.Calls("revalidate")
		time.Sleep(time.Second)
		asked := ff.Calls("revalidate")
		slices.Sort(asked)
		check.Equal(t, "asked", []string{".", "e/", "e/f", "e/g"}, asked)
		time.Sleep(time.Second)
		check.Equal(t, "listed anew", []string{"d", "d/sub"}, ff.Calls("refresh"))
		ff.Calls("isremote")
		time.Sleep(11 * time.Minute)
		if n := len(ff.Calls("isremote")); n < 3*59 || n > 3*61 { // by the scan after 10 s
			t.Errorf("it was found out %d times in 11 minutes whether there is a server, for two directories and a device", n)
		}
		ff.SetRemote(false)
		time.Sleep(20 * time.Second)
		ff.Calls("revalidate")
		time.Sleep(5 * time.Second)
		check.Equal(t, "asked when there is none any more", []string(nil), ff.Calls("revalidate"))
	})
}

// An edit, a replacement and a creation that the client of a server would not see for
// long are reported by the next scan.
func TestRemoteSeen(t *testing.T) {
	needDevices(t)
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("e", 0o777))
	check.Write(t, "e/f", "1", check.Day1)
	ff := faults.Real()
	ff.SetRemote(true)
	d := newDriver(t, ff, scan.Options{}, "e/f", "e/later")
	d.begin()
	ff.Before("revalidate", "e/f", func() { check.Write(t, "e/f", "22", check.Day1) })
	check.Equal(t, "an edit", []string{"modified e/f, 2 bytes"}, d.scan())
	ff.Heal()
	ff.Before("revalidate", "e/", func() { check.Write(t, "e/later", "1", check.Day1) })
	check.Equal(t, "a creation", []string{"created e/later, 1 bytes"}, d.scan())
	ff.Before("revalidate", "e/", func() { os.Remove("e/later") })
	check.Equal(t, "a removal, on demand", []string{"removed e/later"}, d.meet())
}

// Of each file system that a directory has, it is found out once whether it has a server:
// entries say which one they are on, and what is below a directory is on the same unless
// it is a mount itself.
func TestRemoteMounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where calls take no time
		ff := faults.Made()
		ff.Tree.Numbered = true
		putAll(ff, "d/a/f", "d/mnt1/sub/deep/f", "d/mnt2/f", "d/sub/f", "d/f")
		ff.SetRemote(true)
		ff.Entries(func(dir string, entries []scan.Entry) []scan.Entry {
			for i, e := range entries {
				switch {
				case strings.HasPrefix(dir, "d/mnt1") || e.Name == "mnt1":
					entries[i].Dev = 2
				case strings.HasPrefix(dir, "d/mnt2") || e.Name == "mnt2":
					entries[i].Dev = 3
				case e.Name == "f": // a file may be one, and says nothing of directories
					entries[i].Dev = 4
				}
			}
			return entries
		})
		d := newDriver(t, ff, scan.Options{}, "d")
		d.begin()
		check.Equal(t, "it is found out of", []string{".", "d", "d/mnt1", "d/mnt2"}, ff.Calls("isremote"))
	})
}

// What a link in a directory leads to was not named, and its server is not asked.
func TestRemoteLink(t *testing.T) {
	ff := faults.Made()
	ff.Tree.Numbered = true
	putAll(ff, "d/a")
	check.Must(t, ff.Tree.Symlink("a", "d/link"))
	ff.SetRemote(true)
	d := newDriver(t, ff, scan.Options{}, "d", "d/a")
	d.begin()
	check.Equal(t, "asked", []string{".", "d/", "d/a"}, ff.Calls("revalidate"))
}

// What a listing lacks is asked of the server before it is removed: a client may know a
// name for long.
func TestRemoteRemoved(t *testing.T) {
	needDevices(t)
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("d", 0o777))
	check.Write(t, "d/f", "1", check.Day1)
	ff := faults.Real()
	ff.SetRemote(true)
	d := newDriver(t, ff, scan.Options{}, "d")
	d.begin()
	check.Must(t, os.Remove("d/f"))
	ff.Calls("revalidate")
	check.Equal(t, "steps", []string{"removed d/f"}, d.scan())
	check.Equal(t, "asked", []string{".", "d"}, ff.Calls("revalidate"))
}

// A server that is asked and does not answer makes unreadable what it is asked about.
func TestRemoteHung(t *testing.T) {
	for op, name := range map[string]string{"revalidate": "e/f", "refresh": "d"} {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Made()
			ff.Tree.Numbered = true
			putAll(ff, "e/f", "d/f")
			ff.SetRemote(true)
			d := newDriver(t, ff, scan.Options{}, "e/f", "d")
			d.begin()
			answer := make(chan struct{})
			ff.Before(op, name, func() { <-answer })
			r := d.record()
			time.Sleep(8 * time.Second)
			check.Equal(t, op, []string{hung(name)}, r.takeLines())
			close(answer)
			r.stop()
			time.Sleep(time.Minute)
		})
	}
}

// What Refresh does with the listing of a directory changes nothing on a disk.
func TestRefresh(t *testing.T) {
	dir := t.TempDir()
	check.MakeTree(t, dir, 1, 20)
	f, err := scan.OS{}.OpenDir(dir+"/dir0000", false)
	check.Must(t, err)
	defer f.Close()
	f.Refresh()
	names, err := f.Readdirnames(100)
	check.Must(t, err)
	check.Equal(t, "names", 20, len(names))
}

// The system's own calls: here is no server, and to ask nobody is no error.
func TestRevalidate(t *testing.T) {
	dir := t.TempDir()
	check.Write(t, dir+"/f", "1", check.Day1)
	for _, name := range []string{dir, dir + "/f", dir + "/none", "", "a\x00b"} {
		scan.OS{}.Revalidate(name)
	}
	if is, isProgram := (scan.OS{}).IsRemote(dir + "/none"); is || isProgram {
		t.Error("what does not exist has a server")
	}
}

// needDevices skips a test where the system does not say which device a file is on: there
// no file system has a server.
func needDevices(t *testing.T) {
	t.Helper()
	if e, err := (scan.OS{}).Stat("."); err == nil && e.Dev == 0 {
		t.Skip("no devices here")
	}
}
