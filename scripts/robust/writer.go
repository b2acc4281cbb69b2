//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"net-watcher/internal/proof"
)

// place is a directory that a writer changes, or a file in a directory.
type place struct {
	target string // as the server has it
	real   string // where the writer changes it, which is elsewhere behind a mount
	spare  string // a directory of the same file system, which is not watched
	isFile bool
}

// writer changes files, and records that. It never uses a size twice.
type writer struct {
	rec    *recorder
	rand   *rand.Rand
	places []place
	isRoot bool // it may change what the server cannot read
	fail   func(error)

	mu     sync.Mutex // held while files change, and by who pauses the writer
	size   int64
	pinned string // a directory that must stay where it is, "" for none
}

// maxDepth is how deep directories are, and names are what all is called: few, so that
// each is many things in a round.
const maxDepth = 2

var names = []string{"a", "b", "c", "d"}

// pause stops the writer until the function that it returns is called.
func (w *writer) pause() (goOn func()) {
	w.mu.Lock()
	return w.mu.Unlock
}

// pin keeps path where it is, or no path if it is "".
func (w *writer) pin(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pinned = path
}

// run changes files until ctx is done: often, or with a pause.
func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.burst(1 + w.rand.IntN(8))
		sleep(ctx, upTo(w.rand, 300*time.Millisecond))
	}
}

// burst makes n changes or less.
func (w *writer) burst(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.step(&w.places[w.rand.IntN(len(w.places))])
	}
}

// step makes a change in a place, unless it draws one that is not possible.
func (w *writer) step(p *place) {
	if p.isFile {
		w.change(p, p.real, false)
		return
	}
	var dirs, files []string
	filepath.WalkDir(p.real, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			dirs = append(dirs, name)
		} else {
			files = append(files, name)
		}
		return nil
	})
	if len(dirs) == 0 {
		w.do(p, "mkdir", p.real, "", func() error { return os.Mkdir(p.real, 0o755) })
		return
	}
	dir := dirs[w.rand.IntN(len(dirs))]
	name := filepath.Join(dir, names[w.rand.IntN(len(names))])
	isDeep := strings.Count(name[len(p.real):], "/") > maxDepth
	switch n := w.rand.IntN(20); {
	case n < 6: // the counter of a directory
		w.change(p, filepath.Join(dir, "counter"), true)
	case n < 13:
		w.change(p, name, false)
	case n < 15 && !isDeep:
		w.do(p, "mkdir", name, "", func() error { return os.Mkdir(name, 0o755) })
	case n < 17 && len(files) > 0: // over another file, maybe
		from := files[w.rand.IntN(len(files))]
		if info, err := os.Lstat(name); err == nil && info.IsDir() {
			return
		}
		w.do(p, "rename", from, name, func() error { return os.Rename(from, name) })
	case n < 18 && len(files) > 0:
		from := files[w.rand.IntN(len(files))]
		w.do(p, "link", name, from, func() error { return os.Link(from, name) })
	case n < 19 && len(dirs) > 2: // two directories that are swapped
		to := dirs[1+w.rand.IntN(len(dirs)-1)]
		if dir == p.real || dir == to || depth(dir) != depth(to) || w.isPinned(dir) || w.isPinned(to) {
			return
		}
		away := filepath.Join(p.spare, "away")
		for _, move := range [][2]string{{dir, away}, {to, dir}, {away, to}} {
			w.do(p, "rename", move[0], move[1], func() error { return os.Rename(move[0], move[1]) })
		}
	case dir != p.real || w.rand.IntN(4) == 0:
		w.remove(p, dir)
	}
}

// change creates, writes, touches or removes a file. A counter is only written.
func (w *writer) change(p *place, name string, counter bool) {
	info, err := os.Lstat(name)
	isNew, n := err != nil, w.rand.IntN(6)
	w.size++
	size := w.size
	switch {
	case err == nil && info.IsDir():
	case isNew: // whole at once, or else its first size would be 0
		spare := filepath.Join(p.spare, "new")
		if os.WriteFile(spare, nil, 0o644) == nil && os.Truncate(spare, size) == nil {
			w.do(p, "create", name, "", func() error { return os.Rename(spare, name) })
		}
	case counter || n < 3:
		w.do(p, "write", name, "", func() error { return os.Truncate(name, size) })
	case n == 3:
		at := info.ModTime().Add(time.Duration(1+w.rand.IntN(1000)) * time.Second)
		w.do(p, "touch", name, "", func() error { return os.Chtimes(name, at, at) })
	default:
		w.remove(p, name)
	}
}

// remove removes a file, or a directory with all in it: one by one or at once.
func (w *writer) remove(p *place, name string) {
	gone := filepath.Join(p.spare, "gone")
	if w.rand.IntN(2) == 0 {
		w.do(p, "remove", name, "", func() error { return os.RemoveAll(name) })
		return
	}
	w.do(p, "remove", name, "", func() error { return os.Rename(name, gone) })
	os.RemoveAll(gone)
}

// do makes a change of the path, and of the path to if it is not "", and records it.
func (w *writer) do(p *place, op, path, to string, change func() error) {
	if w.isPinned(path) || w.isPinned(to) {
		return
	}
	begin := w.rec.now()
	if err := change(); err != nil {
		if op == "remove" || op == "rename" { // how much of it was done?
			w.fail(fmt.Errorf("%s %s: %w", op, path, err))
		}
		return
	}
	visible := func(name string) string {
		if rest, ok := strings.CutPrefix(name, p.real); ok {
			return p.target + rest
		}
		return name
	}
	record := proof.Record{Kind: proof.Op, Name: op, Path: visible(path), To: visible(to), Took: max(0, w.rec.now()-begin)}
	if op == "create" || op == "write" {
		record.Size = w.size
	}
	w.rec.add(record)
}

// isPinned reports whether name must not change: it is the pinned directory or above it,
// or is below it and cannot be reached.
func (w *writer) isPinned(name string) bool {
	return w.pinned != "" && name != "" && (name == w.pinned || isBelow(name, w.pinned) || !w.isRoot && isBelow(w.pinned, name))
}

// isBelow reports whether q is below the directory p.
func isBelow(p, q string) bool { return strings.HasPrefix(q, p+"/") }

func depth(name string) int { return strings.Count(name, "/") }
