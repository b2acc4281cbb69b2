package scan_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
	"net-watcher/internal/wire"
)

// FuzzSteps changes a tree in any way between scans, while calls fail and listings
// are wrong. The steps of each scan, applied to what was known before, are legal and
// lead to the tags that they have; and when calls succeed again, they add up to what
// a new Scanner finds.
func FuzzSteps(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		ops := make([]byte, 120)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		f.Add(ops)
	}
	f.Fuzz(fuzzSteps)
}

func fuzzSteps(t *testing.T, ops []byte) {
	if len(ops) == 0 {
		return
	}
	o := scan.Options{Content: ops[0]&1 > 0, Fresh: ops[0]&2 > 0, Filter: &pattern.Filter{}}
	o.SkipSame = o.Content && ops[0]&64 > 0
	if ops[0]&16 > 0 {
		o.Filter.Only.Add("p")
		o.Filter.Only.Add("y/")
		o.Filter.Only.Add("/b/x")
	}
	if ops[0]&32 > 0 {
		o.Filter.Ignore.Add("q")
		o.Filter.Ignore.Add("/*/y")
		o.Filter.Ignore.Add("!y/")
	}
	b := &breaker{fs: faults.Made(), reverse: ops[0]&4 > 0, typeless: ops[0]&8 > 0}
	b.heal()
	check.Must(t, b.fs.Tree.MkdirAll("t/a/x"))
	check.Must(t, b.fs.Tree.MkdirAll("t/b"))
	d := newDriver(t, b.fs, o, "t")
	d.begin()
	known := &transitions{filter: o.Filter, there: make(map[string]bool), unreadable: make(map[string]bool)}
	for name, sum := range d.sums[0] {
		known.there[name] = sum.Tag != 0
	}
	for len(ops) > 0 {
		n := min(3, len(ops))
		for _, op := range ops[:n] {
			b.apply(op)
		}
		ops = ops[n:]
		d.scanStrictly(known)
	}
	b.heal()
	// A directory that was gone for one call is found by the next scan.
	d.scanStrictly(known)
	d.scanStrictly(known)
	fresh := newDriver(t, b.fs, o, "t")
	fresh.begin()
	maps.DeleteFunc(d.sums[0], func(_ string, sum scan.Sum) bool { return sum == scan.Sum{} })
	maps.DeleteFunc(fresh.sums[0], func(_ string, sum scan.Sum) bool { return sum == scan.Sum{} })
	check.Equal(t, "what the steps add up to", fresh.sums, d.sums)
	check.Equal(t, "tag", fresh.sum, d.sum)
}

// breaker changes a file system, and breaks it.
type breaker struct {
	fs       *faults.FS
	reverse  bool // listings have the reverse order
	typeless bool // they do not say what is a directory
}

// apply does one of some things.
func (b *breaker) apply(op byte) {
	names := []string{"t", "t/a", "t/b", "t/a/x", "t/a/y", "t/b/x", "t/a/x/p", "t/a/x/q"}
	name := names[op%8]
	fail := func(err error, ops ...string) {
		for _, op := range ops {
			b.fs.Fail(op, name, err)
		}
	}
	// Some of these fail, as they may.
	switch op / 8 % 16 {
	case 0, 1:
		b.fs.Tree.RemoveAll(name)
	case 2, 3:
		b.fs.Tree.RemoveAll(name)
		b.fs.Tree.Write(name, strings.Repeat("x", int(op/8%16)-1))
		b.fs.Tree.Chtimes(name, check.Day1)
	case 4, 5, 6:
		b.fs.Tree.RemoveAll(name)
		b.fs.Tree.Mkdir(name)
	case 7:
		fail(check.PathError(syscall.EIO), "open")
	case 8:
		fail(check.PathError(syscall.EIO), "stat", "lstat")
	case 9:
		fail(check.PathError(syscall.EACCES), "open", "stat", "lstat")
	case 10:
		fail(check.Errno(syscall.EMFILE, 4), "open")
	case 11:
		fail(check.Errno(syscall.EMFILE, 4), "stat", "lstat")
	case 12:
		fail(check.Errno(syscall.ENOENT, 2), "stat", "lstat")
	case 13:
		b.fs.Listed(name, 0)
	case 14:
		b.fs.Listed(name, 2)
	case 15:
		b.heal()
	}
}

// heal makes all calls succeed, and all listings right.
func (b *breaker) heal() {
	b.fs.Heal()
	if b.reverse {
		b.fs.Entries(func(_ string, entries []scan.Entry) []scan.Entry {
			slices.Reverse(entries)
			return entries
		})
	}
	if b.typeless {
		b.fs.Fail("dirnames", "t", errors.ErrUnsupported)
		b.fs.Fail("dirnames", "t/", errors.ErrUnsupported)
	}
}

// transitions is what a subscriber knows of each path below a target.
type transitions struct {
	filter     *pattern.Filter
	there      map[string]bool // when it was last readable
	unreadable map[string]bool
}

// scanStrictly scans once, and checks that each step is one of the table in
// docs/protocol.md, and in a place where it may be.
func (d *driver) scanStrictly(known *transitions) {
	d.Helper()
	for _, line := range d.scan() {
		if d.Failed() {
			d.Fatalf("at %q", line)
		}
		change, path, _ := strings.Cut(line, " ")
		path, _, _ = strings.Cut(path, ",")
		path, _, _ = strings.Cut(path, ":")
		name := strings.TrimPrefix(strings.TrimPrefix(path, "t"), "/")
		legal := false
		switch wire.Change(change) {
		case wire.Created:
			legal = !known.there[name] && (name == "" || known.entered(name) && known.choice(name) == pattern.Chosen)
		case wire.Modified:
			legal = known.there[name] && !strings.HasSuffix(name, "/") && known.entered(name)
		case wire.Removed:
			legal = known.there[name] || known.unreadable[name]
		case wire.Unreadable:
			legal = !known.unreadable[name] && (name == "" || known.entered(name))
		case wire.Readable:
			legal = known.unreadable[name] && (name == "" || known.entered(name)) &&
				(known.there[name] || known.choice(name) == pattern.Entered)
		}
		legal = legal && known.choice(name) != pattern.LeftOut
		if !legal {
			d.Errorf("%q is not legal after there: %v, unreadable: %v", line, known.there, known.unreadable)
		}
		if known.unreadable[name] = change == string(wire.Unreadable); !known.unreadable[name] {
			known.there[name] = change != string(wire.Removed) && known.choice(name) == pattern.Chosen
		}
	}
}

// choice returns what the filter chooses, whatever the path name is: "" is the target.
func (k *transitions) choice(name string) pattern.Choice {
	if name == "" {
		return pattern.Chosen
	}
	path, isDir := strings.CutSuffix(name, "/")
	return k.filter.Choose(path, isDir)
}

// entered reports whether all directories that the path name is in are there, unless they
// are not reported, and readable.
func (k *transitions) entered(name string) bool {
	for i := range name {
		if dir := name[:i]; (i == 0 || name[i-1] == '/') && (!k.there[dir] && k.choice(dir) == pattern.Chosen || k.unreadable[dir]) {
			return false
		}
	}
	return true
}
