package scan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// The end comes in the middle of a scan: that makes no further call, and what it
// found is not reported; and no other scan begins.
func TestStoppedInTree(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.MkdirAll("d/sub", 0o777))
	synctest.Test(t, func(t *testing.T) {
		ff := faults.Real()
		d := newDriver(t, ff, scan.Options{}, "d")
		d.begin()
		check.Write(t, "d/a", "1", check.Day1)
		check.Write(t, "d/sub/b", "1", check.Day1)
		ff.Before("open", "d/sub", d.stop)
		ff.Calls("open")
		r := d.record()
		<-d.ctx.Done()
		r.stop()
		check.Equal(t, "reported", []reported(nil), r.take())
		check.Equal(t, "opened", []string{"d", "d/sub"}, ff.Calls("open"))
		d.scanner.Start()
		synctest.Wait()
		check.Equal(t, "opened after the end", []string(nil), ff.Calls("open"))
	})
}

// Wherever the end comes in a first scan, no other file or directory is examined
// after it, and no target that it came in the middle of counts as seen.
func TestStopAnywhere(t *testing.T) {
	t.Chdir(t.TempDir())
	var names []string
	for _, dir := range []string{"d", "d/sub", "e"} {
		check.Must(t, os.Mkdir(dir, 0o777))
		names = append(names, dir)
		for _, name := range []string{dir + "/a", dir + "/b"} {
			check.Write(t, filepath.FromSlash(name), "1", check.Day1)
			names = append(names, name)
		}
	}
	const all = 2*(1+1+2) + (1 + 2) // d and e: stat, open, two files; d/sub the same without stat
	for last := 1; last <= all+1; last++ {
		synctest.Test(t, func(t *testing.T) {
			ff := faults.Real()
			d := newDriver(t, ff, scan.Options{Content: true}, "d", "e")
			calls, at := 0, ""
			for _, name := range names {
				for _, op := range []string{"stat", "lstat", "open"} {
					ff.Before(op, name, func() {
						if calls++; calls == last {
							at = name
							d.stop()
						}
					})
				}
			}
			d.scanner.Start()
			synctest.Wait()
			d.scanner.Collect()
			if want := min(last, all); calls != want {
				t.Errorf("the end came in call %d, for %q, and there were %d, want %d", last, at, calls, want)
			}
			var seen []string
			for i, path := range d.paths {
				if d.scanner.Seen(i) {
					seen = append(seen, path)
				}
			}
			ended := map[string][]string{"d": nil, "e": {"d"}, "": {"d", "e"}} // before the target of the last call
			check.Equal(t, fmt.Sprintf("seen when the end came in call %d, for %q", last, at), ended[strings.SplitN(at, "/", 2)[0]], seen)
		})
	}
}
