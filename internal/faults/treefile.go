package faults

import (
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
)

// Stat implements scan.FileSystem, as the next methods do.
func (t *Tree) Stat(name string) (scan.Entry, error)  { return t.examine(name, true) }
func (t *Tree) Lstat(name string) (scan.Entry, error) { return t.examine(name, false) }

func (t *Tree) examine(name string, follow bool) (scan.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, follow)
	if err != nil {
		return scan.Entry{}, err
	}
	return t.entryLocked("", at.node), nil
}

func (t *Tree) entryLocked(name string, n *Inode) scan.Entry {
	e := scan.Entry{Name: name, Mode: n.Mode, Size: n.Size, Mtime: n.Mtime, Unlinked: n.Unlinked}
	if t.Numbered {
		e.Dev, e.Inode = 1, n.number
	}
	return e
}

func (t *Tree) EvalSymlinks(name string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, true)
	if err != nil {
		return "", err
	}
	path := strings.Join(at.path, "/")
	if strings.HasPrefix(name, "/") {
		path = "/" + path
	}
	return filepath.Clean(path), nil
}

// IsRemote and Revalidate: it has no server.
func (t *Tree) IsRemote(string) (is, isProgram bool) { return false, false }
func (t *Tree) Revalidate(string)                    {}

// IsMounted: an Unlinked file is, or else nothing would lead to it.
func (t *Tree) IsMounted(string) bool { return true }

func (t *Tree) Open(name string) (scan.File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, true)
	if err != nil {
		return nil, err
	}
	return &treeFile{tree: t, node: at.node}, nil
}

func (t *Tree) OpenDir(name string, follow bool) (scan.Dir, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, follow)
	if err == nil && !at.node.Mode.IsDir() {
		err = errNotDir
	}
	if err != nil {
		return nil, err
	}
	return &treeDir{tree: t, node: at.node}, nil
}

func (t *Tree) DirNames(name string) (map[string]bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, true)
	if err != nil {
		return nil, err
	}
	dirs := make(map[string]bool)
	for _, c := range at.node.children {
		if c.node.Mode.IsDir() {
			dirs[c.name] = true
		}
	}
	return dirs, nil
}

// treeFile is an open file of a Tree.
type treeFile struct {
	tree   *Tree
	node   *Inode
	offset int // of the next Read
}

func (f *treeFile) Close() error { return nil }

func (f *treeFile) Stat() (scan.Entry, error) {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	return f.tree.entryLocked("", f.node), nil
}

func (f *treeFile) Read(b []byte) (int, error) {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	if f.node.Mode.IsDir() {
		return 0, errIsDir
	}
	n := copy(b, f.node.Content[min(f.offset, len(f.node.Content)):])
	if f.offset += n; n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// treeDir is an open directory of a Tree.
type treeDir struct {
	tree   *Tree
	node   *Inode
	listed bool     // names was filled
	names  []string // yet to be listed, in order
}

func (d *treeDir) Close() error { return nil }

// Refresh does nothing: a Tree has no server.
func (d *treeDir) Refresh() {}

func (d *treeDir) Readdirnames(n int) ([]string, error) {
	d.tree.mu.Lock()
	defer d.tree.mu.Unlock()
	return d.nextLocked(n)
}

// nextLocked returns the next n names, at most.
func (d *treeDir) nextLocked(n int) ([]string, error) {
	if !d.listed && d.node.parent == nil { // as on Linux
		return nil, errNotExist
	}
	if !d.listed {
		d.listed = true
		for _, key := range slices.Sorted(maps.Keys(d.node.children)) {
			d.names = append(d.names, d.node.children[key].name)
		}
	}
	names := d.names[:min(n, len(d.names))]
	d.names = d.names[len(names):]
	if len(names) == 0 {
		return nil, io.EOF
	}
	return names, nil
}

func (d *treeDir) ReadEntries(buf []scan.Entry, folder *pattern.Folder) (int, error) {
	d.tree.mu.Lock()
	defer d.tree.mu.Unlock()
	names, err := d.nextLocked(len(buf))
	for i, name := range names {
		n := d.node.children[d.tree.key(name)].node
		if n != nil && folder.Choose(name, n.Mode.IsDir()) == pattern.LeftOut {
			buf[i] = scan.Entry{Name: name, LeftOut: true}
		} else if n != nil {
			buf[i] = d.tree.entryLocked(name, n)
		} else {
			buf[i] = scan.Entry{Name: name, Err: errNotExist}
		}
	}
	return len(names), err
}
