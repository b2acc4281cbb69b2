package scan_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// runner runs a script.
type runner struct {
	*testing.T
	fs      *faults.FS
	slow    bool
	options scan.Options
	driver  *driver // nil before watch

	mu sync.Mutex // guards on, which workers use
	on map[string][]func()
}

// run runs the script, and returns how many portions of listings were names.
func (s *script) run(t *testing.T, slow bool, o scan.Options) int {
	r := &runner{
		T: t, fs: faults.Real(), slow: slow, options: o,
		on: make(map[string][]func()),
	}
	for _, c := range s.commands {
		if err := r.do(c.words, c.want); err != nil {
			t.Fatalf("%s: %s: %v", c.at, strings.Join(c.words, " "), err)
		}
		if t.Failed() {
			t.Fatalf("%s: %s", c.at, strings.Join(c.words, " "))
		}
	}
	if len(s.commands) == 0 || s.commands[len(s.commands)-1].words[0] != "scan" {
		t.Fatalf("%s: the scenario does not end with a scan", s.name)
	}
	return len(r.fs.Calls("names"))
}

// do runs one command.
func (r *runner) do(words, want []string) error {
	switch words[0] {
	case "watch":
		return r.watch(words[1:], want)
	case "scan":
		return r.scan(len(words) == 2 && words[1] == "alone", want)
	}
	// The others may have fewer words than they can have.
	arg := append(slices.Clone(words[1:]), "", "", "", "")
	n := len(words) - 1
	path := filepath.FromSlash(arg[0])
	switch usage := fmt.Sprint(words[0], " ", n); usage {
	case "mkdir 1":
		return os.MkdirAll(path, 0o777)
	case "write 1", "write 2", "write 3":
		mtime, err := day(arg[2])
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(arg[1]), 0o666); err != nil {
			return err
		}
		return os.Chtimes(path, mtime, mtime)
	case "touch 2":
		mtime, err := day(arg[1])
		if err != nil {
			return err
		}
		return os.Chtimes(path, mtime, mtime)
	case "append 2":
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(arg[1])
		return err
	case "truncate 1":
		return os.Truncate(path, 0)
	case "mv 2":
		return os.Rename(path, filepath.FromSlash(arg[1]))
	case "rm 1":
		if _, err := os.Lstat(path); err != nil {
			return err
		}
		return os.RemoveAll(path)
	case "link 2":
		return os.Symlink(path, filepath.FromSlash(arg[1]))
	case "fail 3":
		return r.fail(arg[0], arg[1], arg[2])
	case "fail 4":
		if arg[0] == "once" {
			return r.failOnce(arg[1], arg[2], arg[3])
		}
	case "heal 0":
		r.fs.Heal()
		return nil
	case "heal 2":
		return r.fail(arg[0], arg[1], "nil")
	case "hide 1":
		r.fs.Listed(arg[0], 0)
		return nil
	case "alias 2":
		r.fs.Alias(arg[0], arg[1])
		return nil
	case "double 1":
		r.fs.Listed(arg[0], 2)
		return nil
	}
	if words[0] == "on" && n > 2 {
		return r.before(arg[0], arg[1], func() error { return r.do(words[3:], nil) })
	}
	return fmt.Errorf("no such command; testdata/README has all")
}

// day returns a time that files may have.
func day(name string) (time.Time, error) {
	switch name {
	case "", "day1":
		return check.Day1, nil
	case "day2":
		return check.Day2, nil
	case "1970":
		return time.Unix(1, 0), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither day1, day2 nor 1970", name)
}

// watch takes the first scan of the paths. Where calls are to be slow, a target of
// which nothing exists comes first: its call shows in time that they are.
func (r *runner) watch(paths, want []string) error {
	if r.driver != nil || len(paths) == 0 {
		return fmt.Errorf("watch is for paths, and once in a scenario")
	}
	if r.slow {
		r.fs.Slow(time.Millisecond)
		paths = append([]string{"shows-slowness"}, paths...)
	}
	r.driver = newDriver(r.T, r.fs, r.options, paths...)
	lines := r.driver.begin()
	if r.slow {
		lines = lines[1:]
	}
	if len(want) > 0 {
		check.Equal(r.T, "first scan", want, lines)
	}
	return nil
}

// scan scans once. Unless alone, it compares with what a new Scanner finds.
func (r *runner) scan(alone bool, want []string) error {
	if r.driver == nil {
		return fmt.Errorf("no watch before")
	}
	d := r.driver
	got := d.scan()
	for i := range got {
		if i < len(want) && strings.HasSuffix(want[i], ", ? bytes") {
			got[i] = anySize.ReplaceAllString(got[i], ", ? bytes")
		}
	}
	check.Equal(r.T, "steps", want, got)
	for at, dos := range r.on {
		if len(dos) > 0 {
			r.Errorf("on %s: there was no such call", at)
		}
	}
	if alone {
		return nil
	}
	d.checkSums()
	for _, errs := range d.errs {
		for _, unreadable := range errs {
			if unreadable {
				return nil // a new Scanner does not know what is in there
			}
		}
	}
	d.checkTree()
	return nil
}

// anySize is what differs between systems.
var anySize = regexp.MustCompile(`, \d+ bytes$`)

// calls returns the calls of package faults that a script means by op.
func calls(op string) ([]string, error) {
	switch op {
	case "list":
		return []string{"readdir", "names"}, nil
	case "stat", "lstat", "open", "read", "dirnames":
		return []string{op}, nil
	}
	return nil, fmt.Errorf("no such call: %s", op)
}

// fail makes a call fail from now on.
func (r *runner) fail(op, path, name string) error {
	err, ok := scriptErrors[name]
	if !ok {
		return fmt.Errorf("no such error: %s", name)
	}
	ops, unknown := calls(op)
	for _, op := range ops {
		r.fs.Fail(op, path, err)
	}
	return unknown
}

// scriptErrors is the errors that calls of a script fail with.
var scriptErrors = map[string]error{
	"nil":          nil,
	"denied":       check.PathError(fs.ErrPermission),
	"io":           check.PathError(scriptError{"input/output error", nil}),
	"leased":       check.PathError(scriptError{"leased", check.Errno(syscall.EAGAIN, 32)}),
	"enomem":       check.PathError(scriptError{"no memory", check.Errno(syscall.ENOMEM, 8)}),
	"eintr":        check.PathError(scriptError{"interrupted", check.Errno(syscall.EINTR, 33)}),
	"stale":        check.PathError(scriptError{"stale file handle", nil}),
	"nameless":     check.PathError(scriptError{"", nil}),
	"enoent":       check.PathError(scriptError{"not there", check.Errno(syscall.ENOENT, 2)}),
	"enotdir":      check.PathError(scriptError{"no directory", check.Errno(syscall.ENOTDIR, 3)}),
	"enametoolong": check.PathError(scriptError{"too long", check.Errno(syscall.ENAMETOOLONG, 206)}),
	"emfile":       check.PathError(scriptError{"too many open files", check.Errno(syscall.EMFILE, 4)}),
	"enfile":       check.PathError(scriptError{"too many open files", check.Errno(syscall.ENFILE, 10024)}),
}

// scriptError is an error with the same text on every system.
type scriptError struct {
	text string
	err  error // that it is to package oserr
}

func (e scriptError) Error() string { return e.text }
func (e scriptError) Unwrap() error { return e.err }

// failOnce makes the next call fail, and no further one.
func (r *runner) failOnce(op, path, name string) error {
	return r.before(op, path, func() error {
		if err := r.fail(op, path, name); err != nil {
			return err
		}
		ops, _ := calls(op)
		for _, each := range ops {
			r.fs.Before(each, path, func() { r.fail(op, path, "nil") })
		}
		return nil
	})
}

// before calls do once, in the next call.
func (r *runner) before(op, path string, do func() error) error {
	ops, err := calls(op)
	at := op + " " + path
	run := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		dos := r.on[at]
		r.on[at] = nil
		for _, do := range dos {
			do()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on[at] = append(r.on[at], func() {
		if err := do(); err != nil {
			r.Errorf("on %s: %v", at, err)
		}
	})
	for _, op := range ops {
		r.fs.Before(op, path, run)
	}
	return err
}
