package faults

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"net-watcher/internal/check"
)

// Tree is a file system in memory: directories, files, symbolic and hard links. Its
// root is the working directory, so "/d/f" and "d/f" are the same. The methods in this
// file are for a writer, and do and fail as those of package os; the ones in
// treefile.go are scan.FileSystem.
//
// Each change has an mtime of its own, which is never a whole second. No permission is
// checked.
type Tree struct {
	// Fold says that case makes no difference in names; one is spelled as it was made,
	// or renamed to. Numbered says that inodes have numbers. Both are to be set before
	// the first file.
	Fold, Numbered bool

	mu   sync.Mutex // guards the fields below, and every Inode
	root *Inode
	last time.Time // the latest mtime
	made uint64    // number of inodes made so far
}

// Inode is a file, directory or symbolic link, which may have several names.
type Inode struct {
	Mode    fs.FileMode
	Mtime   time.Time
	Size    int64  // that it says it has, in bytes
	Content string // of a file; where a link leads

	Unlinked bool // it says that it has no name

	number   uint64
	parent   *Inode           // of a directory; nil when it is removed
	children map[string]entry // of a directory, by Tree.key
}

// entry is a name in a directory, as it is spelled.
type entry struct {
	name string
	node *Inode
}

// Numbers of errors that this system has for what is wrong with a name.
var (
	errNotExist = check.Errno(syscall.ENOENT, 2)
	errNotDir   = check.Errno(syscall.ENOTDIR, 3)
	errIsDir    = check.Errno(syscall.EISDIR, 5)
	errExist    = check.Errno(syscall.EEXIST, 183)
	errNotEmpty = check.Errno(syscall.ENOTEMPTY, 145)
	errLoop     = check.Errno(syscall.ELOOP, 1921)
	errInvalid  = check.Errno(syscall.EINVAL, 87)
)

// maxLinks is how many symbolic links a name may lead through, as on Linux.
const maxLinks = 40

// NewTree returns an empty file system.
func NewTree() *Tree {
	t := &Tree{}
	t.root = t.newInode(fs.ModeDir|0o777, "")
	t.root.parent = t.root
	return t
}

func (t *Tree) newInode(mode fs.FileMode, content string) *Inode {
	t.made++
	n := &Inode{Mode: mode, Mtime: t.nowLocked(), Content: content, Size: int64(len(content)), number: t.made}
	if mode.IsDir() {
		n.children = make(map[string]entry)
	}
	return n
}

// nowLocked returns the mtime of a change that is made now.
func (t *Tree) nowLocked() time.Time {
	if now := time.Now().Round(0); now.After(t.last) {
		t.last = now
	}
	t.last = t.last.Add(1)
	return t.last
}

func (t *Tree) key(name string) string {
	if t.Fold {
		return strings.ToLower(name)
	}
	return name
}

// place is where a name leads: an entry of a directory, or a directory by itself ("/",
// "." and "..").
type place struct {
	dir  *Inode   // nil if it is no entry
	name string   // in dir
	node *Inode   // nil if nothing exists there
	path []string // from the root, without links
}

// walkLocked follows a name, and a link at its end if follow is true. It is no error
// if only the last entry does not exist.
func (t *Tree) walkLocked(name string, follow bool) (place, error) {
	if name == "" {
		return place{}, errNotExist
	}
	at := place{node: t.root}
	links := 0
	for rest := strings.Split(filepath.ToSlash(name), "/"); len(rest) > 0; {
		base := rest[0]
		rest = rest[1:]
		switch {
		case at.node == nil:
			return at, errNotExist
		case !at.node.Mode.IsDir():
			return at, errNotDir
		case base == "" || base == ".":
			continue
		case base == "..":
			at = place{node: at.node.parent, path: at.path[:max(0, len(at.path)-1)]}
			continue
		}
		above := at
		at = place{above.node, base, above.node.children[t.key(base)].node, append(slices.Clip(above.path), base)}
		if at.node == nil || at.node.Mode.Type() != fs.ModeSymlink || !follow && len(rest) == 0 {
			continue
		}
		if links++; links > maxLinks {
			return at, errLoop
		}
		if rest = append(strings.Split(at.node.Content, "/"), rest...); rest[0] == "" {
			above = place{node: t.root}
		}
		at = above
	}
	return at, nil
}

// findLocked is walkLocked for what must exist.
func (t *Tree) findLocked(name string, follow bool) (place, error) {
	at, err := t.walkLocked(name, follow)
	if err == nil && at.node == nil {
		err = errNotExist
	}
	return at, err
}

// newPlaceLocked is walkLocked for what must not exist yet.
func (t *Tree) newPlaceLocked(name string) (place, error) {
	at, err := t.walkLocked(name, false)
	if err == nil && at.node != nil {
		err = errExist
	}
	return at, err
}

// setLocked makes n exist at the place.
func (t *Tree) setLocked(at place, n *Inode) {
	at.dir.children[t.key(at.name)] = entry{at.name, n}
	at.dir.Mtime = t.nowLocked()
	if n.Mode.IsDir() {
		n.parent = at.dir
	}
}

// clearLocked makes nothing exist at the place.
func (t *Tree) clearLocked(at place) {
	delete(at.dir.children, t.key(at.name))
	at.dir.Mtime = t.nowLocked()
}

// Mkdir makes a directory.
func (t *Tree) Mkdir(name string) error { return t.create(name, fs.ModeDir|0o777, "") }

// Symlink makes a link to what target leads to, or would lead to.
func (t *Tree) Symlink(target, name string) error {
	return t.create(name, fs.ModeSymlink|0o777, filepath.ToSlash(target))
}

func (t *Tree) create(name string, mode fs.FileMode, content string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.newPlaceLocked(name)
	if err == nil {
		t.setLocked(at, t.newInode(mode, content))
	}
	return err
}

// MkdirAll makes a directory, and those that it is in, unless they exist.
func (t *Tree) MkdirAll(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range len(name) + 1 {
		if i < len(name) && (i == 0 || name[i] != '/') {
			continue
		}
		at, err := t.walkLocked(name[:i], true)
		switch {
		case err != nil:
			return err
		case at.node == nil:
			t.setLocked(at, t.newInode(fs.ModeDir|0o777, ""))
		case !at.node.Mode.IsDir():
			return errNotDir
		}
	}
	return nil
}

// Write makes the file have the content, and makes it if there is none.
func (t *Tree) Write(name, content string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.walkLocked(name, true)
	if err == nil && at.node == nil {
		t.setLocked(at, t.newInode(0o666, content))
		return nil
	}
	return t.rewriteLocked(at, err, content)
}

// Append adds to the content of the file.
func (t *Tree) Append(name, content string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, true)
	if err == nil {
		content = at.node.Content + content
	}
	return t.rewriteLocked(at, err, content)
}

// rewriteLocked makes what was found with err have the content.
func (t *Tree) rewriteLocked(at place, err error, content string) error {
	switch {
	case err != nil:
		return err
	case at.node.Mode.IsDir():
		return errIsDir
	}
	at.node.Content, at.node.Size, at.node.Mtime = content, int64(len(content)), t.nowLocked()
	return nil
}

// Edit calls edit with what exists at name, which may be a link, to change anything
// else of it: its Mode, its Mtime, what it says of itself.
func (t *Tree) Edit(name string, edit func(*Inode)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, false)
	if err == nil {
		edit(at.node)
	}
	return err
}

// Chtimes makes the file or directory have the mtime.
func (t *Tree) Chtimes(name string, mtime time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, true)
	if err == nil {
		at.node.Mtime = mtime
	}
	return err
}

// Link makes another name of a file.
func (t *Tree) Link(name, other string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, err := t.findLocked(name, false)
	if err != nil {
		return err
	}
	if from.node.Mode.IsDir() {
		return errIsDir
	}
	to, err := t.newPlaceLocked(other)
	if err == nil {
		t.setLocked(to, from.node)
	}
	return err
}

// Remove removes a file or an empty directory.
func (t *Tree) Remove(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.findLocked(name, false)
	switch {
	case err != nil:
		return err
	case at.dir == nil:
		return errInvalid
	case len(at.node.children) > 0:
		return errNotEmpty
	}
	at.node.parent = nil
	t.clearLocked(at)
	return nil
}

// RemoveAll removes what exists at name, and all that is below it.
func (t *Tree) RemoveAll(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, err := t.walkLocked(name, false)
	switch {
	case err == errNotExist || err == nil && at.node == nil:
		return nil
	case err != nil:
		return err
	case at.dir == nil:
		return errInvalid
	}
	at.node.removeBelow()
	t.clearLocked(at)
	return nil
}

// removeBelow makes a directory, and those below it, be removed for those who have
// opened them.
func (n *Inode) removeBelow() {
	for _, c := range n.children {
		c.node.removeBelow()
	}
	n.parent = nil
	clear(n.children)
}

// Rename renames, also over a file that exists, and to another spelling of the same
// name. Names of one file are left as they are.
func (t *Tree) Rename(name, other string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, err := t.findLocked(name, false)
	if err != nil {
		return err
	}
	to, err := t.walkLocked(other, false)
	switch {
	case err != nil:
		return err
	case from.dir == nil || to.dir == nil || to.dir.isBelow(from.node):
		return errInvalid
	case from.node == to.node && (from.dir != to.dir || t.key(from.name) != t.key(to.name)):
		return nil
	case from.node != to.node && to.node != nil && to.node.Mode.IsDir():
		return errExist
	case from.node.Mode.IsDir() && to.node != nil && !to.node.Mode.IsDir():
		return errNotDir
	}
	t.clearLocked(from)
	t.setLocked(to, from.node)
	return nil
}

// Exchange makes each of two names lead to what the other has led to.
func (t *Tree) Exchange(name, other string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, err := t.findLocked(name, false)
	if err != nil {
		return err
	}
	b, err := t.findLocked(other, false)
	switch {
	case err != nil:
		return err
	case a.dir == nil || b.dir == nil || a.dir.isBelow(b.node) || b.dir.isBelow(a.node):
		return errInvalid
	}
	t.setLocked(a, b.node)
	t.setLocked(b, a.node)
	return nil
}

// isBelow reports whether the directory n is dir or below it.
func (n *Inode) isBelow(dir *Inode) bool {
	for ; n != dir; n = n.parent {
		if n == n.parent {
			return false
		}
	}
	return true
}
