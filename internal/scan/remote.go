package scan

import (
	"cmp"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// remoteFor is how long it is known whether a file system has a server. Mounts come and
// go, and their device numbers are used again.
const remoteFor = 10 * time.Second

// remotes knows which file systems have a server. Its methods may be called from any
// goroutine.
type remotes struct{ known sync.Map } // by a device (uint64), or a *parent, whose device nothing says

// remote is what FileSystem.IsRemote has said.
type remote struct {
	is, isProgram bool
	asked         time.Duration // by clock
}

// has reports whether the file system with the device dev, on which path is, has a server.
func (r *remotes) has(w *worker, dev uint64, path string) bool {
	return dev != 0 && remoteAt(r, w, dev, path).is // it is 0 where the system does not say
}

// remoteAt returns what is known of the file system of path, which key stands for. (With a
// key of type any, each call would need memory.)
func remoteAt[K uint64 | *parent](r *remotes, w *worker, key K, path string) remote {
	known, ok := r.known.Load(key)
	if !ok || w.ended-known.(remote).asked > remoteFor {
		w.begin()
		is, isProgram := w.fs.IsRemote(path)
		w.end(1)
		known = remote{is, isProgram, w.ended}
		r.known.Store(key, known)
	}
	return known.(remote)
}

// parent is a directory that targets are in.
type parent struct {
	path   string
	synced atomic.Int64 // the number of the last Start after which it was revalidated
}

func newParent(target string) *parent {
	dir, _ := filepath.Split(target)
	return &parent{path: cmp.Or(dir, ".")}
}

// syncParent revalidates d if it has a server, or with Fresh, unless that has been done
// since the last Start.
func (p *pass) syncParent(d *parent) {
	if (p.options.Fresh || remoteAt(p.remotes, p.w, d, d.path).is) && d.synced.Load() != p.start {
		p.w.revalidate(d.path)
		d.synced.Store(p.start)
	}
}

// refresh makes a network file system ask its server for the listing of a directory.
func (w *worker) refresh(d Dir) {
	w.begin()
	d.Refresh()
	w.end(1)
}

// revalidate makes a network file system ask its server about a file or directory.
func (w *worker) revalidate(name string) {
	w.begin()
	w.fs.Revalidate(name)
	w.end(1)
}
