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
	"time"

	"net-watcher/internal/oserr"
	"net-watcher/internal/pattern"
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
	remotes *remotes
	start   int64 // the number of the last Scanner.Start
	first   bool  // no scan of the target was complete before
	before  doubts
	found   findings
}

// doubts has the paths below a target, and "" for itself, of which calls tell nothing: by
// path, since when (by clock).
type doubts map[string]time.Duration

// findings is what a pass has found so far.
type findings struct {
	changes changes
	files   int // examined, directories too
	doubts  doubts
	reason  string // why one of the calls was inconclusive

	unlinked string // the path of a file that has no name, or ""
	notices  []Notice
}

// add adds what another pass has found in its part of the target.
func (f *findings) add(part *findings) {
	f.changes.steps = append(f.changes.steps, part.changes.steps...)
	f.changes.sum = f.changes.sum.plus(part.changes.sum)
	f.files += part.files
	f.unlinked = cmp.Or(f.unlinked, part.unlinked)
	for name, since := range part.doubts {
		f.doubt(name, since, part.reason)
	}
}

// doubt notes that calls about the path name were inconclusive.
func (f *findings) doubt(name string, since time.Duration, reason string) {
	if f.doubts == nil {
		f.doubts = make(doubts)
	}
	f.doubts[name], f.reason = since, reason
}

// set makes n, which is in the directory above, be as s says. If s is inconclusive, n
// stays as it is until it has been so for UnreadableAfter.
func (p *pass) set(n *node, above string, s Stat) {
	if s.inconclusive {
		if n.unreadable() {
			return
		}
		name := above + n.name
		since, known := p.before[name]
		if !known {
			since = p.w.ended
		}
		if p.w.ended-since < UnreadableAfter {
			p.found.doubt(name, since, s.err)
			return
		}
	}
	if !p.first && n.kind == unknown && !n.unreadable() {
		n.kind = absent // first scans could not examine it, and then not its directory
	}
	p.found.changes.set(n, above, s)
}

// parallelFor calls do(p, i) for 0 <= i < n and returns when all calls have
// returned. Where file system calls are slow, further workers do their share, each
// with a pass of its own; their results are added to p. When the context of the
// Scanner is done, it leaves out the rest.
func (p *pass) parallelFor(n int, do func(p *pass, i int)) {
	if n == 0 {
		return
	}
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
			h := new(*p)
			h.w, h.found = w, findings{}
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

// target scans t and all that is below it.
func (p *pass) target(t *target) {
	p.found.files++
	p.syncParent(t.parent)
	s, dev := p.statLink(t.path, true, t.root.stat())
	if was := t.root.kind; s.kind == directory && was == file || s.kind == file && was == directory {
		p.found.changes.set(&t.root, "", gone)
	}
	if s.kind == directory {
		p.directory(&t.root, "", t.path, p.options.Filter.Root(), dev)
	} else {
		p.set(&t.root, "", s)
	}
}

// directory scans the directory n, which is at path, in the directory above and on the
// device dev, and all that is below it. folder is what the filter knows of it.
func (p *pass) directory(n *node, above, path string, folder *pattern.Folder, dev uint64) {
	name := above + n.name
	d := n.children()
	if d == nil {
		d = &dir{}
	}
	listing, s := p.list(path, name, folder, dev, d.nodes)
	p.set(n, above, s)
	if listing == nil {
		return
	}
	n.setChildren(d)
	before := p.found.changes.sum
	if listing.isSame() {
		for _, c := range listing.changed {
			p.set(&d.nodes[c.index], name, c.stat)
		}
	} else { // which is rare
		for i, e := range p.reconcile(d, name, path, dev, listing.complete()) {
			if n := &d.nodes[i]; !n.isDir() {
				p.set(n, name, e.stat)
			}
		}
	}
	mounts := listing.mounts
	p.found.files += len(d.nodes)
	var dirs []*node // yet to be listed themselves
	for i := range d.nodes {
		if d.nodes[i].isDir() {
			dirs = append(dirs, &d.nodes[i])
		}
	}
	if len(dirs) > 0 {
		p.parallelFor(len(dirs), func(p *pass, i int) {
			base := strings.TrimSuffix(dirs[i].name, "/")
			p.directory(dirs[i], name, Join(path, base), folder.Enter(base), cmp.Or(mounts[base], dev))
		})
		d.dropGone()
	}
	d.sum = d.sum.plus(p.found.changes.sum.minus(before))
}

// reconcile gives d, which is at path, on the device dev, and has the path name below the target, the
// nodes of its listing. A node that the listing lacks is kept if a call finds it,
// and gone if not. It returns the listing of all nodes that d has now.
func (p *pass) reconcile(d *dir, name, path string, dev uint64, listing []listed) []listed {
	nodes, listing, missing := d.match(listing, p.first)
	if len(missing) > 0 && p.remotes.has(p.w, dev, path) {
		p.w.revalidate(path) // or else the client may still know the names
	}
	names := &aliases{listing: listing, old: d.nodes}
	found := make([]Stat, len(missing))
	p.parallelFor(len(missing), func(p *pass, i int) { found[i] = p.confirmMissing(missing[i], path, names) })
	for i, n := range missing {
		if found[i] == gone {
			p.found.changes.remove(n, name, true)
		} else {
			nodes = append(nodes, *n)
			listing = append(listing, listed{n.name, found[i]})
		}
	}
	d.nodes = shareNames(nodes)
	return listing
}

// confirmMissing examines n, which the listing of the directory at path lacks.
// It returns gone if nothing like it exists there any more, or if what answers to its
// name is listed under another one. Of a path that is too long for a call only the
// listing knows.
func (p *pass) confirmMissing(n *node, path string, names *aliases) Stat {
	base, isDir := strings.CutSuffix(n.name, "/")
	e, err := p.w.lstat(Join(path, base))
	switch {
	case err == nil && e.Mode.IsDir() == isDir:
		for _, alias := range append(names.of(base, &e), names.ignored(base, p, path)...) {
			if other, err := p.w.lstat(Join(path, alias)); err == nil && perhapsSame(&e, &other) {
				return gone
			}
		}
		e.Name = base
		return p.statEntry(path, &e, n.stat())
	case err == nil || oserr.IsNotExist(err) || oserr.IsNameTooLong(err):
		return gone
	}
	return errStat(err)
}

// names returns what is in the directory at path, also what is ignored and so in no
// listing. Of an error, the next listing knows.
func (p *pass) names(path string) (all []string) {
	f, err := p.w.openDir(path, true)
	if err != nil {
		return nil
	}
	defer p.w.close(f)
	for {
		names, err := timed(p.w, f.Readdirnames, maxPortion)
		if err != nil {
			return all
		}
		all = append(all, names...)
	}
}

// stat examines what exists at path, following links. It also returns the device that
// it is on. Of a file that was named in the command line, its server is asked, if it has
// one. known is what the last scan found.
func (p *pass) stat(path string, named bool, known Stat) (Stat, uint64) {
	e, err := p.w.stat(path)
	if err == nil && e.Mode.IsRegular() && (p.options.Fresh || named && p.remotes.has(p.w, e.Dev, path)) {
		p.w.revalidate(path)
		if p.options.Fresh && e.Dev != 0 && remoteAt(p.remotes, p.w, e.Dev, path).isProgram {
			if f, err := p.w.open(path); err == nil {
				p.w.close(f)
			}
		}
		e, err = p.w.stat(path)
	}
	if err != nil {
		return pathStat(err), 0
	}
	if e.Unlinked && e.Mode.IsRegular() {
		p.found.unlinked = path
	}
	switch {
	case !p.options.Content || !e.Mode.IsRegular():
		return entryStat(&e), e.Dev
	case p.isSame(&e, known):
		return known, e.Dev
	}
	return p.read(path), e.Dev
}

// isSame reports whether e need not be read, because it is as it was when it was read for
// the last scan, which has found known.
func (p *pass) isSame(e *Entry, known Stat) bool { return p.options.SkipSame && known.isSame(e) }

// statLink is stat for what may be reached by links. On read-only images all times may
// be the same (1970, in Nix, OSTree and Bazel): then the path that links lead to takes
// the place of the time.
func (p *pass) statLink(path string, named bool, known Stat) (Stat, uint64) {
	s, dev := p.stat(path, named, known)
	if s.err == "" && s.kind == file && s.hash == 0 && s.sec == s.sec&1 {
		switch to, err := timed(p.w, p.w.fs.EvalSymlinks, path); {
		case err != nil:
			s.hash = known.hash // what cannot be found out now is no change
		case to != filepath.Clean(path):
			sum := sha256.Sum256([]byte(to))
			s.hash = shortHash(sum[:])
		}
	}
	return s, dev
}

// statEntry examines the entry e of the directory at dirPath, as far as the
// listing did not. known is what the last scan found.
func (p *pass) statEntry(dirPath string, e *Entry, known Stat) Stat {
	switch {
	case p.unfinished(e, known):
	case p.isSame(e, known):
		return known
	default:
		return entryStat(e)
	}
	path := Join(dirPath, e.Name)
	var s Stat
	if e.Mode.IsRegular() && !p.options.Fresh {
		s = p.read(path)
	} else {
		s, _ = p.statLink(path, false, known)
	}
	if s.kind == directory {
		if e.Mode.IsRegular() {
			return gone // it was replaced; the next listing has the directory
		}
		// A link to a directory is not followed: that might never end.
		return entryStat(e)
	}
	return s
}

// unfinished reports whether there is more to examine of e than a listing does. known is
// what the last scan found.
func (p *pass) unfinished(e *Entry, known Stat) bool {
	return e.Mode.Type() == fs.ModeSymlink ||
		e.Mode.IsRegular() && (p.options.Fresh || p.options.Content && !p.isSame(e, known))
}

// read examines the contents of the regular file at path. The mtime is that of
// before they were read.
func (p *pass) read(path string) Stat {
	now := p.w.clock.wall()
	f, err := p.w.open(path)
	if err != nil {
		return pathStat(err)
	}
	defer p.w.close(f)
	p.w.begin()
	e, err := f.Stat()
	p.w.end(1)
	if err != nil {
		return errStat(err)
	}
	if !e.Mode.IsRegular() { // it was replaced
		return entryStat(&e)
	}
	hash := sha256.New()
	// Up to the size and not to the end, which may move faster than this.
	left, size := cmp.Or(e.Size, maxUnsized), int64(0)
	for left > 0 {
		part, err := p.w.read(f, left)
		hash.Write(part)
		size += int64(len(part))
		left -= int64(len(part))
		if err == io.EOF {
			break
		}
		if err != nil {
			return errStat(err)
		}
	}
	s := fileStat(size, e.Mtime)
	s.hash = shortHash(hash.Sum(nil))
	s.young = p.options.SkipSame && s.isYoung(now)
	return s
}

// shortHash returns the first 8 bytes of a SHA-256, and never 0.
func shortHash(sum []byte) uint64 { return max(binary.BigEndian.Uint64(sum), 1) }
