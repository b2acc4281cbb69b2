package proof

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"net-watcher/internal/wire"
)

// value is what is at a path, or is reported of it.
type value struct {
	kind valueKind
	size int64 // of a file; -1 for any
}

type valueKind int

const (
	absent valueKind = iota
	file
	directory
	unreadable
)

func (v value) String() string {
	return [...]string{"not there", fmt.Sprintf("a file of %d bytes", v.size), "a directory", "unreadable"}[v.kind]
}

// is reports whether v may be reported as w.
func (v value) is(w value) bool {
	return v == w || v.kind == file && w.kind == file && min(v.size, w.size) < 0
}

// valueOf returns what e reports.
func valueOf(e *wire.Event) value {
	switch {
	case e.Missing || e.Change == wire.Removed:
		return value{kind: absent}
	case e.Error != "":
		return value{kind: unreadable}
	case e.Size != nil:
		return value{file, *e.Size}
	}
	return value{kind: directory}
}

// inode is a file, a directory or a symbolic link.
type inode struct {
	value
	link    string // where a symbolic link leads
	touched int
}

// tree is a file system: what is at each path.
type tree map[string]*inode

var ops = []string{"create", "write", "touch", "mkdir", "remove", "rename", "swap", "link", "symlink", "chmod"}

// apply does an Op: create or write the file Path, which then has Size; touch it: only its
// time changes; mkdir; remove Path, with all below it; rename or swap Path and To; link or
// symlink Path to To; chmod, which nobody sees.
func (t tree) apply(r *Record) {
	n := t.resolve(r.Path)
	switch {
	case r.Name == "touch":
		n.touched++
	case (r.Name == "create" || r.Name == "write") && n != nil:
		n.size = r.Size
	case r.Name == "create" || r.Name == "write":
		t[r.Path] = &inode{value: value{file, r.Size}}
	case r.Name == "mkdir":
		t[r.Path] = &inode{value: value{kind: directory}}
	case r.Name == "remove":
		t.cut(r.Path)
	case r.Name == "rename" && t[r.Path] != t[r.To]: // else these are two names of a file, and stay
		moved := t.cut(r.Path)
		t.cut(r.To)
		t.paste(r.To, moved)
	case r.Name == "swap":
		a, b := t.cut(r.Path), t.cut(r.To)
		t.paste(r.Path, b)
		t.paste(r.To, a)
	case r.Name == "link":
		t[r.Path] = t[r.To]
	case r.Name == "symlink":
		t[r.Path] = &inode{link: r.To}
	}
}

// cut removes p and all below it, and returns them by their paths below p.
func (t tree) cut(p string) tree {
	cut := make(tree)
	for q, n := range t {
		if q == p || above(p, q) {
			cut[q[len(p):]] = n
			delete(t, q)
		}
	}
	return cut
}

func (t tree) paste(p string, cut tree) {
	for q, n := range cut {
		t[p+q] = n
	}
}

// resolve returns what is at p, following links, or nil.
func (t tree) resolve(p string) *inode {
	n := t[p]
	for hops := 0; n != nil && n.link != "" && hops < 40; hops++ {
		if n = t[n.link]; n != nil && n.kind == directory {
			return &inode{value: value{file, -1}} // it is not entered
		}
	}
	return n
}

// above reports whether p is a directory above q. The path "" is above all.
func above(p, q string) bool { return p == "" || strings.HasPrefix(q, p+"/") }

// span is a time in which something had a value. from and until are its widest bounds, in
// ms: while an Op is under way, both the old and the new value may be seen.
type span struct {
	value
	from, until int64
	touched     int
}

// disk is the file system in all of a run.
type disk struct {
	chosen  *chooser
	targets []string
	window  int64             // ms: what is reported is no older
	spans   map[string][]span // by path, ascending, until never
	links   map[string]bool   // the paths that have ever been symbolic links
	faults  []fault
}

func (h History) disk() *disk {
	d := &disk{
		chosen: h[0].chooser(), targets: h[0].Targets, window: h[0].Interval + h[0].Scan + maxDelay, faults: h.faults(),
		spans: make(map[string][]span), links: make(map[string]bool),
	}
	d.faults = slices.DeleteFunc(d.faults, func(f fault) bool { return f.reader != "" })
	t := make(tree)
	for i := range h {
		if r := &h[i]; r.Kind == Op {
			t.apply(r)
			for p := range t {
				if d.spans[p] == nil {
					d.spans[p] = []span{{until: never}}
				}
				d.links[p] = d.links[p] || t[p] != nil && t[p].link != ""
			}
			for p, spans := range d.spans {
				now, last := span{from: r.T - r.Took, until: never}, &spans[len(spans)-1]
				if n := t.resolve(p); n != nil {
					now.value, now.touched = n.value, n.touched
				}
				if last.value != now.value || last.touched != now.touched {
					last.until = r.T
					d.spans[p] = append(spans, now)
				}
			}
		}
	}
	return d
}

// of returns the spans of n. What has never been there has one, and so has what is left out.
func (d *disk) of(n name) []span {
	spans := slices.Clone(d.spans[n.path()])
	if spans == nil || d.chosen.leavesOut(n) {
		return []span{{until: never}}
	}
	other := directory
	if strings.HasSuffix(n.file, "/") {
		other = file
	}
	for i := range spans {
		if n.file != n.target && spans[i].kind == other {
			spans[i].value = value{}
		}
	}
	return spans
}

// between returns what n was at any time between two.
func (d *disk) between(n name, from, until int64) (all []value) {
	for _, s := range d.of(n) {
		if s.from <= until && s.until >= from {
			all = append(all, s.value)
		}
	}
	return all
}

// below returns the names of all that has ever been below the target.
func (d *disk) below(target string) (names []name) {
	for _, p := range slices.Sorted(maps.Keys(d.spans)) {
		if above(target, p) {
			names = append(names, name{target, p}, name{target, p + "/"})
		}
	}
	return names
}

// name is a target or something below it, as events call it: there, a file and a directory
// of the same path are two.
type name struct{ target, file string }

func nameOf(e *wire.Event) name { return name{e.TargetName(), e.File} }
func (n name) path() string     { return strings.TrimSuffix(n.file, "/") }

// fault is something that keeps a scan or a reader from its work.
type fault struct {
	name, path, reader, reason string
	from, until                int64 // ms, its widest bounds
	sure                       int64 // ms, until when it is sure to have lasted
}

// faults returns those of h.
func (h History) faults() (all []fault) {
	for _, r := range h {
		for i := range all {
			if f := &all[i]; r.Kind == Heal && f.until == never && f.name == r.Name && f.path == r.Path && f.reader == r.Reader {
				f.until, f.sure = r.T+r.Value, r.T-r.Took
			}
		}
		if r.Kind == Fault {
			all = append(all, fault{r.Name, r.Path, r.Reader, r.Error, r.T, never, never})
		}
	}
	return all
}

func (f *fault) overlaps(from, until int64) bool { return f.from <= until && f.until >= from }
func (f *fault) covers(from, until int64) bool   { return f.from < from && f.sure > until }

// disturbs reports whether f keeps the reader from getting what was published.
func (f *fault) disturbs(reader string) bool {
	return f.reader == reader || f.reader == "" && f.path == ""
}

// at reports whether f makes n unreadable and not a directory above n, if it fails.
func (f *fault) at(n name) bool {
	return f.path == n.path() || n.file == n.target && above(f.path, n.file)
}

// in reports whether f is in the target, or above it.
func (f *fault) in(target string) bool {
	return f.path == target || above(f.path, target) || above(target, f.path)
}

// some reports whether one of the faults is so.
func (d *disk) some(is func(*fault) bool) bool {
	for i := range d.faults {
		if is(&d.faults[i]) {
			return true
		}
	}
	return false
}

// delays reports whether scans of the target may wait for f: calls hang or are slow in it,
// or in another target of the same directory.
func (d *disk) delays(f *fault, target string) bool {
	return (f.name == "hang" || f.name == "slow") && slices.ContainsFunc(d.targets, func(other string) bool {
		return path.Dir(other) == path.Dir(target) && f.in(other)
	})
}

// hides reports whether f keeps scans from seeing n, so that what is reported of it may be
// old. If it makes n itself fail it does not: n is unreadable.
func (d *disk) hides(f *fault, n name) bool {
	return f.path == "" || d.delays(f, n.target) || d.links[n.path()] ||
		f.name == "inconclusive" && f.at(n) || n.file != n.target && above(f.path, n.path())
}

// since returns the time, in ms, of the oldest that a report about n at the time t may be
// based on.
func (d *disk) since(n name, t int64) int64 {
	from := t - d.window
	for i := 0; i < len(d.faults); i++ {
		if f := &d.faults[i]; f.overlaps(from, t) && f.from-d.window < from && d.hides(f, n) {
			from, i = f.from-d.window, -1 // more of them may overlap now
		}
	}
	return from
}
