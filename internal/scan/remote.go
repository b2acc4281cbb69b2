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

// remotes knows which file systems have a server, by their devices. Its methods may be
// called from any goroutine.
type remotes struct{ byDev sync.Map } // uint64 to remote

type remote struct {
	is    bool
	asked time.Duration // by clock
}

// has reports whether the file system with the device dev, on which path is, has a server.
func (r *remotes) has(w *worker, dev uint64, path string) bool {
	if dev == 0 { // the system does not say
		return false
	}
	known, ok := r.byDev.Load(dev)
	if !ok || w.ended-known.(remote).asked > remoteFor {
		known = w.isRemote(path)
		r.byDev.Store(dev, known)
	}
	return known.(remote).is
}

// parent is a directory that targets are in.
type parent struct {
	path   string
	known  atomic.Pointer[remote]
	synced atomic.Int64 // the number of the last Start after which it was revalidated
}

func newParent(target string) *parent {
	dir, _ := filepath.Split(target)
	return &parent{path: cmp.Or(dir, ".")}
}

// sync revalidates the directory if it has a server, or if always is set, unless that has
// been done since the Start with this number.
func (d *parent) sync(w *worker, start int64, always bool) {
	known := d.known.Load()
	if known == nil || w.ended-known.asked > remoteFor {
		r := w.isRemote(d.path)
		known = &r
		d.known.Store(known)
	}
	if (known.is || always) && d.synced.Load() != start {
		w.revalidate(d.path)
		d.synced.Store(start)
	}
}

func (w *worker) isRemote(path string) remote {
	w.begin()
	is := w.fs.IsRemote(path)
	w.end(1)
	return remote{is, w.ended}
}

// revalidate makes a network file system ask its server about a file or directory.
func (w *worker) revalidate(name string) {
	w.begin()
	w.fs.Revalidate(name)
	w.end(1)
}
