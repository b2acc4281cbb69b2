package main

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// walk is one look at a target and all that is below it, or a part of that.
type walk struct {
	*caller
	first bool // there was none before
	count int  // things looked at
	blind bool // something was not told, for want of descriptors or of time

	// What changed.
	again []step // folders that are readable again
	gone  []step
	rest  []step

	// Once it has ended: the target, and what the walk adds to its tag.
	of    *target
	delta uint64
}

// steps returns what changed in the order in which it is told: what is in a
// folder goes before it and comes after it.
func (w *walk) steps() []step {
	byName := func(a, b step) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(w.again, byName)
	slices.SortFunc(w.gone, func(a, b step) int { return byName(b, a) })
	slices.SortFunc(w.rest, byName)
	return slices.Concat(w.again, w.gone, w.rest)
}

// each calls do with 0 to n-1, in the walk w and, where calls turn out to be
// slow, in others beside it whose callers help. It returns when all have ended,
// and w has what they found.
func (w *walk) each(n int, do func(w *walk, i int)) {
	var next atomic.Int64
	work := func(w *walk) bool {
		i := int(next.Add(1)) - 1
		if i >= n || w.stopped() {
			return false
		}
		do(w, i)
		return true
	}
	var helpers []*walk
	var wg sync.WaitGroup
	for work(w) {
		for w.slow() && len(helpers) < n-1 {
			c := w.pool.help(w.caller)
			if c == nil {
				break
			}
			h := &walk{caller: c, first: w.first}
			helpers = append(helpers, h)
			wg.Go(func() {
				defer w.pool.rest(c)
				for work(h) {
				}
			})
		}
	}
	wg.Wait()
	for _, h := range helpers {
		w.count += h.count
		w.blind = w.blind || h.blind
		w.again = append(w.again, h.again...)
		w.gone = append(w.gone, h.gone...)
		w.rest = append(w.rest, h.rest...)
	}
}

// run looks at the thing at path and all below it, and updates e. It returns
// what that adds to the tag of the target.
func (w *walk) run(e *entry, path string) uint64 {
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
	var old []entry
	if e.folder != nil {
		old = e.folder.entries
	}
	listing, is, ok := w.list(path, name, len(old))
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
	listing = w.recall(old, listing, path)
	below, folders := w.merge(old, listing, name)
	var sum atomic.Uint64
	w.each(len(folders), func(w *walk, i int) {
		sub := &listing[folders[i]]
		sum.Add(w.enter(sub, name, path+"/"+strings.TrimSuffix(sub.name, "/")))
	})
	below += sum.Load()
	e.folder.entries = slices.DeleteFunc(listing, func(e entry) bool { return e.look == look{kind: absent} })
	e.folder.tag += below
	return delta + below
}

// recall adds to the listing of a folder what was in it and is still there: a
// file that is replaced while tmpfs lists its folder is left out at times.
func (w *walk) recall(old, listing []entry, path string) []entry {
	var missing []entry
	at := 0
	for i := range old {
		for at < len(listing) && listing[at].name < old[i].name {
			at++
		}
		if at == len(listing) || listing[at].name != old[i].name {
			missing = append(missing, entry{name: old[i].name, look: old[i].look})
		}
	}
	w.each(len(missing), func(w *walk, i int) {
		m := &missing[i]
		base, isFolder := strings.CutSuffix(m.name, "/")
		info, err := w.lstat(path + "/" + base)
		switch {
		case err == nil && info.IsDir() == isFolder:
			if now, ok := w.inFolder(path, info); ok {
				m.look = now
			}
		case err == nil || isNotThere(err):
			m.look = look{kind: absent}
		}
	})
	n := len(listing)
	for _, m := range missing {
		if m.look != (look{kind: absent}) {
			listing = append(listing, m)
		}
	}
	if len(listing) > n {
		slices.SortFunc(listing, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	}
	return listing
}

// merge turns the listing of a folder, into which it puts what was known of
// its entries, into the new entries of that folder. It returns what that adds
// to the tag of the target, and which of the entries are folders, which are yet
// to be entered.
func (w *walk) merge(old, listing []entry, name string) (delta uint64, folders []int) {
	w.count += len(listing)
	for i := range listing {
		e := &listing[i]
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
		if strings.HasSuffix(e.name, "/") {
			folders = append(folders, i)
		} else {
			delta += w.set(e, name, is)
		}
	}
	for i := range old {
		delta += w.remove(&old[i], name, true)
	}
	return delta, folders
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
