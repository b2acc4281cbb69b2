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
	sum   Sum    // of all that is below
}

// Sum is what a target and all that is known below it add up to.
type Sum struct {
	Tag        uint64 // equal tags mean that nothing differs
	Unreadable int    // things below the target that cannot be examined
}

func (s Sum) plus(t Sum) Sum  { return Sum{s.Tag + t.Tag, s.Unreadable + t.Unreadable} }
func (s Sum) minus(t Sum) Sum { return Sum{s.Tag - t.Tag, s.Unreadable - t.Unreadable} }

// isDir reports whether n, which is no target, is a directory.
func (n *node) isDir() bool { return strings.HasSuffix(n.name, "/") }

// sum returns what n, which has the path name below the target, and all that is
// below it add to the sum of the target. Below a directory that cannot be read
// nothing counts.
func (n *node) sum(name string) Sum {
	sum := n.stat.sum(name)
	if n.children != nil && n.stat.err == "" {
		sum = sum.plus(n.children.sum)
	}
	return sum
}

// unreadable adds what is below n, which has the path name below the target, and cannot
// be examined to found: by its path below the target, why.
func (n *node) unreadable(name string, found map[string]string) {
	if n.children == nil || n.stat.err != "" {
		return
	}
	for i := range n.children.nodes {
		child := &n.children.nodes[i]
		if child.stat.err != "" {
			found[name+child.name] = child.stat.err
		}
		child.unreadable(name+child.name, found)
	}
}

// sum returns what s at name, a path below the target, adds to the sum of the target.
func (s Stat) sum(name string) Sum {
	sum := Sum{Tag: s.tag(name)}
	if s.err != "" && name != "" {
		sum.Unreadable = 1
	}
	return sum
}

// Step is one change of a target, or of something below it.
type Step struct {
	Name   string // the path below the target; "" is the target itself
	Change wire.Change
	Stat   Stat // as it is now
	Sum    Sum  // of the target, after this step and all before it

	// Again says that it was unreadable before, and is so no more.
	Again bool
}

// changes is the difference between a tree and what a scan found. Its methods
// bring the tree up to date and note each difference. They are pure: they make no
// call, and know no time.
type changes struct {
	steps []Step // in any order; Sum is what each adds to that of the target
	sum   Sum    // what all add to the sum of the target, and what has no step
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
	before, again := n.sum(name), n.stat.err != ""
	n.stat = now
	sum := n.sum(name).minus(before)
	c.sum = c.sum.plus(sum)
	if change != "" {
		c.steps = append(c.steps, Step{name, change, now, sum, again})
	}
}

// remove notes that n, which is in the directory above, and all that is below it
// are gone. counted is whether they are part of the sum of the target.
func (c *changes) remove(n *node, above string, counted bool) {
	if n.stat.kind <= absent && n.stat.err == "" {
		return // it was never there
	}
	step := Step{Name: above + n.name, Change: wire.Removed, Stat: gone, Again: n.stat.err != ""}
	if counted {
		step.Sum = Sum{}.minus(n.stat.sum(step.Name))
	}
	c.sum = c.sum.plus(step.Sum)
	c.steps = append(c.steps, step)
	if n.children != nil {
		for i := range n.children.nodes {
			c.remove(&n.children.nodes[i], step.Name, counted && n.stat.err == "")
		}
	}
}

// sorted returns the steps in the order in which they are reported, and each with
// the sum of the target, which was before. What is in a directory is removed
// before it, and created after it.
func (c *changes) sorted(before Sum) []Step {
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
		before = before.plus(c.steps[i].Sum)
		c.steps[i].Sum = before
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
