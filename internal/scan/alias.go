package scan

import (
	"strings"
	"sync"
)

// maxAliases is how many entries are examined to find out whether one of them is what
// answers to a name that its directory does not list.
const maxAliases = 64

// aliases finds the entries of a listing that may be what answers to a name that is
// missing in it: where case makes no difference, lstat of the old name says after a
// rename from a to A that a is there. Names may be the same to a file system for other
// reasons as well: Unicode has several forms of one character, Windows short names. Its
// method may be called from any goroutine.
type aliases struct {
	listing []listed
	old     []node

	once   sync.Once
	folded map[string]string // names in the listing, by themselves in lower case
	fresh  []listed          // those in the listing that were not known before

	read sync.Once
	all  []string // the names in the directory, if a filter leaves some out
}

// of returns the names of the entries to compare with e, which lstat has said of the
// name base: those that differ in case only, and new ones that look like it.
func (a *aliases) of(base string, e *Entry) []string {
	a.once.Do(a.index)
	var names []string
	if name, ok := a.folded[strings.ToLower(base)]; ok {
		names = append(names, name)
	}
	like := entryStat(e)
	for _, n := range a.fresh {
		name, isDir := strings.CutSuffix(n.name, "/")
		if isDir != e.Mode.IsDir() {
			continue
		}
		if n.stat == like && !isDir { // it needs no call
			return []string{name}
		}
		if len(names) < maxAliases && (isDir || n.stat.hash != 0 || n.stat.kind != file) {
			names = append(names, name)
		}
	}
	return names
}

// ignored returns the names in the directory at path that differ from base in case only,
// if a filter leaves some out: those are not in the listing. p reads them, once.
func (a *aliases) ignored(base string, p *pass, path string) (names []string) {
	if p.options.Filter.Root() == nil {
		return nil
	}
	a.read.Do(func() { a.all = p.names(path) })
	for _, name := range a.all {
		if name != base && strings.EqualFold(name, base) {
			names = append(names, name)
		}
	}
	return names
}

func (a *aliases) index() {
	known := make(map[string]bool, len(a.old))
	for _, n := range a.old {
		known[n.name] = true
	}
	a.folded = make(map[string]string, len(a.listing))
	for _, n := range a.listing {
		name := strings.TrimSuffix(n.name, "/")
		a.folded[strings.ToLower(name)] = name
		if !known[n.name] {
			a.fresh = append(a.fresh, n)
		}
	}
}

// perhapsSame reports whether a and b, of two names, may be of the same thing. That
// nothing tells them apart is enough: not every file system has numbers of its own for
// inodes (FUSE, SMB).
func perhapsSame(a, b *Entry) bool {
	return a.Inode != 0 && a.Inode == b.Inode && a.Dev == b.Dev ||
		a.Mode.Type() == b.Mode.Type() && a.Size == b.Size && a.Mtime.Equal(b.Mtime)
}
