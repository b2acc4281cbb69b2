package scan

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"net-watcher/internal/oserr"
)

// list lists the directory at path, of which name is the path below the target,
// either "" or ending in "/". It returns its nodes, which are valid until the
// worker lists the next directory, and the Stat of the directory itself.
func (p *pass) list(path, name string) ([]node, Stat) {
	open := p.w.openDir
	if name == "" { // a target may be a link to a directory
		open = p.w.open
	}
	for again := false; ; again = true {
		if p.sched.stopped() {
			return nil, Stat{inconclusive: true}
		}
		f, err := open(path)
		if err != nil {
			if name != "" {
				if info, err := p.w.lstat(path); err == nil && !info.IsDir() { // it was replaced, by a link perhaps
					return nil, gone
				}
			}
			return nil, pathStat(err)
		}
		l := listing{pass: p, path: path, name: name, nodes: p.w.nodes[:0]}
		err = l.read(f)
		p.w.close(f)
		if err == nil {
			err = l.addFailed()
		}
		if err == nil {
			l.finish()
			p.w.nodes = l.nodes
			return l.nodes, Stat{kind: directory}
		}
		info, statErr := p.w.stat(path)
		switch {
		case oserr.IsNotExist(statErr) || statErr == nil && !info.IsDir():
			return nil, gone
		case oserr.IsNotExist(err) && statErr == nil && unlinked(info):
			return nil, gone // its path leads there all the same, as "." does
		case !again && !errors.Is(err, fs.ErrPermission):
			continue // it may have been replaced by another directory
		}
		return nil, errStat(err)
	}
}

// listing is a directory that is being listed.
type listing struct {
	pass       *pass
	path, name string // of the directory, as list has them
	nodes      []node
	unfinished []unfinished
	failed     []Entry // those that could not be examined
	examined   int     // how many could be
}

// unfinished is a node of which more is to be examined than a listing does.
type unfinished struct {
	index int // in listing.nodes
	entry Entry
}

// read adds what is in the directory f. Where calls are fast, it examines one
// entry after the other. Where they turn out to be slow, it reads the names of
// the rest, and examines many at a time.
func (l *listing) read(f File) error {
	w := l.pass.w
	for n := minPortion; !w.slow(); n = min(2*n, maxPortion) {
		entries, err := w.readEntries(f, n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range entries {
			l.add(&entries[i])
		}
	}
	var names []string
	for {
		some, err := timed(w, f.Readdirnames, maxPortion)
		names = append(names, some...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return l.pass.options.ignores(l.name, name, false) })
	entries := make([]Entry, len(names))
	l.pass.parallelFor(len(names), func(p *pass, i int) {
		info, err := p.w.lstat(below(l.path, names[i]))
		entries[i] = newEntry(names[i], info, err)
	})
	if l.pass.sched.stopped() {
		return nil // some entries were not examined; finish says so
	}
	for i := range entries {
		l.add(&entries[i])
	}
	return nil
}

// add adds a node for e, unless it is ignored or has vanished. It puts off an entry
// that could not be examined.
func (l *listing) add(e *Entry) {
	switch {
	case e.Err == nil:
		l.examined++
	case oserr.IsNotExist(e.Err):
		return
	default:
		l.failed = append(l.failed, *e)
		return
	}
	n := node{name: e.Name}
	if e.Mode.IsDir() {
		n.name += "/"
	} else if e.Unlinked {
		l.pass.found.unlinked = below(l.path, e.Name)
	}
	switch {
	case l.pass.options.ignores(l.name, e.Name, e.Mode.IsDir()):
		return
	case l.pass.unfinished(e):
		l.unfinished = append(l.unfinished, unfinished{len(l.nodes), *e})
	default:
		n.stat = entryStat(e)
	}
	l.nodes = append(l.nodes, n)
}

// addFailed adds nodes for the entries that could not be examined. Which of them are
// directories only the directory itself may know: see match for those of which it
// does not. It returns an error if permissions hide every entry: then it is the
// directory that may be read but not searched.
func (l *listing) addFailed() error {
	if len(l.failed) == 0 {
		return nil
	}
	var denied, short, other error
	for _, e := range l.failed {
		switch {
		case errors.Is(e.Err, fs.ErrPermission):
			denied = e.Err
		case oserr.IsInconclusive(e.Err):
			short = e.Err
		default:
			other = e.Err
		}
	}
	if l.examined == 0 && other == nil && denied != nil {
		return cmp.Or(short, denied)
	}
	dirs, err := timed(l.pass.w, l.pass.w.fs.DirNames, l.path)
	for _, e := range l.failed {
		n := node{name: e.Name}
		n.stat = errStat(e.Err)
		switch isDir := dirs[e.Name]; {
		case l.pass.options.ignores(l.name, e.Name, isDir || err != nil):
			continue
		case isDir:
			n.name += "/"
		case err == nil:
			n.stat.kind = file
		}
		l.nodes = append(l.nodes, n)
	}
	return nil
}

// finish examines what is unfinished.
func (l *listing) finish() {
	l.pass.parallelFor(len(l.unfinished), func(p *pass, i int) {
		u := &l.unfinished[i]
		s := p.statEntry(l.path, &u.entry)
		if s.err != "" {
			s.kind = file // and no directory: see match
		}
		l.nodes[u.index].stat = s
	})
	if len(l.unfinished) > 0 {
		l.nodes = slices.DeleteFunc(l.nodes, func(n node) bool { return n.stat == gone })
	}
}

// ignores reports whether the entry base of the directory dir, "" or ending in
// "/", is left out.
func (o *Options) ignores(dir, base string, isDir bool) bool {
	for _, pattern := range o.Ignore {
		pattern, onlyDirs := strings.CutSuffix(pattern, "/")
		if onlyDirs && !isDir {
			continue
		}
		if ok, _ := path.Match(pattern, base); ok {
			return true
		}
		if ok, _ := path.Match(pattern, dir+base); ok {
			return true
		}
	}
	return false
}
