package pattern

import (
	"slices"
	"strings"
)

// Filter is what is chosen below a target. The zero value, and nil, choose everything.
// It may be used from any goroutine once its sets are complete.
type Filter struct {
	Only   Set // what is chosen, if that is not empty: what git would ignore with these patterns
	Ignore Set // what is left out, even of that: what git would ignore with these
}

// Choice is what becomes of something below a target.
type Choice int

const (
	// LeftOut: it is not reported, and of a directory nothing below it.
	LeftOut Choice = iota

	// Entered: it is a directory that is not reported. Something below it may be.
	Entered

	// Chosen: it is reported.
	Chosen
)

// Folder is a directory that is not left out, as a Filter sees it: what is decided about
// it and above it is not decided again for what is in it. A nil Folder is one in which
// everything is chosen. It may be used from any goroutine.
type Folder struct {
	filter *Filter

	// picked says that Only has picked a directory above, or this one, and with it all
	// that is below.
	picked bool

	only, ignore state
}

// state is how far the paths of a Set have come on the way to a directory.
type state struct {
	at    []place
	names []nameRule // for what is in the directory itself; of the highest index first
}

// place is a place in a path: the next part is to match.
type place struct {
	path *path
	next int
}

// Root returns the target itself.
func (f *Filter) Root() *Folder {
	if f == nil || f.Only.Empty() && f.Ignore.Empty() {
		return nil
	}
	return &Folder{filter: f, picked: f.Only.Empty(), only: f.Only.start(), ignore: f.Ignore.start()}
}

// Choose returns what becomes of path, which is below the target, with "/" between its
// names and none at its end.
func (f *Filter) Choose(path string, isDir bool) Choice {
	d := f.Root()
	for {
		base, rest, below := strings.Cut(path, "/")
		if !below {
			return d.Choose(base, isDir)
		}
		if d.Choose(base, true) == LeftOut {
			return LeftOut
		}
		d, path = d.Enter(base), rest
	}
}

// Choose returns what becomes of the entry base of d.
func (d *Folder) Choose(base string, isDir bool) Choice {
	switch {
	case d == nil:
		return Chosen
	case d.filter.Ignore.matches(&d.ignore, base, isDir):
		return LeftOut
	case d.picked || d.filter.Only.matches(&d.only, base, isDir):
		return Chosen
	case isDir && (d.filter.Only.floating || d.only.picksBelow(base)):
		return Entered
	}
	return LeftOut
}

// Chosen reports whether d is chosen itself.
func (d *Folder) Chosen() bool { return d == nil || d.picked }

// LeavesOut reports whether the entry base of d is left out whether it is a directory or
// not.
func (d *Folder) LeavesOut(base string) bool {
	return d != nil && d.Choose(base, false) == LeftOut && d.Choose(base, true) == LeftOut
}

// Enter returns the directory base of d, which is not left out.
func (d *Folder) Enter(base string) *Folder {
	if d == nil {
		return nil
	}
	picked := d.picked || d.filter.Only.matches(&d.only, base, true)
	if picked == d.picked && len(d.only.at) == 0 && len(d.ignore.at) == 0 {
		return d // as nearly always, some directories below the target
	}
	sub := &Folder{filter: d.filter, picked: picked, ignore: d.ignore.enter(base)}
	if !picked {
		sub.only = d.only.enter(base)
	}
	return sub
}

// start returns the state of the target itself.
func (s *Set) start() state {
	var st state
	for i := range s.paths {
		st.at = append(st.at, place{&s.paths[i], 0})
	}
	st.index()
	return st
}

// matches reports whether the last pattern of s that matches the entry base of a
// directory with the state is one that does not take back.
func (s *Set) matches(st *state, base string, isDir bool) bool {
	if s.Empty() {
		return false
	}
	bytes := bytesOf(base)
	best := rule{index: -1, negative: true}
	best = findIn(st.names, base, bytes, isDir, best)
	best = s.names.find(base, bytes, isDir, best)
	return !best.negative
}

// index fills names in.
func (st *state) index() {
	for _, p := range st.at {
		parts := p.path.parts[p.next:]
		if len(parts) == 2 && parts[0].deep { // no directory is one number of them
			parts = parts[1:]
		}
		if len(parts) == 1 {
			st.names = append(st.names, nameRule{p.path.rule, parts[0].name})
		}
	}
	slices.SortFunc(st.names, func(a, b nameRule) int { return b.index - a.index })
}

// enter returns the state of the directory base.
func (st *state) enter(base string) state {
	var sub state
	for _, p := range st.at {
		sub.at = p.enter(base, sub.at)
	}
	sub.index()
	return sub
}

// enter appends the places to which the directory base leads.
func (p place) enter(base string, to []place) []place {
	parts := p.path.parts[p.next:]
	if parts[0].deep {
		to = p.appendTo(to)
		if len(parts) == 1 {
			return to
		}
		p.next++ // the name after it; there are not two "**" in a row
		parts = parts[1:]
	}
	if len(parts) > 1 && parts[0].name.matches(base) {
		p.next++
		to = p.appendTo(to)
	}
	return to
}

// appendTo appends p, unless it is there. Those of one path are together.
func (p place) appendTo(to []place) []place {
	for i := len(to) - 1; i >= 0 && to[i].path == p.path; i-- {
		if to[i] == p {
			return to
		}
	}
	return append(to, p)
}

// picksBelow reports whether a pattern may match something below the directory base.
func (st *state) picksBelow(base string) bool {
	for _, p := range st.at {
		if !p.path.negative && len(p.enter(base, nil)) > 0 {
			return true
		}
	}
	return false
}
