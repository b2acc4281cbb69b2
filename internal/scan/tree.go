package scan

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
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
	entries []entry // in the order of the last listing
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
	change wire.Change
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

// changed reports whether w has found a change.
func (w *walk) changed() bool { return len(w.again)+len(w.gone)+len(w.rest) > 0 }

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
	f := e.folder
	below := uint64(0)
	if slices.EqualFunc(f.entries, listing, func(a, b entry) bool { return a.name == b.name }) {
		below = w.update(f, listing, name) // as nearly always
	} else {
		below = w.merge(f, listing, name, path)
	}
	var folders []*entry
	for i := range f.entries {
		if strings.HasSuffix(f.entries[i].name, "/") {
			folders = append(folders, &f.entries[i])
		}
	}
	var sum atomic.Uint64
	w.each(len(folders), func(w *walk, i int) {
		sum.Add(w.enter(folders[i], name, path+"/"+strings.TrimSuffix(folders[i].name, "/")))
	})
	below += sum.Load()
	if len(folders) > 0 {
		f.entries = slices.DeleteFunc(f.entries, func(e entry) bool { return e.look == look{kind: absent} })
	}
	f.tag += below
	return delta + below
}

// update gives the entries of f, which has the path name below the target, the
// looks of its listing, but for folders: those are yet to be entered. It returns
// what that adds to the tag of the target.
func (w *walk) update(f *folder, listing []entry, name string) (delta uint64) {
	w.count += len(listing)
	for i := range listing {
		if e := &f.entries[i]; !strings.HasSuffix(e.name, "/") {
			delta += w.set(e, name, listing[i].look)
		}
	}
	return delta
}

// merge makes the entries of f those of its listing, and then does as update
// does.
func (w *walk) merge(f *folder, listing []entry, name, path string) (delta uint64) {
	const met = -1
	old := make(map[string]int, len(f.entries)) // where it is in f.entries, or met
	for i := range f.entries {
		old[f.entries[i].name] = i
	}
	// tmpfs lists a file twice that is replaced meanwhile, or not at all.
	n := 0
	entries := make([]entry, 0, len(listing))
	for _, l := range listing {
		e := entry{name: l.name, look: look{kind: absent}}
		if w.first {
			e.kind = unknown
		}
		switch i, ok := old[l.name]; {
		case ok && i == met:
			continue
		case ok:
			e = f.entries[i]
		}
		old[l.name] = met
		entries = append(entries, e)
		listing[n] = l
		n++
	}
	listing = listing[:n]
	var missing []*entry
	for i := range f.entries {
		if old[f.entries[i].name] != met {
			missing = append(missing, &f.entries[i])
		}
	}
	there := make([]look, len(missing))
	w.each(len(missing), func(w *walk, i int) { there[i] = w.recall(missing[i], path) })
	for i, e := range missing {
		if there[i] == (look{kind: absent}) {
			delta += w.remove(e, name, true)
		} else {
			entries = append(entries, *e)
			listing = append(listing, entry{name: e.name, look: there[i]})
		}
	}
	f.entries = shareNames(entries)
	return delta + w.update(f, listing, name)
}

// recall looks at e, which is missing from the listing of its folder at path. Of
// what is too deep down for a path, only the listing tells.
func (w *walk) recall(e *entry, path string) look {
	base, isFolder := strings.CutSuffix(e.name, "/")
	info, err := w.lstat(path + "/" + base)
	switch {
	case err == nil && info.IsDir() == isFolder:
		if now, ok := w.inFolder(path, info); ok {
			return now
		}
	case err == nil || oserr.IsNotExist(err) || oserr.IsNameTooLong(err):
		return look{kind: absent}
	default:
		if now, ok := failed(err); ok {
			return now
		}
	}
	return e.look
}

// shareNames makes the names of the entries parts of one string, which is less
// work for the garbage collector.
func shareNames(entries []entry) []entry {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.name)
	}
	names := b.String()
	for i := range entries {
		n := len(entries[i].name)
		entries[i].name, names = names[:n], names[n:]
	}
	return entries
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
		return 0 // without the cost of a tag
	}
	name := above + e.name
	s := step{name, change, now, -e.tag(name)}
	e.look = now
	s.delta += e.tag(name)
	switch {
	case change == "":
	case change == wire.Removed:
		w.gone = append(w.gone, s)
	case change == wire.Readable && e.kind == directory:
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
	s := step{name: name, change: wire.Removed, look: look{kind: absent}}
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
