package scan

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

// A folder whose file system is fast is read in portions, small ones first, and
// nothing in it is looked at once more.
func TestListPortions(t *testing.T) {
	t.Chdir(t.TempDir())
	makeTree(t, ".", 1, 300)
	synctest.Test(t, func(t *testing.T) {
		p := New([]string{"folder0000"}, time.Second, Options{})
		var portions []int
		p.looker.readdir = func(f *os.File, n int) ([]fs.FileInfo, error) {
			portions = append(portions, n)
			return f.Readdir(n)
		}
		p.looker.lstat = func(name string) (fs.FileInfo, error) {
			t.Errorf("%s is looked at", name)
			return os.Lstat(name)
		}
		var opened []*os.File
		p.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			opened = append(opened, f)
			return f, err
		}
		mustStart(t, p)
		check.Equal(t, "portions", []int{8, 16, 32, 64, 128, 256, 256}, portions)
		for _, f := range opened {
			if err := f.Close(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s was left open: %v", f.Name(), err)
			}
		}
	})
}

// One thing that cannot be looked at does not hide what else is in its folder,
// but for want of descriptors nothing is told of that; and what is ignored is
// not looked at.
func TestListEach(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		look []string
		next []string // when it is removed
	}{
		"an error": {
			check.PathError(errors.New("input/output error")),
			[]string{"modified d/a, 2 bytes", "unreadable d/bad: input/output error"},
			[]string{"removed d/bad"},
		},
		"it vanishes": {
			check.Errno(syscall.ENOENT, 2),
			[]string{"removed d/bad", "modified d/a, 2 bytes"},
			nil,
		},
		"out of descriptors": {
			check.Errno(syscall.EMFILE, 4),
			nil,
			[]string{"removed d/bad", "modified d/a, 2 bytes"},
		},
	} {
		for how, way := range map[string]struct{ each, content bool }{
			"one by one":               {each: true},
			"its contents":             {content: true},
			"its contents, one by one": {true, true},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				tt := newTreeTest(t, Options{Ignore: []string{"x", "y/"}, Content: way.content}, func() {
					check.Write(t, "d/a", "1", check.Day1)
					check.Write(t, "d/bad", "1", check.Day1)
					check.Write(t, "d/x", "1", check.Day1)
					if way.each {
						check.Must(t, os.Mkdir("d/b", 0o777))
						check.Must(t, os.Mkdir("d/y", 0o777))
					}
				})
				fails := map[string]error{"d/bad": test.err}
				lr := tt.looker
				if way.each {
					fails["d/b"] = check.PathError(errors.New("input/output error")) // it is a folder, and what counts is whether that can be listed
					fails["d/y"] = fails["d/b"]
					tt.looker.readdir = breakListing
				}
				tt.looker.lstat = func(name string) (fs.FileInfo, error) {
					if name == "d/x" {
						t.Error("what is ignored is looked at")
					}
					if err := fails[name]; err != nil {
						return nil, err
					}
					return os.Lstat(name)
				}
				tt.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
					if err := fails[name]; err != nil && name != "d/b" {
						return nil, err
					}
					return os.OpenFile(name, flag, mode)
				}
				check.Write(t, "d/a", "22", check.Day1)
				check.Write(t, "d/x", "22", check.Day1)
				check.Equal(t, "events", test.look, brief(tt.look()))
				tt.looker.readdir, tt.looker.lstat, tt.looker.open = lr.readdir, lr.lstat, lr.open
				check.Must(t, os.Remove("d/bad"))
				tt.expect(test.next...)
			})
		}
	}
}

// What could not be looked at is unreadable, and nothing else is, also where the
// folder does not say what it is.
func TestListUntyped(t *testing.T) {
	tt := newTreeTest(t, Options{}, func() {
		check.Write(t, "d/a", "1", check.Day1)
		check.Write(t, "d/bad", "1", check.Day1)
		check.Must(t, os.Mkdir("d/sub", 0o777))
	})
	lr := tt.looker
	var folder *os.File
	tt.looker.readdir = breakListing
	tt.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		if name == "d/sub" {
			return nil, check.PathError(errors.New("input/output error"))
		}
		var err error
		folder, err = os.OpenFile(name, flag, mode)
		return folder, err
	}
	tt.looker.lstat = func(name string) (fs.FileInfo, error) {
		if name == "d/bad" || name == "d/sub" {
			folder.Close() // so that it says nothing
			return nil, check.PathError(errors.New("input/output error"))
		}
		return os.Lstat(name)
	}
	check.Write(t, "d/a", "22", check.Day1)
	want := []string{"modified d/a, 2 bytes", "unreadable d/bad: input/output error", "unreadable d/sub/: input/output error"}
	check.Equal(t, "events", want, brief(tt.look()))
	tt.looker.readdir, tt.looker.lstat, tt.looker.open = lr.readdir, lr.lstat, lr.open
	tt.expect("readable d/sub/", "readable d/bad, 1 bytes")
}

// breakListing reads one thing, and then no more.
func breakListing(f *os.File, n int) ([]fs.FileInfo, error) {
	if n > minPortion {
		return nil, check.PathError(errors.New("input/output error"))
	}
	return f.Readdir(1)
}

// What was listed before an error is not listed twice, and what has vanished
// since not at all.
func TestListTwice(t *testing.T) {
	tt := newTreeTest(t, Options{}, func() {
		check.Write(t, "d/a", "1", check.Day1)
		check.Write(t, "d/gone", "1", check.Day1)
	})
	tt.looker.readdir = breakListing
	tt.looker.lstat = func(name string) (fs.FileInfo, error) {
		if name == "d/gone" {
			return nil, check.Errno(syscall.ENOENT, 2)
		}
		return os.Lstat(name)
	}
	w := walk{caller: &tt.pool.callers[0]}
	if listed, _, ok := w.list("d", ""); !ok || len(listed) != 1 || listed[0].name != "a" {
		t.Errorf("listed are %+v, %v", listed, ok)
	}
}

// A folder that may not be read, one that may not be opened, and one that has
// become something else by then, for which each system has another error.
func TestListFails(t *testing.T) {
	tt := newTreeTest(t, Options{}, func() {
		check.Must(t, os.Mkdir("d/sub", 0o777))
		check.Write(t, "d/sub/a", "1", check.Day1)
	})
	lr := tt.looker
	tt.looker.readdir = func(f *os.File, n int) ([]fs.FileInfo, error) {
		if f.Name() == "d/sub" {
			return nil, &fs.PathError{Op: "lstat", Path: "d/sub/a", Err: fs.ErrPermission}
		}
		return f.Readdir(n)
	}
	tt.expect("unreadable d/sub/: permission denied")
	tt.looker.readdir = lr.readdir
	tt.expect("readable d/sub/")
	tt.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		if name == "d/sub" {
			return nil, check.PathError(errors.New("inappropriate file type"))
		}
		return os.OpenFile(name, flag, mode)
	}
	tt.expect("unreadable d/sub/: inappropriate file type")
	tt.looker.lstat = func(name string) (fs.FileInfo, error) {
		if name == "d/sub" {
			name += "/a" // as if it were a file
		}
		return os.Lstat(name)
	}
	tt.expect("removed d/sub/a", "removed d/sub/")
}

// A target may be a link to a folder, which may not be opened.
func TestListLink(t *testing.T) {
	tt := newTreeTest(t, Options{}, func() {
		check.Must(t, os.Rename("d", "real"))
		check.Symlink(t, "real", "d")
		check.Write(t, "real/a", "1", check.Day1)
	})
	tt.looker.open = func(string, int, fs.FileMode) (*os.File, error) { return nil, check.PathError(fs.ErrPermission) }
	tt.expect("unreadable d: permission denied")
}

// Whether a folder is gone says its path, and not what is said of it while it
// is open: that may be due to a server that has restarted (SMB), or has let go
// of it (NFS).
func TestListBreaksOff(t *testing.T) {
	gone := check.Errno(syscall.ENOENT, 2)
	for _, test := range []struct{ err, why error }{
		{gone, oserr.Cause(gone)},
		{check.PathError(errors.New("stale file handle")), os.ErrClosed}, // of a second try
	} {
		tt := newTreeTest(t, Options{}, func() {
			check.Must(t, os.Mkdir("d/sub", 0o777))
			check.Write(t, "d/sub/a", "1", check.Day1)
		})
		lr := tt.looker
		tt.looker.readdir = func(f *os.File, _ int) ([]fs.FileInfo, error) {
			f.Close() // so that it cannot be read in another way
			return nil, test.err
		}
		tt.expect("unreadable d: " + test.why.Error())
		tt.expect()
		tt.looker.readdir = lr.readdir
		tt.expect("readable d")
		tt.looker.readdir = func(f *os.File, n int) ([]fs.FileInfo, error) {
			if f.Name() != "d/sub" {
				return f.Readdir(n)
			}
			f.Close()
			check.Must(t, os.RemoveAll("d/sub"))
			return nil, test.err
		}
		tt.expect("removed d/sub/a", "removed d/sub/")
	}
}

// A folder that is replaced while it is listed can be looked at: it is the one
// that is there now.
func TestListReplaced(t *testing.T) {
	for _, err := range []error{check.Errno(syscall.ENOENT, 2), check.PathError(errors.New("stale file handle"))} {
		tt := newTreeTest(t, Options{}, func() {
			check.Must(t, os.Mkdir("d/sub", 0o777))
			check.Write(t, "d/sub/a", "1", check.Day1)
		})
		replaced := false
		tt.looker.readdir = func(f *os.File, n int) ([]fs.FileInfo, error) {
			if replaced || f.Name() != "d/sub" {
				return f.Readdir(n)
			}
			replaced = true
			f.Close() // or else Windows keeps it
			check.Must(t, os.RemoveAll("d/sub"))
			check.Must(t, os.Mkdir("d/sub", 0o777))
			check.Write(t, "d/sub/b", "1", check.Day1)
			return nil, err
		}
		tt.expect("removed d/sub/a", "created d/sub/b, 1 bytes")
	}
}

// A target that is a link to a folder is that folder, and one that is no longer
// a folder when it is opened is gone for now.
func TestListTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("d", 0o777))
	check.Write(t, "d/a", "1", check.Day1)
	check.Symlink(t, "d", "link")
	p := newTestPoll(t, "link")
	check.Write(t, "d/a", "22", check.Day1)
	check.Equal(t, "events", []string{"modified link/a, 2 bytes"}, brief(looked(p)))
	p.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		check.Must(t, os.RemoveAll("d"))
		check.Write(t, "d", "a file", check.Day1)
		return os.OpenFile(name, flag, mode)
	}
	check.Equal(t, "events", []string{"removed link/a", "removed link"}, brief(looked(p)))
	check.Equal(t, "events", []string{"created link, 6 bytes"}, brief(looked(p)))
}

// Wherever the end comes in a first look, no other thing is looked at after it,
// and no target that it came in the middle of counts as seen.
func TestStopAnywhere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"d", filepath.Join("d", "sub"), "e"} {
		check.Must(t, os.Mkdir(name, 0o777))
		check.Write(t, filepath.Join(name, "a"), "1", check.Day1)
		check.Write(t, filepath.Join(name, "b"), "1", check.Day1)
	}
	const all = 2*(1+1+2) + (1 + 2) // d and e: stat, open, two files; d/sub the same without stat
	for last := 1; last <= all; last++ {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := New([]string{"d", "e"}, time.Second, Options{Content: true})
			calls, at := 0, ""
			call := func(name string) {
				if calls++; calls == last {
					at = name
					cancel()
				}
			}
			p.looker.stat = func(name string) (fs.FileInfo, error) { call(name); return os.Stat(name) }
			p.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
				call(name)
				return os.OpenFile(name, flag, mode)
			}
			if _, err := p.Start(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("the end came in call %d, %v", last, err)
			}
			if calls != last {
				t.Errorf("the end came in call %d, for %s, and there were %d", last, at, calls)
			}
			p.news()
			for _, target := range p.targets {
				if strings.HasPrefix(at, target.name) && target.seen {
					t.Errorf("the end came in call %d, for %s, and %s is seen", last, at, target.name)
				}
			}
		})
	}
}
