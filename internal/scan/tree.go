package scan

import (
	"cmp"
	"slices"
	"strings"

	"net-watcher/internal/wire"
)

// node is a target or something below it, and what is known of it. There is one for each
// file, so it is small.
type node struct {
	// name is the name in the directory. That of a directory ends in "/", so that
	// a file which becomes a directory is another node. A target's is "".
	name string

	// These are fields of its Stat.
	size, sec int64
	nsec      int32
	kind      kind
	young     bool

	rare *rare // nil if it has none of that
}

// rare is what most nodes do not have.
type rare struct {
	hash     uint64 // as the next one, a field of the Stat
	err      string
	children *dir // nil if nothing is known below it
}

// stat returns the Stat that is known of n.
func (n *node) stat() Stat {
	s := Stat{size: n.size, sec: n.sec, nsec: n.nsec, kind: n.kind, young: n.young}
	if n.rare != nil {
		s.hash, s.err = n.rare.hash, n.rare.err
	}
	return s
}

// setStat makes s what is known of n.
func (n *node) setStat(s Stat) {
	n.size, n.sec, n.nsec, n.kind, n.young = s.size, s.sec, s.nsec, s.kind, s.young
	n.setRare(rare{s.hash, s.err, n.children()})
}

// has reports whether s is what is known of n. It is n.stat() == s, in half the time: each
// scan does this for each file.
func (n *node) has(s Stat) bool {
	if n.size != s.size || n.sec != s.sec || n.nsec != s.nsec || n.kind != s.kind || n.young != s.young || s.inconclusive {
		return false
	}
	if n.rare == nil {
		return s.hash == 0 && s.err == ""
	}
	return n.rare.hash == s.hash && n.rare.err == s.err
}

func (n *node) unreadable() bool { return n.rare != nil && n.rare.err != "" }

// children returns what is known below n, or nil.
func (n *node) children() *dir {
	if n.rare == nil {
		return nil
	}
	return n.rare.children
}

// setChildren makes d what is known below n.
func (n *node) setChildren(d *dir) {
	s := n.stat()
	n.setRare(rare{s.hash, s.err, d})
}

func (n *node) setRare(r rare) {
	switch {
	case r == rare{}:
		n.rare = nil
	case n.rare == nil:
		n.rare = new(rare) // and not &r, which would be on the heap for every node
		fallthrough
	default:
		*n.rare = r
	}
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

// is reports whether n has the name base, of a directory or not.
func (n *node) is(base string, isDir bool) bool {
	if isDir {
		return len(n.name) == len(base)+1 && n.name[:len(base)] == base && n.isDir()
	}
	return n.name == base
}

// isDir reports whether n, which is no target, is a directory.
func (n *node) isDir() bool { return strings.HasSuffix(n.name, "/") }

// sum returns what n, which has the path name below the target, and all that is
// below it add to the sum of the target. Below a directory that cannot be read
// nothing counts.
func (n *node) sum(name string) Sum {
	sum := n.stat().sum(name)
	if n.children() != nil && !n.unreadable() {
		sum = sum.plus(n.children().sum)
	}
	return sum
}

// addUnreadable adds what is below n, which has the path name below the target, and cannot
// be examined to found: by its path below the target, why.
func (n *node) addUnreadable(name string, found map[string]string) {
	if n.children() == nil || n.unreadable() {
		return
	}
	for i := range n.children().nodes {
		child := &n.children().nodes[i]
		if child.unreadable() {
			found[name+child.name] = child.rare.err
		}
		child.addUnreadable(name+child.name, found)
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
	if s.kind == absent && n.children() != nil {
		c.remove(n, above, true)
		n.setChildren(nil)
		n.setStat(s)
		return
	}
	change, now := compare(n.stat(), s)
	if change == "" && n.kind == now.kind { // as nearly always; a tag would cost a hash
		n.sec, n.nsec, n.young = now.sec, now.nsec, now.young // of a file that was touched
		return
	}
	name := above + n.name
	before, again := n.sum(name), n.unreadable()
	n.setStat(now)
	sum := n.sum(name).minus(before)
	c.sum = c.sum.plus(sum)
	if change != "" {
		c.steps = append(c.steps, Step{name, change, now, sum, again})
	}
}

// remove notes that n, which is in the directory above, and all that is below it
// are gone. counted is whether they are part of the sum of the target.
func (c *changes) remove(n *node, above string, counted bool) {
	if n.kind <= absent && !n.unreadable() {
		return // it was never there
	}
	step := Step{Name: above + n.name, Change: wire.Removed, Stat: gone, Again: n.unreadable()}
	if counted {
		step.Sum = Sum{}.minus(n.stat().sum(step.Name))
	}
	c.sum = c.sum.plus(step.Sum)
	if n.kind != entered || n.unreadable() {
		c.steps = append(c.steps, step)
	}
	if d := n.children(); d != nil {
		for i := range d.nodes {
			c.remove(&d.nodes[i], step.Name, counted && !n.unreadable())
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
	case s.Change == wire.Readable && s.Stat.kind >= directory:
		return 0
	case s.Change == wire.Removed:
		return 1
	}
	return 2
}

// dropGone removes the nodes of d where nothing exists any more.
func (d *dir) dropGone() {
	d.nodes = slices.DeleteFunc(d.nodes, func(n node) bool { return n.kind == absent && !n.unreadable() })
}

// match compares the names of d with those of its listing. It returns a copy of
// the nodes of d that are listed, with new nodes for new names, in the order of
// the listing; the listing, to go with them, which takes its place; and the nodes of d
// that the listing lacks. With first, nothing is known of new names; else nothing existed.
//
// A listing may have a name twice, or lack one that exists: tmpfs does so with
// files that are replaced meanwhile, and others with less reason.
func (d *dir) match(listing []listed, first bool) (nodes []node, matched []listed, missing []*node) {
	const met = -1
	old := make(map[string]int, max(len(d.nodes), len(listing))) // index in d.nodes, or met
	for i := range d.nodes {
		old[d.nodes[i].name] = i
	}
	nodes, matched = make([]node, 0, len(listing)), listing[:0]
	for _, l := range listing {
		if l.stat.kind == unknown && !strings.HasSuffix(l.name, "/") {
			// It was listed and could not be examined: it is still the directory
			// that it was, most likely.
			if _, ok := old[l.name+"/"]; ok {
				l.name += "/"
			}
		}
		n := node{name: l.name, kind: absent}
		if first {
			n.kind = unknown
		}
		switch i, ok := old[l.name]; {
		case ok && i == met:
			continue
		case ok:
			n = d.nodes[i]
		}
		old[l.name] = met
		nodes = append(nodes, n)
		matched = append(matched, l)
	}
	for i := range d.nodes {
		if old[d.nodes[i].name] != met {
			missing = append(missing, &d.nodes[i])
		}
	}
	return nodes, matched, missing
}

// shareNames makes the names of the nodes parts of one string, which is less work
// for the garbage collector.
func shareNames(nodes []node) []node {
	size := 0
	for i := range nodes {
		size += len(nodes[i].name)
	}
	var b strings.Builder
	b.Grow(size)
	for i := range nodes {
		b.WriteString(nodes[i].name)
	}
	names := b.String()
	for i := range nodes {
		n := len(nodes[i].name)
		nodes[i].name, names = names[:n], names[n:]
	}
	return nodes
}
