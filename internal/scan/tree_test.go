package scan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// namesOf returns the names of the nodes in short: an unreadable one with "!", one
// where nothing existed with "-", and one that is yet unknown with "?".
func namesOf(nodes []node) string {
	var names []string
	for _, n := range nodes {
		switch {
		case n.stat.err != "":
			n.name += "!"
		case n.stat.kind == absent:
			n.name += "-"
		case n.stat.kind == unknown:
			n.name += "?"
		}
		names = append(names, n.name)
	}
	return strings.Join(names, " ")
}

// nodesOf is the reverse of namesOf; others are there.
func nodesOf(names string) []node {
	var nodes []node
	for name := range strings.FieldsSeq(names) {
		n := node{name: strings.TrimRight(name, "!")}
		switch {
		case strings.HasSuffix(name, "!"):
			n.stat = Stat{err: "denied"}
		case n.isDir():
			n.stat = Stat{kind: directory}
		default:
			n.stat = fileStat(1, check.Day1)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// A listing may lack names or have them twice, and need not have an order. An entry
// that could not be examined is the directory that it was.
func TestMatch(t *testing.T) {
	for _, test := range []struct {
		name                    string
		old, listing            string
		first                   bool
		nodes, listing2, missed string
	}{
		{name: "the same", old: "a b/ c", listing: "a b/ c", nodes: "a b/ c", listing2: "a b/ c"},
		{name: "another order", old: "a b/ c", listing: "c a b/", nodes: "c a b/", listing2: "c a b/"},
		{name: "new names", old: "a", listing: "b/ a c", nodes: "b/- a c-", listing2: "b/ a c"},
		{name: "new names, first", old: "", listing: "b/ a!", first: true, nodes: "b/? a?", listing2: "b/ a!"},
		{name: "names are missing", old: "a b/ c", listing: "c", nodes: "c", listing2: "c", missed: "a b/"},
		{name: "all are missing", old: "a b/", listing: "", missed: "a b/"},
		{name: "names are there twice", old: "a b/", listing: "b/ a b/ a", nodes: "b/ a", listing2: "b/ a"},
		{name: "new names are there twice", old: "a", listing: "c a c b/ b/", nodes: "c- a b/-", listing2: "c a b/"},
		{name: "twice and missing", old: "a b/ c", listing: "c c", nodes: "c", listing2: "c", missed: "a b/"},
		{name: "another type", old: "a b/", listing: "a/ b", nodes: "a/- b-", listing2: "a/ b", missed: "a b/"},
		{name: "a file fails", old: "a b/", listing: "a! b/", nodes: "a b/", listing2: "a! b/"},
		{name: "a directory fails", old: "a b/", listing: "a b!", nodes: "a b/", listing2: "a b/!"},
		{name: "what is new fails", old: "a", listing: "a b!", nodes: "a b-", listing2: "a b!"},
		{name: "a directory fails once of twice", old: "b/", listing: "b/ b!", nodes: "b/", listing2: "b/"},
		{name: "a directory fails twice", old: "b/", listing: "b! b!", nodes: "b/", listing2: "b/!"},
		{name: "a name is the beginning of another", old: "a a/ aa", listing: "aa a", nodes: "aa a", listing2: "aa a", missed: "a/"},
	} {
		d := dir{nodes: nodesOf(test.old)}
		nodes, listed, missing := d.match(nodesOf(test.listing), test.first)
		var missed []node
		for _, n := range missing {
			missed = append(missed, *n)
		}
		check.Equal(t, test.name+": nodes, listing, missing",
			[]string{test.nodes, test.listing2, test.missed}, []string{namesOf(nodes), namesOf(listed), namesOf(missed)})
		check.Equal(t, test.name+": the names before", test.old, namesOf(d.nodes))
		if same, want := d.sameNames(nodesOf(test.listing)), test.old == strings.ReplaceAll(test.listing, "!", ""); same != want {
			t.Errorf("%s: sameNames returns %v", test.name, same)
		}
		check.Equal(t, test.name+": names in one string", namesOf(nodes), namesOf(shareNames(nodes)))
	}
}

// A node that is known keeps what is known of it and below it.
func TestMatchKeeps(t *testing.T) {
	known := &dir{nodes: nodesOf("x"), sum: Sum{7, 1}}
	d := dir{nodes: []node{{name: "a", stat: fileStat(5, check.Day2)}, {name: "b/", stat: Stat{kind: directory}, children: known}}}
	nodes, _, _ := d.match(nodesOf("b/ a"), false)
	want := []node{d.nodes[1], d.nodes[0]}
	check.Equal(t, "nodes", want, nodes, cmp.AllowUnexported(node{}, dir{}, Stat{}))
}

// Directories that are readable again come first, then what is gone, the last name
// first, and then the rest. Each step has the tag after all before it.
func TestSorted(t *testing.T) {
	step := func(change wire.Change, name string, tag int) Step {
		s := Step{Name: name, Change: change, Stat: fileStat(1, check.Day1), Sum: Sum{uint64(tag), tag}}
		if strings.HasSuffix(name, "/") || name == "" {
			s.Stat = Stat{kind: directory}
		}
		if change == wire.Removed {
			s.Stat = gone
		}
		return s
	}
	c := changes{steps: []Step{
		step(wire.Created, "h", 1),
		step(wire.Readable, "b/", 2),
		step(wire.Removed, "e", -4),
		step(wire.Readable, "i", 8),
		step(wire.Modified, "g", 16),
		step(wire.Removed, "d/f", 32),
		step(wire.Readable, "", 64),
		step(wire.Created, "b/x/", 128),
		step(wire.Removed, "d/", 256),
		step(wire.Unreadable, "c/", 512),
		step(wire.Readable, "a/", 1024),
	}}
	var got []string
	for _, s := range c.sorted(Sum{1 << 20, 1 << 20}) {
		got = append(got, fmt.Sprint(s.Change, " ", s.Name, " ", s.Sum.Unreadable-1<<20))
		check.Equal(t, "tag", uint64(s.Sum.Unreadable), s.Sum.Tag)
	}
	want := []string{
		"readable  64", "readable a/ 1088", "readable b/ 1090",
		"removed e 1086", "removed d/f 1118", "removed d/ 1374",
		"created b/x/ 1502", "unreadable c/ 2014", "modified g 2030", "created h 2031", "readable i 2039",
	}
	check.Equal(t, "steps", want, got)
}

// sumBelow adds up n and all that counts below it, one by one.
func sumBelow(n *node, name string) Sum {
	sum := n.stat.sum(name)
	if n.children != nil && n.stat.err == "" {
		for i := range n.children.nodes {
			sum = sum.plus(sumBelow(&n.children.nodes[i], name+n.children.nodes[i].name))
		}
	}
	return sum
}

// Whatever changes, the sums of the steps are what the sum of the tree changes by.
func TestChanges(t *testing.T) {
	denied := Stat{err: "denied"}
	for _, test := range []struct {
		name string
		do   func(c *changes, root *node)
		want []string
	}{
		{"a file is modified", func(c *changes, root *node) {
			c.set(&root.children.nodes[0], "d/", fileStat(2, check.Day1))
		}, []string{"modified d/a"}},
		{"a file is the same", func(c *changes, root *node) {
			c.set(&root.children.nodes[0], "d/", fileStat(1, check.Day1))
		}, nil},
		{"a file is gone", func(c *changes, root *node) {
			c.remove(&root.children.nodes[0], "d/", true)
			root.children.nodes = root.children.nodes[1:]
		}, []string{"removed d/a"}},
		{"a directory is unreadable", func(c *changes, root *node) {
			c.set(&root.children.nodes[1], "d/", denied)
		}, []string{"unreadable d/b/"}},
		{"and readable again", func(c *changes, root *node) {
			c.set(&root.children.nodes[1], "d/", denied)
			c.set(&root.children.nodes[1], "d/", Stat{kind: directory})
		}, []string{"readable d/b/", "unreadable d/b/"}},
		{"and gone", func(c *changes, root *node) {
			c.set(&root.children.nodes[1], "d/", denied)
			c.set(&root.children.nodes[1], "d/", gone)
			root.children.dropGone()
		}, []string{"removed d/b/y", "removed d/b/x", "removed d/b/", "unreadable d/b/"}},
		{"all is gone", func(c *changes, root *node) {
			c.set(root, "", gone)
		}, []string{"removed d/c", "removed d/b/y", "removed d/b/x", "removed d/b/", "removed d/a", "removed d/"}},
		{"what was never there is gone", func(c *changes, root *node) {
			c.remove(&node{name: "n", stat: gone}, "d/", true)
			c.remove(&node{name: "u"}, "d/", true)
		}, nil},
	} {
		root := node{name: "d/", stat: Stat{kind: directory}, children: &dir{nodes: nodesOf("a b/ c")}}
		root.children.nodes[1].children = &dir{nodes: nodesOf("x y")}
		// What a directory adds up to is kept with it.
		for i, name := range []string{"d/b/x", "d/b/y"} {
			b := root.children.nodes[1].children
			b.sum = b.sum.plus(b.nodes[i].sum(name))
		}
		for i := range root.children.nodes {
			root.children.sum = root.children.sum.plus(sumBelow(&root.children.nodes[i], "d/"+root.children.nodes[i].name))
		}
		before := root.sum("d/")
		check.Equal(t, test.name+": sum before", sumBelow(&root, "d/"), before)

		var c changes
		test.do(&c, &root)
		after := sumBelow(&root, "d/")
		check.Equal(t, test.name+": sum", after.minus(before), c.sum)
		steps := c.sorted(before)
		if len(steps) > 0 {
			check.Equal(t, test.name+": sum of the last step", after, steps[len(steps)-1].Sum)
		}
		var got []string
		for _, s := range steps {
			got = append(got, string(s.Change)+" "+s.Name)
		}
		check.Equal(t, test.name, test.want, got)
	}
}

// Only nodes where nothing exists any more are dropped, and not what cannot be read.
func TestDropGone(t *testing.T) {
	d := dir{nodes: nodesOf("a b! c/ d")}
	d.nodes[0].stat = gone
	d.nodes[1].stat = gone.WithErr("denied")
	d.nodes = append(d.nodes, node{name: "e/", stat: gone}, node{name: "f"})
	d.dropGone()
	if got := namesOf(slices.Clone(d.nodes)); got != "b! c/ d f?" {
		t.Errorf("left are %q", got)
	}
}
