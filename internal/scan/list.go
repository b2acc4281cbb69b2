package scan

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"net-watcher/internal/oserr"
	"net-watcher/internal/pattern"
)

// list lists the directory at path, of which name is the path below the target,
// either "" or ending in "/", folder what the filter knows of it, dev the device, and old
// what the last listing had. It returns the listing, which is valid until the worker lists
// another directory, nil if there is none, and the Stat of the directory itself.
func (p *pass) list(path, name string, folder *pattern.Folder, dev uint64, old []node) (*listing, Stat) {
	for again := false; ; again = true {
		if p.sched.stopped() {
			return nil, Stat{inconclusive: true}
		}
		f, err := p.w.openDir(path, name == "") // a target may be a link
		if err != nil {
			if name != "" {
				if e, err := p.w.lstat(path); err == nil && !e.Mode.IsDir() { // it was replaced, by a link perhaps
					return nil, gone
				}
			}
			return nil, pathStat(err)
		}
		if p.remotes.has(p.w, dev, path) {
			p.w.refresh(f)
		}
		l := &p.w.listing
		l.reset(p, path, folder, dev, old)
		err = l.read(f)
		p.w.close(f)
		if err == nil {
			err = l.addFailed()
		}
		if err == nil {
			l.finish()
			if name != "" && !folder.Chosen() {
				return l, Stat{kind: entered}
			}
			return l, Stat{kind: directory}
		}
		e, statErr := p.w.stat(path)
		switch {
		case oserr.IsNotExist(statErr) || statErr == nil && !e.Mode.IsDir():
			return nil, gone
		case oserr.IsNotExist(err) && statErr == nil && e.Unlinked:
			return nil, gone // its path leads there all the same, as "." does
		case !again && !errors.Is(err, fs.ErrPermission):
			continue // it may have been replaced by another directory
		}
		return nil, errStat(err)
	}
}

// listing is a directory that is being listed. As long as its names are those of the last
// listing, in the same order, it holds only what differs: then a scan that finds nothing
// needs no memory.
type listing struct {
	pass       *pass
	path       string            // of the directory
	folder     *pattern.Folder   // what the filter knows of it
	dev        uint64            // its device
	mounts     map[string]uint64 // directories with another device, by name
	old        []node            // what the last listing had
	same       int               // how many entries have the names of the first ones of old
	changed    []change          // what differs from old in those
	differs    bool              // an entry has another name
	all        []listed          // every entry, if differs
	unfinished []unfinished
	byName     map[string]*node // of old; nil before it is needed
	failed     []Entry          // those that could not be examined
	examined   int              // how many could be
}

// listed is an entry of a listing, with a name as that of a node. Of directories only the
// name counts: they are yet to be listed themselves.
type listed struct {
	name string
	stat Stat
}

// change is what differs in an entry that old has.
type change struct {
	index int
	stat  Stat
}

// unfinished is an entry of which more is to be examined than a listing does.
type unfinished struct {
	index int
	entry Entry
	known Stat // by the last scan, see listing.known
	stat  Stat
}

// maxKept is how many entries a listing keeps memory for, from one directory to the next.
const maxKept = 1024

// reset makes l the listing of another directory, with nothing in it yet.
func (l *listing) reset(p *pass, path string, folder *pattern.Folder, dev uint64, old []node) {
	changed, all := l.changed[:0], l.all[:0]
	if cap(changed) > maxKept {
		changed = nil
	}
	if cap(all) > maxKept {
		all = nil
	}
	*l = listing{pass: p, path: path, folder: folder, dev: dev, old: old, changed: changed, all: all}
}

// isSame reports whether the names are those of the last listing, in the same order.
func (l *listing) isSame() bool { return !l.differs && l.same == len(l.old) }

// put adds an entry, and returns its index. base is its name, and need not stay valid.
func (l *listing) put(base string, isDir bool, s Stat) int {
	if !l.differs && l.same < len(l.old) && l.old[l.same].is(base, isDir) {
		l.same++
		l.setStat(l.same-1, s)
		return l.same - 1
	}
	l.complete()
	name := strings.Clone(base)
	if isDir {
		name += "/"
	}
	l.all = append(l.all, listed{name, s})
	return len(l.all) - 1
}

// setStat makes s the Stat of the entry with the index.
func (l *listing) setStat(index int, s Stat) {
	switch {
	case l.differs:
		l.all[index].stat = s
	case !l.old[index].isDir() && !l.old[index].has(s):
		l.changed = append(l.changed, change{index, s})
	}
}

// complete makes all have every entry.
func (l *listing) complete() []listed {
	if !l.differs {
		l.differs = true
		for i := range l.same {
			l.all = append(l.all, listed{l.old[i].name, l.old[i].stat()})
		}
		for _, c := range l.changed {
			l.all[c.index].stat = c.stat
		}
	}
	return l.all
}

// read adds what is in the directory f. Where calls are fast, it examines one
// entry after the other. Where they turn out to be slow, it reads the names of
// the rest, and examines many at a time.
func (l *listing) read(f Dir) error {
	w := l.pass.w
	for n := minPortion; !w.slow(); n = min(2*n, maxPortion) {
		entries, err := w.readEntries(f, n, l.folder)
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
	names = slices.DeleteFunc(names, l.folder.LeavesOut)
	entries := make([]Entry, len(names))
	l.pass.parallelFor(len(names), func(p *pass, i int) {
		e, err := p.w.lstat(Join(l.path, names[i]))
		e.Name, e.Err = names[i], err
		entries[i] = e
	})
	if l.pass.sched.stopped() {
		return nil // some entries were not examined: the scan is of no use
	}
	for i := range entries {
		l.add(&entries[i])
	}
	return nil
}

// add adds e, which need not stay valid, unless it is left out or has vanished. It puts
// off an entry that could not be examined.
func (l *listing) add(e *Entry) {
	switch {
	case e.LeftOut:
		return
	case e.Err == nil:
		l.examined++
	case oserr.IsNotExist(e.Err):
		return
	default:
		l.failed = append(l.failed, Entry{Name: strings.Clone(e.Name), Err: e.Err})
		return
	}
	isDir := e.Mode.IsDir()
	if isDir && e.Dev != l.dev {
		if l.mounts == nil {
			l.mounts = make(map[string]uint64)
		}
		l.mounts[strings.Clone(e.Name)] = e.Dev
	}
	if e.Unlinked && e.Mode.IsRegular() {
		l.pass.found.unlinked = Join(l.path, e.Name)
	}
	if l.folder.Choose(e.Name, isDir) == pattern.LeftOut {
		return
	}
	var known Stat // what the last scan found of e, if that matters
	if l.pass.options.SkipSame && !isDir {
		known = l.known(e)
	}
	switch {
	case l.pass.unfinished(e, known):
		u := unfinished{entry: *e, known: known}
		u.entry.Name = strings.Clone(e.Name)
		if !l.differs && l.same < len(l.old) {
			u.stat = l.old[l.same].stat() // no change yet
		}
		u.index = l.put(e.Name, isDir, u.stat)
		l.unfinished = append(l.unfinished, u)
	case l.pass.isSame(e, known):
		l.put(e.Name, isDir, known)
	default:
		l.put(e.Name, isDir, entryStat(e))
	}
}

// known returns what the last scan found of e, which is no directory.
func (l *listing) known(e *Entry) Stat {
	if !l.differs && l.same < len(l.old) && l.old[l.same].is(e.Name, false) {
		return l.old[l.same].stat()
	}
	if l.byName == nil {
		l.byName = make(map[string]*node, len(l.old))
		for i := range l.old {
			l.byName[l.old[i].name] = &l.old[i]
		}
	}
	if n := l.byName[e.Name]; n != nil {
		return n.stat()
	}
	return Stat{}
}

// addFailed adds the entries that could not be examined. Which of them are
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
		s := errStat(e.Err)
		isDir := dirs[e.Name]
		switch {
		case err != nil: // if it would be left out as a file, it is to be a directory
			isDir = l.folder.Choose(e.Name, false) == pattern.LeftOut
		case !isDir:
			s.kind = file
		}
		if l.folder.Choose(e.Name, isDir || err != nil) != pattern.LeftOut {
			l.put(e.Name, isDir, s)
		}
	}
	return nil
}

// finish examines what is unfinished.
func (l *listing) finish() {
	if len(l.unfinished) == 0 {
		return
	}
	l.pass.parallelFor(len(l.unfinished), func(p *pass, i int) {
		u := &l.unfinished[i]
		u.stat = p.statEntry(l.path, &u.entry, u.known)
		if u.stat.err != "" {
			u.stat.kind = file // and no directory: see match
		}
	})
	vanished := false
	for _, u := range l.unfinished {
		l.setStat(u.index, u.stat)
		vanished = vanished || u.stat == gone
	}
	if vanished {
		l.all = slices.DeleteFunc(l.complete(), func(e listed) bool { return e.stat == gone })
	}
}
