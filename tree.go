package main

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// entry is one thing in a folder, or a target itself, and what the last look
// at it told.
type entry struct {
	// name is the name in the folder. That of a folder ends in "/", so that a
	// file which becomes a folder is another entry. A target's is "".
	name string
	look
	folder *folder // what is in a folder; nil for anything else
}

// folder is what is in a folder.
type folder struct {
	entries []entry // by name
	tag     uint64  // the sum of the tags of all that is below
}

// tag returns what e and all that is below it add to the tag of the target. Of
// what is below a folder that cannot be looked at nothing counts.
func (e *entry) tag(name string) uint64 {
	t := e.look.tag(name)
	if e.folder != nil && e.why == "" {
		t += e.folder.tag
	}
	return t
}

// step is one change that a look found.
type step struct {
	name   string // the path below the target; "" is the target itself
	change Change
	look   look
	delta  uint64 // what it adds to the tag of the target
}

// walk is one look at a target and all that is below it.
type walk struct {
	*looker
	first bool // there was none before
	count int  // things looked at
	blind bool // something was not told, for want of descriptors or of time

	// What changed, in the order of names.
	again []step // folders that are readable again
	gone  []step
	rest  []step
}

// steps returns what changed in the order in which it is told: what is in a
// folder goes before it and comes after it.
func (w *walk) steps() []step {
	slices.Reverse(w.gone)
	return slices.Concat(w.again, w.gone, w.rest)
}

// target looks at the thing at path and all below it, and updates e. It returns
// what that adds to the tag of the target.
func (w *walk) target(e *entry, path string) uint64 {
	w.count++
	if w.fresh {
		folder, _ := filepath.Split(path)
		w.touch(cmp.Or(folder, "."))
	}
	is, ok := w.at(path)
	switch {
	case !ok:
		w.blind = true
		return 0
	case is.kind == directory:
		delta := uint64(0)
		if e.kind == file {
			delta = w.set(e, "", look{kind: absent})
		}
		return delta + w.enter(e, "", path)
	case is.kind == file && e.kind == directory:
		return w.set(e, "", look{kind: absent}) + w.set(e, "", is)
	}
	return w.set(e, "", is)
}

// enter looks at the folder e, which is in the folder above, and at all below
// it. It returns what that adds to the tag of the target.
func (w *walk) enter(e *entry, above, path string) uint64 {
	name := above + e.name
	listing, is, ok := w.list(path, name)
	if !ok {
		w.blind = true
		return 0
	}
	delta := w.set(e, above, is)
	if is.kind != directory {
		return delta
	}
	if e.folder == nil {
		e.folder = &folder{}
	}
	listing = w.recall(e.folder.entries, listing, path)
	below := w.merge(e.folder.entries, listing, name, path)
	e.folder.entries = slices.DeleteFunc(listing, func(e entry) bool { return e.look == look{kind: absent} })
	e.folder.tag += below
	return delta + below
}

// recall adds to the listing of a folder what was in it and is still there: a
// file that is replaced while tmpfs lists its folder is left out at times.
func (w *walk) recall(old, listing []entry, path string) []entry {
	n, at := len(listing), 0
	for i := range old {
		o := &old[i]
		for at < n && listing[at].name < o.name {
			at++
		}
		if at < n && listing[at].name == o.name {
			continue
		}
		base, isFolder := strings.CutSuffix(o.name, "/")
		info, err := w.lstat(path + "/" + base)
		l := o.look
		switch {
		case err == nil && info.IsDir() == isFolder:
			if now, ok := w.inFolder(path, info); ok {
				l = now
			}
		case err == nil || isNotThere(err):
			continue
		}
		if l.kind != absent || l.why != "" { // as a link to nothing is
			listing = append(listing, entry{name: o.name, look: l})
		}
	}
	if len(listing) > n {
		slices.SortFunc(listing, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	}
	return listing
}

// merge turns the listing of a folder, into which it puts what was known of
// its entries, into the new entries of that folder.
func (w *walk) merge(old, listing []entry, name, path string) (delta uint64) {
	for i := range listing {
		e := &listing[i]
		w.count++
		for len(old) > 0 && old[0].name < e.name {
			delta += w.remove(&old[0], name, true)
			old = old[1:]
		}
		is := e.look
		switch {
		case len(old) > 0 && old[0].name == e.name:
			*e = old[0]
			old = old[1:]
		case w.first:
			e.look = look{kind: unknown}
		default:
			e.look = look{kind: absent}
		}
		if base, ok := strings.CutSuffix(e.name, "/"); ok {
			delta += w.enter(e, name, path+"/"+base)
		} else {
			delta += w.set(e, name, is)
		}
	}
	for i := range old {
		delta += w.remove(&old[i], name, true)
	}
	return delta
}

// set makes e, which is in the folder above, what the look is says of it, and
// returns what that adds to the tag of the target.
func (w *walk) set(e *entry, above string, is look) uint64 {
	if is.kind == absent && e.folder != nil {
		delta := w.remove(e, above, true)
		e.look, e.folder = is, nil
		return delta
	}
	change, now := compare(e.look, is)
	if change == "" && e.kind == now.kind {
		e.look = now
		return 0 // without the cost of a tag
	}
	name := above + e.name
	s := step{name, change, now, -e.tag(name)}
	e.look = now
	s.delta += e.tag(name)
	switch {
	case change == "":
	case change == Removed:
		w.gone = append(w.gone, s)
	case change == Readable && e.kind == directory:
		w.again = append(w.again, s)
	default:
		w.rest = append(w.rest, s)
	}
	return s.delta
}

// remove tells that e, which is in the folder above, and all that is below it
// are gone, and returns what that adds to the tag of the target. Counted is
// whether they are part of it.
func (w *walk) remove(e *entry, above string, counted bool) uint64 {
	name := above + e.name
	s := step{name: name, change: Removed, look: look{kind: absent}}
	if counted {
		s.delta = -e.look.tag(name)
	}
	w.gone = append(w.gone, s)
	delta := s.delta
	if e.folder != nil {
		for i := range e.folder.entries {
			delta += w.remove(&e.folder.entries[i], name, counted && e.why == "")
		}
	}
	return delta
}
