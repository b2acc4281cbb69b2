package scan

import (
	"cmp"
	"slices"
	"strings"

	"net-watcher/internal/wire"
)

// node is a target or something below it, and what is known of it.
type node struct {
	// name is the name in the directory. That of a directory ends in "/", so that
	// a file which becomes a directory is another node. A target's is "".
	name     string
	stat     Stat
	children *dir // nil if nothing is known below it
}

// dir is the contents of a directory.
type dir struct {
	nodes []node // in the order of the last listing
	tag   uint64 // the sum of the tags of all that is below
}

// isDir reports whether n, which is no target, is a directory.
func (n *node) isDir() bool { return strings.HasSuffix(n.name, "/") }

// tag returns what n, which has the path name below the target, and all that is
// below it add to the tag of the target. Below a directory that cannot be read
// nothing counts.
func (n *node) tag(name string) uint64 {
	t := n.stat.tag(name)
	if n.children != nil && n.stat.err == "" {
		t += n.children.tag
	}
	return t
}

// Step is one change of a target, or of something below it.
type Step struct {
	Name   string // the path below the target; "" is the target itself
	Change wire.Change
	Stat   Stat   // as it is now
	Tag    uint64 // of the target, after this step and all before it
}

// changes is the difference between a tree and what a scan found. Its methods
// bring the tree up to date and note each difference. They are pure: they make no
// call, and know no time.
type changes struct {
	steps []Step // in any order; Tag is what each adds to that of the target
	tag   uint64 // what all add to the tag of the target, and what has no step
}

// set makes n, which is in the directory above, be as s says.
func (c *changes) set(n *node, above string, s Stat) {
	if s.kind == absent && n.children != nil {
		c.remove(n, above, true)
		n.stat, n.children = s, nil
		return
	}
	change, now := compare(n.stat, s)
	if change == "" && n.stat.kind == now.kind {
		return // as nearly always; a tag would cost a hash
	}
	name := above + n.name
	tag := -n.tag(name)
	n.stat = now
	tag += n.tag(name)
	c.tag += tag
	if change != "" {
		c.steps = append(c.steps, Step{name, change, now, tag})
	}
}

// remove notes that n, which is in the directory above, and all that is below it
// are gone. counted is whether they are part of the tag of the target.
func (c *changes) remove(n *node, above string, counted bool) {
	step := Step{Name: above + n.name, Change: wire.Removed, Stat: gone}
	if counted {
		step.Tag = -n.stat.tag(step.Name)
	}
	c.tag += step.Tag
	c.steps = append(c.steps, step)
	if n.children != nil {
		for i := range n.children.nodes {
			c.remove(&n.children.nodes[i], step.Name, counted && n.stat.err == "")
		}
	}
}

// update gives the nodes of d, which has the path name below the target, the
// Stats of its listing, which has the same names in the same order. It leaves out
// directories: these are yet to be listed themselves.
func (c *changes) update(d *dir, name string, listing []node) {
	for i := range listing {
		if n := &d.nodes[i]; !n.isDir() {
			c.set(n, name, listing[i].stat)
		}
	}
}

// sorted returns the steps in the order in which they are reported, and each with
// the tag of the target, which was before. What is in a directory is removed
// before it, and created after it.
func (c *changes) sorted(before uint64) []Step {
	slices.SortFunc(c.steps, func(a, b Step) int {
		if order := cmp.Compare(a.rank(), b.rank()); order != 0 {
			return order
		}
		if a.Change == wire.Removed {
			return cmp.Compare(b.Name, a.Name)
		}
		return cmp.Compare(a.Name, b.Name)
	})
	for i := range c.steps {
		before += c.steps[i].Tag
		c.steps[i].Tag = before
	}
	return c.steps
}

// rank returns the place of s among the steps of a scan: directories that are
// readable again, what is gone, and the rest.
func (s *Step) rank() int {
	switch {
	case s.Change == wire.Readable && s.Stat.kind == directory:
		return 0
	case s.Change == wire.Removed:
		return 1
	}
	return 2
}

// sameNames reports whether a listing has the names of d in the order of d.
func (d *dir) sameNames(listing []node) bool {
	return slices.EqualFunc(d.nodes, listing, func(a, b node) bool { return a.name == b.name })
}

// dropGone removes the nodes of d where nothing exists any more.
func (d *dir) dropGone() {
	d.nodes = slices.DeleteFunc(d.nodes, func(n node) bool { return n.stat == gone })
}

// match compares the names of d with those of its listing. It returns a copy of
// the nodes of d that are listed, with new nodes for new names, in the order of
// the listing; the listing, to go with them; and the nodes of d that the listing
// lacks. With first, nothing is known of new names; else nothing existed.
//
// A listing may have a name twice, or lack one that exists: tmpfs does so with
// files that are replaced meanwhile, and others with less reason.
func (d *dir) match(listing []node, first bool) (nodes, listed []node, missing []*node) {
	const met = -1
	old := make(map[string]int, len(d.nodes)) // index in d.nodes, or met
	for i := range d.nodes {
		old[d.nodes[i].name] = i
	}
	nodes = make([]node, 0, len(listing))
	for _, l := range listing {
		if l.stat.kind == unknown && !l.isDir() {
			// It was listed and could not be examined: it is still the directory
			// that it was, most likely.
			if _, ok := old[l.name+"/"]; ok {
				l.name += "/"
			}
		}
		n := node{name: l.name, stat: gone}
		if first {
			n.stat = Stat{}
		}
		switch i, ok := old[l.name]; {
		case ok && i == met:
			continue
		case ok:
			n = d.nodes[i]
		}
		old[l.name] = met
		nodes = append(nodes, n)
		listed = append(listed, l)
	}
	for i := range d.nodes {
		if old[d.nodes[i].name] != met {
			missing = append(missing, &d.nodes[i])
		}
	}
	return nodes, listed, missing
}

// shareNames makes the names of the nodes parts of one string, which is less work
// for the garbage collector.
func shareNames(nodes []node) []node {
	var b strings.Builder
	for _, n := range nodes {
		b.WriteString(n.name)
	}
	names := b.String()
	for i := range nodes {
		n := len(nodes[i].name)
		nodes[i].name, names = names[:n], names[n:]
	}
	return nodes
}
