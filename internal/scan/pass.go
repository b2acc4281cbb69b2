package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"net-watcher/internal/oserr"
)

// maxUnsized is how much is read of a file that says it is empty, in bytes: those
// of /proc do, and are not.
const maxUnsized = 1 << 20

// pass is one scan of a target, or the part of it that one worker does. Its
// methods make the calls, and leave the comparison to changes.
type pass struct {
	w       *worker
	sched   *scheduler // for more workers
	options *Options
	first   bool // no scan of the target was complete before
	found   findings
}

// findings is what a pass has found so far.
type findings struct {
	changes    changes
	files      int  // examined, directories too
	incomplete bool // some paths were not examined: no descriptors, or shutting down
}

// add adds what another pass has found in its part of the target.
func (f *findings) add(part *findings) {
	f.changes.steps = append(f.changes.steps, part.changes.steps...)
	f.changes.tag += part.changes.tag
	f.files += part.files
	f.incomplete = f.incomplete || part.incomplete
}

// parallelFor calls do(p, i) for 0 <= i < n and returns when all calls have
// returned. Where file system calls are slow, further workers do their share, each
// with a pass of its own; their results are added to p. When the scanner is
// closed, it leaves out the rest.
func (p *pass) parallelFor(n int, do func(p *pass, i int)) {
	var next atomic.Int64
	doNext := func(p *pass) bool {
		i := int(next.Add(1)) - 1
		if i >= n || p.sched.stopped() {
			return false
		}
		do(p, i)
		return true
	}
	var helpers []*pass
	var wg sync.WaitGroup
	for doNext(p) {
		for p.w.slow() && len(helpers) < n-1 {
			w := p.sched.addHelper(p.w)
			if w == nil {
				break
			}
			h := &pass{w: w, sched: p.sched, options: p.options, first: p.first}
			helpers = append(helpers, h)
			wg.Go(func() {
				defer p.sched.releaseHelper(w)
				for doNext(h) {
				}
			})
		}
	}
	wg.Wait()
	for _, h := range helpers {
		p.found.add(&h.found)
	}
	if helpers != nil {
		p.w.ended = p.w.clock.now() // the last call was that of a helper, perhaps
	}
}

// target scans the target n, which is at path, and all that is below it.
func (p *pass) target(n *node, path string) {
	p.found.files++
	if p.options.Fresh {
		parent, _ := filepath.Split(path)
		p.w.revalidate(cmp.Or(parent, "."))
	}
	s, ok := p.stat(path)
	if !ok {
		p.found.incomplete = true
		return
	}
	if was := n.stat.kind; s.kind == directory && was == file || s.kind == file && was == directory {
		p.found.changes.set(n, "", gone)
	}
	if s.kind == directory {
		p.directory(n, "", path)
	} else {
		p.found.changes.set(n, "", s)
	}
}

// directory scans the directory n, which is at path and in the directory above,
// and all that is below it.
func (p *pass) directory(n *node, above, path string) {
	name := above + n.name
	listing, s, ok := p.list(path, name)
	if !ok {
		p.found.incomplete = true
		return
	}
	p.found.changes.set(n, above, s)
	if s.kind != directory {
		return
	}
	if n.children == nil {
		n.children = &dir{}
	}
	d := n.children
	before := p.found.changes.tag
	if !d.sameNames(listing) { // which is rare
		listing = p.reconcile(d, name, path, listing)
	}
	p.found.files += len(listing)
	p.found.changes.update(d, name, listing)

	var dirs []*node
	for i := range d.nodes {
		if d.nodes[i].isDir() {
			dirs = append(dirs, &d.nodes[i])
		}
	}
	p.parallelFor(len(dirs), func(p *pass, i int) {
		p.directory(dirs[i], name, path+"/"+strings.TrimSuffix(dirs[i].name, "/"))
	})
	if len(dirs) > 0 {
		d.dropGone()
	}
	d.tag += p.found.changes.tag - before
}

// reconcile gives d, which is at path and has the path name below the target, the
// nodes of its listing. A node that the listing lacks is kept if a call finds it,
// and gone if not. It returns the listing of all nodes that d has now.
func (p *pass) reconcile(d *dir, name, path string, listing []node) []node {
	nodes, listing, missing := d.match(listing, p.first)
	found := make([]Stat, len(missing))
	p.parallelFor(len(missing), func(p *pass, i int) { found[i] = p.confirmMissing(missing[i], path) })
	for i, n := range missing {
		if found[i] == gone {
			p.found.changes.remove(n, name, true)
		} else {
			nodes = append(nodes, *n)
			listing = append(listing, node{name: n.name, stat: found[i]})
		}
	}
	d.nodes = shareNames(nodes)
	return listing
}

// confirmMissing examines n, which the listing of the directory at path lacks.
// It returns gone if nothing like it exists there any more. Of a path that is too
// long for a call only the listing knows.
func (p *pass) confirmMissing(n *node, path string) Stat {
	base, isDir := strings.CutSuffix(n.name, "/")
	info, err := p.w.lstat(path + "/" + base)
	switch {
	case err == nil && info.IsDir() == isDir:
		e := newEntry(info)
		if s, ok := p.statEntry(path, &e); ok {
			return s
		}
	case err == nil || oserr.IsNotExist(err) || oserr.IsNameTooLong(err):
		return gone
	default:
		if s, ok := pathStat(err); ok {
			return s
		}
	}
	return n.stat
}

// stat examines what exists at path, following links. Its second result is false
// if that is inconclusive, and to be repeated.
func (p *pass) stat(path string) (Stat, bool) {
	info, err := p.w.stat(path)
	if p.options.Fresh && err == nil && info.Mode().IsRegular() {
		p.w.revalidate(path)
		info, err = p.w.stat(path)
	}
	if err != nil {
		return pathStat(err)
	}
	if p.options.Content && info.Mode().IsRegular() {
		return p.read(path)
	}
	return infoStat(info), true
}

// statEntry examines the entry e of the directory at dirPath, as far as the
// listing did not. Its second result is as that of stat.
func (p *pass) statEntry(dirPath string, e *Entry) (Stat, bool) {
	if !p.unfinished(e) {
		return entryStat(e), true
	}
	path := dirPath + "/" + e.Name
	examine := p.stat
	if e.Mode.IsRegular() && !p.options.Fresh {
		examine = p.read
	}
	s, ok := examine(path)
	if s.kind == directory {
		if e.Mode.IsRegular() {
			return gone, ok // it was replaced; the next listing has the directory
		}
		// A link to a directory is not followed: that might never end.
		return entryStat(e), true
	}
	return s, ok
}

// unfinished reports whether there is more to examine of e than a listing does.
func (p *pass) unfinished(e *Entry) bool {
	return e.Mode.Type() == fs.ModeSymlink || e.Mode.IsRegular() && (p.options.Fresh || p.options.Content)
}

// read examines the contents of the regular file at path. The mtime is that of
// before they were read. Its second result is as that of stat.
func (p *pass) read(path string) (Stat, bool) {
	f, err := p.w.open(path)
	if err != nil {
		return pathStat(err)
	}
	defer p.w.close(f)
	info, err := timed(p.w, f.Stat)
	if err != nil {
		return unreadable(err)
	}
	if !info.Mode().IsRegular() { // it was replaced
		return infoStat(info), true
	}
	hash := sha256.New()
	// Up to the size and not to the end, which may move faster than this.
	left, size := cmp.Or(info.Size(), maxUnsized), int64(0)
	for left > 0 {
		part, err := p.w.read(f, left)
		hash.Write(part)
		size += int64(len(part))
		left -= int64(len(part))
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable(err)
		}
	}
	s := fileStat(size, info.ModTime())
	s.hash = max(binary.BigEndian.Uint64(hash.Sum(nil)), 1)
	return s, true
}
