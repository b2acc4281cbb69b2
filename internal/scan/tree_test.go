package scan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// listedIn returns the names of entries in short: an unreadable one with "!", one
// where nothing existed with "-", and one that is yet unknown with "?".
func listedIn(entries []listed) string {
	var names []string
	for _, e := range entries {
		switch {
		case e.stat.err != "":
			e.name += "!"
		case e.stat.kind == absent:
			e.name += "-"
		case e.stat.kind == unknown:
			e.name += "?"
		}
		names = append(names, e.name)
	}
	return strings.Join(names, " ")
}

// listedOf is the reverse of listedIn; others are there.
func listedOf(names string) []listed {
	var entries []listed
	for name := range strings.FieldsSeq(names) {
		e := listed{name: strings.TrimRight(name, "!")}
		switch {
		case strings.HasSuffix(name, "!"):
			e.stat = Stat{err: "denied"}
		case strings.HasSuffix(name, "/"):
			e.stat = Stat{kind: directory}
		default:
			e.stat = fileStat(1, check.Day1)
		}
		entries = append(entries, e)
	}
	return entries
}

// nodeOf returns a node with the name and the Stat.
func nodeOf(name string, s Stat) node {
	n := node{name: name}
	n.setStat(s)
	return n
}

// nodesOf and namesOf are listedOf and listedIn of nodes.
func nodesOf(names string) []node {
	var nodes []node
	for _, e := range listedOf(names) {
		nodes = append(nodes, nodeOf(e.name, e.stat))
	}
	return nodes
}

func namesOf(nodes []node) string {
	var entries []listed
	for i := range nodes {
		entries = append(entries, listed{nodes[i].name, nodes[i].stat()})
	}
	return listedIn(entries)
}

// A node keeps its Stat and what is below it, whichever is set first.
func TestNode(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size > 48 && strconv.IntSize == 64 {
		t.Errorf("a node takes %d bytes", size)
	}
	content := fileStat(1, check.Day1)
	content.hash = 7
	below := &dir{}
	stats := []Stat{
		{}, gone, {kind: directory}, {kind: directory, err: "denied"}, fileStat(1, check.Day1), content,
		fileStat(2, check.Day1), fileStat(1, check.Day2), fileStat(1, check.Day1.Add(1)), {kind: directory, err: "gone"},
		{kind: file, hash: 7}, {kind: file, hash: 8}, {kind: file, hash: 7, err: "denied"}, {kind: file, hash: 7, young: true},
	}
	for _, s := range stats {
		n := nodeOf("n", s)
		check.Equal(t, "Stat", s, n.stat(), byField)
		if n.unreadable() != (s.err != "") || n.children() != nil {
			t.Errorf("%+v: %+v", s, n)
		}
		for _, other := range stats {
			if got := n.has(other); got != (s == other) {
				t.Errorf("%+v has %+v: %v", s, other, got)
			}
			if other.inconclusive = true; n.has(other) {
				t.Errorf("%+v has the inconclusive %+v", s, other)
			}
		}
		n.setChildren(below)
		check.Equal(t, "Stat with children", s, n.stat(), byField)
		n.setStat(gone)
		if n.children() != below || n.stat() != gone {
			t.Errorf("%+v has lost its children", s)
		}
		n.setChildren(nil)
		if n.rare != nil {
			t.Errorf("%+v holds memory that it does not need", s)
		}
	}
}

// A listing with the names of the last one holds what differs, and any other one all
// entries, wherever the first new name is.
func TestListing(t *testing.T) {
	old := []node{nodeOf("a", fileStat(1, check.Day1)), nodeOf("b/", Stat{kind: directory, err: "denied"}), nodeOf("c", gone)}
	other := fileStat(2, check.Day2)
	for _, test := range []struct {
		name    string
		entries []listed
		changed []int // nil if it is not the same
	}{
		{"the same", []listed{{"a", old[0].stat()}, {"b/", Stat{kind: directory}}, {"c", gone}}, []int{}},
		{"another file", []listed{{"a", other}, {"b/", Stat{kind: directory}}, {"c", other}}, []int{0, 2}},
		{"one is missing", []listed{{"a", other}, {"b/", Stat{kind: directory}}}, nil},
		{"the first is missing", []listed{{"b/", Stat{kind: directory}}, {"c", other}}, nil},
		{"one more", []listed{{"a", other}, {"b/", Stat{kind: directory}}, {"c", gone}, {"d", other}}, nil},
		{"another type", []listed{{"a", other}, {"b", other}, {"c", gone}}, nil},
		{"a longer name", []listed{{"aa", other}, {"b/", Stat{kind: directory}}, {"c", gone}}, nil},
		{"empty", nil, nil},
	} {
		l := &listing{old: old}
		for i, e := range test.entries {
			base, isDir := strings.CutSuffix(e.name, "/")
			if index := l.put(base, isDir, e.stat); index != i {
				t.Errorf("%s: entry %d has index %d", test.name, i, index)
			}
		}
		if l.isSame() != (test.changed != nil) {
			t.Errorf("%s: isSame returns %v", test.name, l.isSame())
		}
		if l.isSame() {
			changed := []int{}
			for _, c := range l.changed {
				changed = append(changed, c.index)
			}
			check.Equal(t, test.name+": changed", test.changed, changed)
		}
		all := slices.Clone(l.complete())
		for i := range all {
			if all[i].name == "b/" {
				all[i].stat.err = "" // what is known of a directory does not count
			}
		}
		check.Equal(t, test.name+": all", listedIn(test.entries), listedIn(all))
	}
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
		nodes, matched, missing := d.match(listedOf(test.listing), test.first)
		var missed []node
		for _, n := range missing {
			missed = append(missed, *n)
		}
		check.Equal(t, test.name+": nodes, listing, missing",
			[]string{test.nodes, test.listing2, test.missed}, []string{namesOf(nodes), listedIn(matched), namesOf(missed)})
		check.Equal(t, test.name+": the names before", test.old, namesOf(d.nodes))
		check.Equal(t, test.name+": names in one string", namesOf(nodes), namesOf(shareNames(nodes)))
	}
}

// A node that is known keeps what is known of it and below it.
func TestMatchKeeps(t *testing.T) {
	known := &dir{nodes: nodesOf("x"), sum: Sum{7, 1}}
	d := dir{nodes: []node{nodeOf("a", fileStat(5, check.Day2)), nodeOf("b/", Stat{kind: directory})}}
	d.nodes[1].setChildren(known)
	nodes, _, _ := d.match(listedOf("b/ a"), false)
	want := []node{d.nodes[1], d.nodes[0]}
	check.Equal(t, "nodes", want, nodes, cmp.AllowUnexported(node{}, rare{}, dir{}))
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
	sum := n.stat().sum(name)
	if d := n.children(); d != nil && !n.unreadable() {
		for i := range d.nodes {
			sum = sum.plus(sumBelow(&d.nodes[i], name+d.nodes[i].name))
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
			c.set(&root.children().nodes[0], "d/", fileStat(2, check.Day1))
		}, []string{"modified d/a"}},
		{"a file is the same", func(c *changes, root *node) {
			c.set(&root.children().nodes[0], "d/", fileStat(1, check.Day1))
		}, nil},
		{"a file is gone", func(c *changes, root *node) {
			c.remove(&root.children().nodes[0], "d/", true)
			root.children().nodes = root.children().nodes[1:]
		}, []string{"removed d/a"}},
		{"a directory is unreadable", func(c *changes, root *node) {
			c.set(&root.children().nodes[1], "d/", denied)
		}, []string{"unreadable d/b/"}},
		{"and readable again", func(c *changes, root *node) {
			c.set(&root.children().nodes[1], "d/", denied)
			c.set(&root.children().nodes[1], "d/", Stat{kind: directory})
		}, []string{"readable d/b/", "unreadable d/b/"}},
		{"and gone", func(c *changes, root *node) {
			c.set(&root.children().nodes[1], "d/", denied)
			c.set(&root.children().nodes[1], "d/", gone)
			root.children().dropGone()
		}, []string{"removed d/b/y", "removed d/b/x", "removed d/b/", "unreadable d/b/"}},
		{"all is gone", func(c *changes, root *node) {
			c.set(root, "", gone)
		}, []string{"removed d/c", "removed d/b/y", "removed d/b/x", "removed d/b/", "removed d/a", "removed d/"}},
		{"what was never there is gone", func(c *changes, root *node) {
			c.remove(&node{name: "n", kind: absent}, "d/", true)
			c.remove(&node{name: "u"}, "d/", true)
		}, nil},
	} {
		root := nodeOf("d/", Stat{kind: directory})
		root.setChildren(&dir{nodes: nodesOf("a b/ c")})
		root.children().nodes[1].setChildren(&dir{nodes: nodesOf("x y")})
		// What a directory adds up to is kept with it.
		for i, name := range []string{"d/b/x", "d/b/y"} {
			b := root.children().nodes[1].children()
			b.sum = b.sum.plus(b.nodes[i].sum(name))
		}
		for i := range root.children().nodes {
			root.children().sum = root.children().sum.plus(sumBelow(&root.children().nodes[i], "d/"+root.children().nodes[i].name))
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
	d.nodes[0].setStat(gone)
	d.nodes[1].setStat(gone.WithErr("denied"))
	d.nodes = append(d.nodes, nodeOf("e/", gone), node{name: "f"})
	d.dropGone()
	if got := namesOf(slices.Clone(d.nodes)); got != "b! c/ d f?" {
		t.Errorf("left are %q", got)
	}
}
