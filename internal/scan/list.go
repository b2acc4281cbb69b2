package scan

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"net-watcher/internal/oserr"
)

// A folder is read in portions of so many entries, small ones first, so that
// it shows how fast its file system is, and that it does answer.
const (
	minPortion = 8
	maxPortion = 256
)

// list lists the folder at the path name, of which below is the path below the
// target, either "" or ending in "/". It returns what is in it, which is valid
// until the caller lists the next, and the look at the folder itself. As at, it
// returns false if that told nothing.
func (w *walk) list(name, below string) ([]entry, look, bool) {
	flags := openFlags
	if below != "" {
		flags |= folderFlags
	}
	for again := false; ; again = true {
		if w.stopped() {
			return nil, look{}, false
		}
		f, err := w.open(name, flags)
		if err != nil {
			info, there := w.lstat(name)
			if below != "" && there == nil && !info.IsDir() { // it has become a link, say
				return nil, look{kind: absent}, true
			}
			l, ok := failed(err)
			return nil, l, ok
		}
		l := listing{walk: w, name: name, below: below, entries: w.entries[:0]}
		err = l.addAll(f)
		f.Close()
		if err != nil {
			info, gone := w.stat(name)
			switch {
			case oserr.IsNotExist(gone) || gone == nil && !info.IsDir():
				return nil, look{kind: absent}, true
			case !again && !errors.Is(err, fs.ErrPermission):
				continue // another folder may have come in its place
			}
			is, ok := unreadable(err)
			return nil, is, ok
		}
		ok := l.finish()
		w.entries = l.entries
		if !ok {
			return nil, look{}, false
		}
		return l.entries, look{kind: directory}, true
	}
}

// listing is a folder that is being listed.
type listing struct {
	*walk
	name, below string // of the folder, as list has them
	entries     []entry
	more        []unfinished
}

// unfinished is an entry that must be looked at in another way than was done
// when it was listed.
type unfinished struct {
	index int // of the entry
	info  fs.FileInfo
}

// addAll adds to the listing what is in the folder f.
func (l *listing) addAll(f openFile) (err error) {
	for n := minPortion; ; n = min(2*n, maxPortion) {
		var infos []fs.FileInfo
		// Fewer than n are not the end: what has vanished counts.
		if infos, err = f.Readdir(n); err != nil {
			break
		}
		l.add(infos)
		if l.slow() {
			err = l.addEach(f)
			break
		}
	}
	if err == nil || err == io.EOF {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) || oserr.IsNotExist(err) {
		return err
	}
	// One thing that cannot be looked at does not stop the others.
	l.entries, l.more = l.entries[:0], nil
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return l.addEach(f)
}

// add adds to the listing what was listed as infos.
func (l *listing) add(infos []fs.FileInfo) {
	for _, info := range infos {
		e := entry{name: info.Name()}
		if info.IsDir() {
			e.name += "/"
		}
		if l.ignored(e.name, l.below) {
			continue
		}
		if l.hasMore(info) {
			l.more = append(l.more, unfinished{len(l.entries), info})
		} else {
			e.look, _ = l.describe("", info)
		}
		l.entries = append(l.entries, e)
	}
}

// addEach adds to the listing what is left to be read of the folder f, and
// looks at one thing after the other, or at several at a time. It reads nothing
// but names: where a file system does not say what is a folder, package os would
// look at one thing after the other to find out.
func (l *listing) addEach(f openFile) error {
	var names []string
	for {
		some, err := f.Readdirnames(maxPortion)
		names = append(names, some...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return l.ignored(name, l.below) })
	infos, errs := make([]fs.FileInfo, len(names)), make([]error, len(names))
	l.each(len(names), func(w *walk, i int) {
		infos[i], errs[i] = w.lstat(l.name + "/" + names[i])
	})
	bad := make(map[string]error)
	for i, err := range errs {
		switch {
		case err == nil || oserr.IsNotExist(err):
		case oserr.IsTooManyFiles(err):
			return err
		default:
			bad[names[i]] = err
		}
	}
	l.add(slices.DeleteFunc(infos, func(info fs.FileInfo) bool { return info == nil }))
	if len(bad) > 0 {
		l.addBad(f, bad)
	}
	return nil
}

// addBad adds to the listing of the folder f what could not be looked at, with
// these errors. What of that is a folder only f says; if it does not, that is
// left out of the listing, and what was there before is recalled.
func (l *listing) addBad(f openFile, bad map[string]error) {
	_, err := f.Seek(0, io.SeekStart)
	for err == nil {
		var some []fs.DirEntry
		some, err = f.ReadDir(maxPortion)
		for _, d := range some {
			e := entry{name: d.Name()}
			why, ok := bad[e.name]
			if d.IsDir() {
				e.name += "/"
			}
			if ok && !l.ignored(e.name, l.below) {
				e.look, _ = failed(why)
				l.entries = append(l.entries, e)
			}
		}
	}
}

// finish looks at what is unfinished. It returns false if it could not do so.
func (l *listing) finish() bool {
	var blind atomic.Bool
	l.each(len(l.more), func(w *walk, i int) {
		u := l.more[i]
		is, ok := w.inFolder(l.name, u.info)
		if l.entries[u.index].look = is; !ok {
			blind.Store(true)
		}
	})
	if blind.Load() || l.stopped() {
		return false
	}
	if len(l.more) > 0 {
		l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return e.look == look{kind: absent} })
	}
	return true
}

// inFolder looks at what was listed in a folder, without following links, as
// info.
func (w *walk) inFolder(folder string, info fs.FileInfo) (look, bool) {
	name := folder + "/" + info.Name()
	switch {
	case !w.hasMore(info):
	case info.Mode().Type() == fs.ModeSymlink:
		l, ok := w.at(name)
		if ok && l.kind == directory {
			// It is not entered: that might go round in circles.
			return fileLook(info.Size(), info.ModTime()), true
		}
		return l, ok
	case w.fresh:
		l, ok := w.at(name)
		if l.kind == directory { // by now; the next listing has it as a folder
			l = look{kind: absent}
		}
		return l, ok
	}
	return w.describe(name, info)
}

// hasMore reports whether there is more to see of what was listed as info.
func (lr *looker) hasMore(info fs.FileInfo) bool {
	return info.Mode().Type() == fs.ModeSymlink || info.Mode().IsRegular() && (lr.fresh || lr.content)
}

// ignored reports whether what has this name in the folder below is left out.
// The name of a folder ends in "/".
func (lr *looker) ignored(name, below string) bool {
	base, isFolder := strings.CutSuffix(name, "/")
	for _, pattern := range lr.ignore {
		pattern, forFolders := strings.CutSuffix(pattern, "/")
		if forFolders && !isFolder {
			continue
		}
		if ok, _ := path.Match(pattern, base); ok {
			return true
		}
		if ok, _ := path.Match(pattern, below+base); ok {
			return true
		}
	}
	return false
}
