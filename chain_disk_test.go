package main

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
	"net-watcher/internal/proof"
)

// Paths that a run uses. A link is never renamed by itself and leads to no link, so that
// no links lead in circles, and a target is none.
var (
	chainTargets = [][]string{{"d"}, {"d", "f"}, {"p/t", "p/u", "d"}, {"d", "d/sub", "f"}}
	chainPaths   = []string{"d", "d/a", "d/b", "d/sub", "d/sub/a", "d/sub/b c", "d/sub/deep", "d/sub/deep/a", "f", "p", "p/t", "p/t/a", "p/u", "x", "x/a", "x/sub"}
	chainDirs    = []string{"d", "d/sub", "d/sub/deep", "p", "p/t", "x", "x/sub"} // of these, at the start
	chainLinks   = []string{"d/l0", "d/sub/l1", "p/t/l2", "x/l3"}
	chainRoots   = []string{"d", "f", "p", "x"}
)

// chainPatterns are some of which each chooses a part of chainPaths.
var chainPatterns = []patterns{
	{only: []string{"a"}},
	{only: []string{"/sub/"}},
	{only: []string{"deep/"}},
	{only: []string{"sub/*", "!sub/a"}},
	{only: []string{"a", "l*"}, ignore: []string{"/sub/a"}},
	{only: []string{"/sub/**/a"}},
	{ignore: []string{"sub/"}},
	{ignore: []string{"a", "!/a"}},
	{ignore: []string{"/sub"}},
	{ignore: []string{"deep/", "b c"}},
	{ignore: []string{"*", "!*/", "!a"}},
}

// item is something in the file system.
type item struct {
	path string
	mode fs.FileMode
}

// items returns what there is, in order of paths.
func (r *chainRun) items() (all []item) {
	var list func(dir string)
	list = func(dir string) {
		d, err := r.fs.Tree.OpenDir(dir, false)
		check.Must(r.T, err)
		names, err := d.Readdirnames(100)
		if err != io.EOF {
			check.Must(r.T, err)
		}
		for _, name := range names {
			at := path.Join(dir, name)
			e, err := r.fs.Tree.Lstat(at)
			check.Must(r.T, err)
			all = append(all, item{at, e.Mode})
			if e.Mode.IsDir() {
				list(at)
			}
		}
	}
	list(".")
	return all
}

// files returns the indexes among the items of those that are files in targets.
func (r *chainRun) files() (indexes []byte) {
	for i, at := range r.items() {
		if at.mode.IsRegular() && slices.ContainsFunc(r.targets, func(t string) bool { return t == at.path || strings.HasPrefix(at.path, t+"/") }) {
			indexes = append(indexes, byte(i))
		}
	}
	return indexes
}

// spelled returns the path as it is spelled where case makes no difference.
func (r *chainRun) spelled(name string) string {
	for _, i := range r.items() {
		if n := len(i.path); n <= len(name) && strings.EqualFold(i.path, name[:n]) && (n == len(name) || name[n] == '/') {
			name = i.path + name[n:]
		}
	}
	return name
}

// holdsTarget reports whether the path is a target or a directory above one.
func (r *chainRun) holdsTarget(name string) bool {
	return slices.ContainsFunc(r.targets, func(t string) bool { return t == name || strings.HasPrefix(t, name+"/") })
}

// change makes one change of the file system: what the byte of that name says, to what
// is there at the index from, and to one of chainPaths.
func (r *chainRun) change(what, from, to byte) {
	items := r.items()
	var at item
	if len(items) > 0 {
		at = items[int(from)%len(items)]
	}
	isLink, isFile := at.mode.Type() == fs.ModeSymlink, at.mode.IsRegular() && at.path != ""
	op := proof.Record{Kind: proof.Op, Path: at.path, To: r.spelled(chainPaths[int(to)%len(chainPaths)])}
	tree := r.fs.Tree
	var do func() error
	switch what % 12 {
	case 0, 1:
		op.Name, op.Path, op.To, op.Size = "create", op.To, "", r.size()
		do = func() error { return tree.Write(op.Path, strings.Repeat("x", int(op.Size))) }
		if slices.ContainsFunc(items, func(i item) bool { return i.path == op.Path }) {
			return
		}
	case 2:
		op.Name, op.To, op.Size = "write", "", r.size()
		do = func() error { return tree.Write(op.Path, strings.Repeat("x", int(op.Size))) }
		if !isFile {
			return
		}
	case 3:
		op.Name, op.To = "touch", ""
		do = func() error { return tree.Append(op.Path, "") }
		if !isFile {
			return
		}
	case 4:
		op.Name, op.Path, op.To = "mkdir", op.To, ""
		do = func() error { return tree.Mkdir(op.Path) }
	case 5:
		op.Name, op.To = "remove", ""
		do = func() error { return tree.RemoveAll(op.Path) }
	case 6, 7:
		op.Name = "rename"
		do = func() error { return tree.Rename(op.Path, op.To) }
	case 8:
		op.Name = "swap"
		do = func() error { return tree.Exchange(op.Path, op.To) }
	case 9:
		op.Name = "rename"
		dir, base := path.Split(at.path)
		if op.To = dir + strings.ToUpper(base); op.To == op.Path {
			op.To = dir + strings.ToLower(base)
		}
		do = func() error { return tree.Rename(op.Path, op.To) }
		// What is spelled in another way than a target must not be moved to its place later.
		mayBeTarget := slices.ContainsFunc(r.targets, func(t string) bool { return strings.EqualFold(path.Base(t), base) })
		if !tree.Fold || r.holdsTarget(at.path) || mayBeTarget || op.To == op.Path {
			return
		}
	case 10:
		op.Name, op.Path, op.To = "link", op.To, at.path
		do = func() error { return tree.Link(op.To, op.Path) }
		if !isFile {
			return
		}
	case 11:
		if tree.Fold { // what is another spelling of its name is no other file for a link
			op.Name, op.To = "chmod", ""
			do = func() error { return nil }
			break
		}
		op.Name, op.Path, op.To = "symlink", chainLinks[int(to)%len(chainLinks)], at.path
		do = func() error { return tree.Symlink("/"+op.To, op.Path) }
	}
	if op.Path == "" || isLink && op.Name != "remove" || op.Name == "rename" && op.Path == op.To || op.Name == "swap" && op.Path == op.To {
		return
	}
	r.endFaultsOf(op.Path)
	r.endFaultsOf(op.To)
	if err := do(); err != nil {
		return // as it may
	}
	r.note("%s", strings.TrimSpace(fmt.Sprint(op.Name, " ", op.Path, " ", op.To, sizeOf(op.Size))))
	r.record.add(op)
}

func sizeOf(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("(%d bytes)", n)
}

// size returns one that was not there yet.
func (r *chainRun) size() int64 {
	r.sizes++
	return r.sizes
}

// diskFault is a fault that lasts.
type diskFault struct {
	record proof.Record
	ofDir  bool          // it is one of what is a directory there, and ends when that goes
	ops    []string      // that fail for the path
	below  bool          // and for what is below it
	err    error         // with which they fail
	took   time.Duration // of each call, if it is slow
}

// fault makes calls for a path fail, hang, take time or tell nothing; or ends that, if
// something is so for the path.
func (r *chainRun) fault(what, which, how byte) {
	var dirs []string // which may hang, and deny
	for _, t := range r.targets {
		dirs = append(dirs, t)
		if dir := path.Dir(t); dir != "." && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	paths, items := slices.Clone(dirs), r.items()
	if r.fs.Tree.Fold { // no fault is of another spelling of its path
		items = nil
	}
	for _, i := range items {
		if i.mode.IsDir() && !slices.Contains(dirs, i.path) && slices.ContainsFunc(r.targets, func(t string) bool { return strings.HasPrefix(i.path, t+"/") }) {
			dirs = append(dirs, i.path)
		}
		if !slices.Contains(paths, i.path) {
			paths = append(paths, i.path)
		}
	}
	dir, name := dirs[int(which)%len(dirs)], paths[int(which)%len(paths)]
	fault := proof.Record{Kind: proof.Fault, Name: "fail", Path: name}
	var err error
	ops := []string{"stat", "lstat", "open", "read", "readdir", "names", "dirnames", "evalsymlinks"}
	switch what % 10 {
	case 0, 1:
		err = check.Errno(syscall.EIO, 1117)
	case 2:
		err = check.Errno(syscall.ESTALE, 59)
	case 3:
		fault.Path, err = dir, check.Errno(syscall.EACCES, 5)
	case 4:
		fault.Path, err = dir, check.Errno(syscall.ENOENT, 2)
	case 5, 6:
		fault.Name, err = "inconclusive", check.Errno(syscall.EMFILE, 4)
		if how%2 > 0 {
			err = check.Errno(syscall.EAGAIN, 32)
		}
		if how%4 > 1 {
			fault.Path, ops = "", []string{"open"}
		}
	case 7, 8:
		fault.Name, fault.Path = "hang", dir
	case 9:
		fault.Name = "slow"
	}
	if i := slices.IndexFunc(r.faults, func(f *diskFault) bool { return f.record.Path == fault.Path }); i >= 0 {
		r.endFault(r.faults[i])
		return
	}
	if len(r.faults) >= 3 {
		return
	}
	f := &diskFault{ops: ops, below: true, err: err}
	isDir := slices.ContainsFunc(r.items(), func(i item) bool { return i.path == fault.Path && i.mode.IsDir() })
	isNested := slices.ContainsFunc(r.targets, func(t string) bool { return strings.HasPrefix(fault.Path, t+"/") })
	switch {
	case what%10 == 9:
		if r.content || r.fs.Tree.Fold { // what was opened or listed may have another path by then
			return
		}
		f.took = []time.Duration{2 * time.Millisecond, 30 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}[how%4]
	case fault.Name == "hang" && isNested:
		f.ofDir = true
	case what%10 == 3 && isNested: // it can be examined, from the directory above
		f.ofDir, f.ops = true, []string{"open", "readdir", "names", "dirnames"}
	case what%10 == 4:
		f.ofDir, f.ops, f.below = true, []string{"readdir", "names"}, false
		if slices.ContainsFunc(r.targets, func(t string) bool { return strings.HasPrefix(t, fault.Path+"/") }) {
			return // its directories above are not listed
		}
	}
	if f.ofDir && !isDir {
		return
	}
	if err != nil {
		fault.Error = oserr.Cause(err).Error()
	}
	f.record = fault
	r.note("fault: %s %q %s %v", fault.Name, fault.Path, fault.Error, f.took)
	r.record.add(fault)
	r.faults = append(r.faults, f)
	if fault.Name == "hang" {
		r.fs.Hang(fault.Path)
		r.fs.Hang(fault.Path + "/")
	}
	r.setFaults()
}

// setFaults has calls fail and take time as the faults say.
func (r *chainRun) setFaults() {
	r.fs.Heal()
	slow := make(map[string]time.Duration)
	for _, f := range r.faults {
		names := []string{f.record.Path}
		if f.below {
			names = append(names, f.record.Path+"/")
		}
		if f.record.Path == "" {
			names = nil
			for _, root := range chainRoots {
				names = append(names, root, root+"/")
			}
		}
		switch {
		case f.err != nil:
			for _, name := range names {
				for _, op := range f.ops {
					r.fs.Fail(op, name, f.err)
				}
				if f.ofDir && f.below {
					r.fs.Fail("lstat", f.record.Path+"/", f.err)
				}
			}
		case f.took > 0:
			slow[f.record.Path] = f.took
		}
	}
	r.fs.SlowFunc(func(name string) time.Duration {
		for at, took := range slow {
			if name == at || strings.HasPrefix(name, at+"/") {
				return took
			}
		}
		return 0
	})
}

// endFault ends a fault.
func (r *chainRun) endFault(f *diskFault) {
	r.faults = slices.DeleteFunc(r.faults, func(o *diskFault) bool { return o == f })
	r.setFaults()
	heal := proof.Record{Kind: proof.Heal, Name: f.record.Name, Path: f.record.Path}
	if f.took > 0 { // a listing may be under way
		heal.Value = f.took.Milliseconds() * int64(1+len(r.items()))
	}
	if f.record.Name == "hang" {
		r.fs.Release(f.record.Path)
		r.fs.Release(f.record.Path + "/")
	}
	r.note("heal: %s %q", heal.Name, heal.Path)
	r.record.add(heal)
}

// endFaultsOf ends the faults of directories that an operation on the path replaces.
func (r *chainRun) endFaultsOf(name string) {
	for _, f := range slices.Clone(r.faults) {
		if f.ofDir && name != "" && (f.record.Path == name || strings.HasPrefix(f.record.Path, name+"/")) {
			r.endFault(f)
		}
	}
}
