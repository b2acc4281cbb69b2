package proof

import (
	"strings"

	"net-watcher/internal/pattern"
)

// chooser says what patterns choose. Each name is decided by pattern.Filter, which its own
// package tests against git.
type chooser struct {
	filter pattern.Filter
	known  map[name]pattern.Choice
}

// chooser returns that of a Config or Options record.
func (r *Record) chooser() *chooser {
	c := &chooser{known: make(map[name]pattern.Choice)}
	for _, p := range r.Only {
		c.filter.Only.Add(p)
	}
	for _, p := range r.Ignore {
		c.filter.Ignore.Add(p)
	}
	return c
}

// of returns what becomes of n. A target is chosen.
func (c *chooser) of(n name) pattern.Choice {
	choice, ok := c.known[n]
	if !ok {
		choice = pattern.Chosen
		if n.file != n.target {
			below, isDir := strings.CutSuffix(strings.TrimPrefix(n.file, n.target+"/"), "/")
			choice = c.filter.Choose(below, isDir)
		}
		c.known[n] = choice
	}
	return choice
}

func (c *chooser) leavesOut(n name) bool { return c.of(n) == pattern.LeftOut }

// enters reports whether n is a directory that is only entered: nothing is reported of it
// but that it cannot be read, and that this is no longer so.
func (c *chooser) enters(n name) bool { return c.of(n) == pattern.Entered }
