package proof

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"net-watcher/internal/wire"
)

// known is what a chain has said of a name.
type known struct {
	value                  // while it is unreadable, what it was before
	mtime        time.Time // of a file
	sure         bool      // of the value: else it may be any
	cannotBeRead bool
}

// book is what a chain has said so far.
type book struct {
	config *Record
	chosen *chooser
	states map[string]string // by target
	flat   map[string]bool   // the targets below which there was nothing at the start
	names  map[name]known
}

// transitions checks that each event of each chain has the fields that it is to have, and
// may follow those before it, by the table of docs/protocol.md.
func (h History) transitions(chains []*chain) (found []Violation) {
	chosen := h[0].chooser()
	for _, c := range chains {
		b := &book{&h[0], chosen, make(map[string]string), make(map[string]bool), make(map[name]known)}
		if len(c.targets) != len(h[0].Targets) {
			found = append(found, violation(Legal, c.index, "the greeting leaves out targets"))
		}
		for _, p := range c.spots[0].places {
			if wrong := b.watching(&p.now); wrong != "" {
				found = append(found, violation(Legal, c.index, "%q %s", p.now.String(), wrong))
			}
		}
		for i := range c.events {
			if wrong := b.changed(&c.events[i].Event); wrong != "" {
				found = append(found, violation(Legal, c.events[i].index, "%q %s", c.events[i].String(), wrong))
			}
		}
	}
	return found
}

// watching notes a Watching event, and returns what is wrong with it, or "".
func (b *book) watching(e *wire.Event) string {
	now := known{value: valueOf(e), mtime: e.Mtime, sure: true}
	b.flat[e.File] = now.kind == absent || now.kind == file
	if now.kind == unreadable {
		now = known{cannotBeRead: true}
	}
	b.names[nameOf(e)], b.states[e.File] = now, e.State
	if e.Type != wire.Watching || e.Protocol != wire.Protocol || e.Interval != b.config.Interval || e.Targets != len(b.config.Targets) ||
		e.State == "" || !slices.Contains(b.config.Targets, e.File) || e.Size != nil && (e.Missing || e.Error != "") || e.Missing && e.Error != "" {
		return "is no line of a greeting"
	}
	return ""
}

// changed notes a Changed event, and returns what is wrong with it, or "".
func (b *book) changed(e *wire.Event) string {
	n := nameOf(e)
	state, ok := b.states[n.target]
	if !ok || e.Target != "" && !above(n.target, n.file) {
		return "is about no target"
	}
	was, now := b.of(n), known{value: valueOf(e), mtime: e.Mtime, sure: true}
	wrong := cmp.Or(misshapen(n, e), b.unchosen(n, e), b.misplaced(n, e), b.refused(n, was, now, e.Change))
	if wrong == "" && e.State == state && e.Change != wire.Removed {
		wrong = "has the state of the event before it"
	}
	if now.kind == unreadable {
		now = was
		now.cannotBeRead = true
	}
	if b.chosen.enters(n) {
		now.value = value{} // that it is there is not said
	}
	b.names[n], b.states[n.target] = now, e.State
	return wrong
}

// of returns what is known of n.
func (b *book) of(n name) known {
	if k, ok := b.names[n]; ok {
		return k
	}
	return known{sure: b.flat[n.target]}
}

// refused returns why a change from was to now is none of the transitions, or "".
func (b *book) refused(n name, was, now known, change wire.Change) string {
	isThere, content := was.kind != absent || !was.sure, b.config.Content
	differs := !was.sure || was.value != now.value || !content && !was.mtime.Equal(now.mtime)
	if b.chosen.enters(n) {
		differs = false // whether it was there is not known
	}
	ok := false
	switch change {
	case wire.Created:
		ok = was.kind == absent
	case wire.Modified:
		ok = isThere && now.kind == file && (differs || content)
	case wire.Removed:
		ok = isThere || was.cannotBeRead
	case wire.Unreadable:
		ok = !was.cannotBeRead
	case wire.Readable:
		ok = !was.sure || was.cannotBeRead && !differs
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("follows %v (unreadable since: %v)", was.value, was.cannotBeRead)
}

// misshapen returns which fields e has that it must not have, or lacks, or "".
func misshapen(n name, e *wire.Event) string {
	isDir, below := strings.HasSuffix(n.file, "/"), n.file != n.target
	isThere := e.Change != wire.Removed && e.Change != wire.Unreadable
	switch {
	case e.Type != wire.Changed || e.State == "" || e.Missing || e.Protocol != 0:
		return "is no line of a change"
	case (e.Error != "") != (e.Change == wire.Unreadable):
		return "has a reason and is not unreadable, or the other way round"
	case e.Size != nil && (isDir || !isThere), e.Size == nil && (isThere && below && !isDir || !e.Mtime.IsZero()):
		return "has the size or mtime of something else"
	}
	return ""
}

// unchosen returns why e is not to be reported, or "".
func (b *book) unchosen(n name, e *wire.Event) string {
	switch {
	case b.chosen.leavesOut(n):
		return "is left out"
	case b.chosen.enters(n) && e.Change != wire.Unreadable && e.Change != wire.Readable && e.Change != wire.Removed:
		return "is about a directory that is only entered"
	}
	return ""
}

// misplaced returns why e cannot be where it is, or "": what is below a directory is
// reported only while that is there and can be read, and removed before it.
func (b *book) misplaced(n name, e *wire.Event) string {
	for up := n; up.file != up.target; {
		if up.file = path.Dir(up.path()); up.file != up.target {
			up.file += "/"
		}
		switch k := b.of(up); {
		case k.sure && k.kind != directory && !b.chosen.enters(up):
			return "is below " + up.file + ", which is not a directory"
		case k.cannotBeRead && e.Change != wire.Removed:
			return "is below " + up.file + ", which is unreadable"
		}
	}
	isDir := n.file == n.target || n.path() != n.file
	for other, k := range b.names {
		if isDir && (e.Change == wire.Removed || e.Change == wire.Created) && other.target == n.target && above(n.path(), other.file) && other != n && (k.kind != absent || k.cannotBeRead) {
			return "has " + other.file + " below it"
		}
	}
	return ""
}

// batches checks that the events of each batch are in the order of docs/protocol.md.
func batches(chains []*chain) (found []Violation) {
	for _, c := range chains {
		for i := 1; i < len(c.events); i++ {
			a, b := &c.events[i-1], &c.events[i]
			if a.index == b.index && !c.inOrder(&a.Event, &b.Event) {
				found = append(found, violation(Ordered, b.index, "%q comes after %q", b.String(), a.String()))
			}
		}
	}
	return found
}

// inOrder reports whether b may follow a in a batch.
func (c *chain) inOrder(a, b *wire.Event) bool {
	rank := func(e *wire.Event) int {
		switch {
		case e.Change == wire.Readable && e.Size == nil:
			return 0
		case e.Change == wire.Removed:
			return 1
		}
		return 2
	}
	switch {
	case a.TargetName() != b.TargetName():
		return slices.Index(c.targets, a.TargetName()) < slices.Index(c.targets, b.TargetName())
	case rank(a) != rank(b):
		return rank(a) < rank(b)
	case a.Change == wire.Removed:
		return a.File > b.File
	}
	return a.File < b.File
}
