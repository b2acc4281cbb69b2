//go:build linux

package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"net-watcher/internal/proof"
	"net-watcher/internal/wire"
)

const (
	// stallTick is how often the recorder looks at its own delay, and stallAfter is the one
	// from which on it says that all may be late: the machine was stopped, or has too much
	// to do.
	stallTick  = 10 * time.Millisecond
	stallAfter = 40 * time.Millisecond

	// afterStop is how late calls may still be when what was stopped goes on, in ms.
	afterStop = 300
)

// recorder has the history of a round. All methods may be called by any goroutine.
type recorder struct {
	mu    sync.Mutex // guards all fields
	begin int64      // ms since 1970
	h     proof.History
	conns int
}

// now returns the time, in ms since the round began. COMMANDs, which are other processes,
// have the same clock.
func (r *recorder) now() int64 { return time.Now().UnixMilli() - r.begin }

// add adds a record of now, or of its own time if it has one.
func (r *recorder) add(x proof.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x.T == 0 {
		x.T = r.now()
	}
	r.h = append(r.h, x)
}

// join adds a Join, and returns the number of the connection.
func (r *recorder) join(reader string, server int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns++
	r.h = append(r.h, proof.Record{T: r.now(), Kind: proof.Join, Reader: reader, Server: server, Conn: r.conns})
	return r.conns
}

// fault adds a Fault, and returns a function that calls its argument and heals it.
func (r *recorder) fault(name, path, reader, reason string) (heal func(func())) {
	r.add(proof.Record{Kind: proof.Fault, Name: name, Path: path, Reader: reader, Error: reason})
	return func(undo func()) {
		begin := r.now()
		undo()
		now := r.now()
		r.add(proof.Record{T: now, Kind: proof.Heal, Name: name, Path: path, Reader: reader, Took: now - begin + 1, Value: afterStop})
	}
}

// watch records the times when this process did not run as it should, or when one of those
// that pids returns had to wait for a processor: then the others may be late.
func (r *recorder) watch(ctx context.Context, pids func() []int) {
	waited := make(map[int]time.Duration)
	last, sampled := time.Now(), time.Now()
	for ; ctx.Err() == nil; last = time.Now() {
		time.Sleep(stallTick)
		since, late := last, time.Since(last) > stallTick+stallAfter
		if time.Since(sampled) > stallAfter {
			for _, pid := range append(pids(), os.Getpid()) {
				now := runDelay(pid)
				before, known := waited[pid]
				if waited[pid] = now; known && now-before > stallAfter {
					late, since = true, sampled
				}
			}
			sampled = time.Now()
		}
		if late {
			r.add(proof.Record{T: since.UnixMilli() - r.begin, Kind: proof.Fault, Name: "late"})
			r.add(proof.Record{Kind: proof.Heal, Name: "late", Value: afterStop})
		}
	}
}

// history returns what was recorded so far, finished.
func (r *recorder) history() proof.History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return finish(slices.Clone(r.h))
}

// finish returns a history of what was recorded as it came:
//   - A witness records each line as a Publish. Those of one scan become one.
//   - A server may accept before its witness has the greeting, and Serve is when the first
//     follower has one; a server without a Serve has never served.
//   - What a server has sent before it ended is recorded later: it is no later than its End.
//   - A server that was killed may have sent to some what its witness did not get.
//   - A reader that has another connection does not get what a proxy still writes to the
//     one before.
func finish(h proof.History) proof.History {
	byTime := func(a, b proof.Record) int { return cmp.Compare(a.T, b.T) }
	slices.SortStableFunc(h, byTime)
	latest := make(map[string]int) // connection of each reader
	h = slices.DeleteFunc(h, func(r proof.Record) bool {
		if r.Kind == proof.Join {
			latest[r.Reader] = r.Conn
		}
		return r.Kind == proof.Got && r.Conn < latest[r.Reader]
	})
	began, ends, server := make(map[int]int64), make(map[int]int64), make(map[int]int)
	for _, r := range h {
		switch {
		case r.Kind == proof.Serve:
			began[r.Server] = r.T
		case r.Kind == proof.End && r.Reader == "":
			ends[r.Server] = r.T
		case r.Kind == proof.Join:
			server[r.Conn] = r.Server
		}
	}
	left := make(map[int]int64)
	for _, r := range h {
		n := server[r.Conn]
		if at, ok := began[n]; ok && r.Kind == proof.Got {
			began[n] = min(at, r.T)
		} else if r.Kind == proof.Leave {
			left[r.Conn] = r.T
		}
	}
	h = append(h, unwitnessed(h, server)...)
	h = slices.DeleteFunc(h, func(r proof.Record) bool {
		n := cmp.Or(r.Server, server[r.Conn])
		at, serves := began[n]
		until, hasLeft := left[r.Conn]
		return n != 0 && (!serves || r.Conn != 0 && hasLeft && until < at)
	})
	for i := range h {
		switch r := &h[i]; r.Kind {
		case proof.Serve:
			r.Took -= r.T - began[r.Server]
			r.T = began[r.Server]
		case proof.Join, proof.Publish:
			r.T = max(r.T, began[r.Server])
			if end, ok := ends[r.Server]; ok {
				r.T = min(r.T, end)
			}
		}
	}
	rank := func(r proof.Record) int {
		switch r.Kind {
		case proof.Config:
			return -2
		case proof.Serve:
			return -1
		case proof.End:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(h, func(a, b proof.Record) int {
		return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(rank(a), rank(b)))
	})
	return batched(h)
}

// batched returns h with the Publish records of each scan of a target as one. Its events
// have one time, and no name twice. Where one comes twice, there were two scans in one
// millisecond, and which line is of which is not known: each line stays a batch. (So it is
// with two targets, whose scans may have been published together or not.)
func batched(h proof.History) (all proof.History) {
	open := make(map[int]int) // by server, the place of its last Publish in all
	for _, r := range h {
		at, ok := open[r.Server]
		if ok && r.Kind == proof.Publish {
			last, e := &all[at].Events[len(all[at].Events)-1], &r.Events[0]
			if last.Timestamp == e.Timestamp && last.TargetName() == e.TargetName() {
				all[at].Events = append(all[at].Events, r.Events...)
				continue
			}
		}
		if r.Kind == proof.Publish {
			open[r.Server] = len(all)
			r.Events = slices.Clone(r.Events)
		}
		all = append(all, r)
	}
	for i := 0; i < len(all); i++ {
		r, names := all[i], make(map[string]bool)
		for _, e := range r.Events {
			names[e.File] = true
		}
		if r.Kind == proof.Publish && len(names) < len(r.Events) {
			var lines proof.History
			for _, e := range r.Events {
				r.Events = []wire.Event{e}
				lines = append(lines, r)
			}
			all = slices.Replace(all, i, i+1, lines...)
		}
	}
	return all
}

// unwitnessed returns, as Publish records, what other readers got of a server that its
// witness did not. server has that of each connection.
func unwitnessed(h proof.History, server map[int]int) (all proof.History) {
	last, known := make(map[int]int64), make(map[int]map[string]bool)
	for _, r := range h {
		for _, e := range r.Events {
			if r.Kind == proof.Publish {
				last[r.Server] = e.Timestamp
				if known[r.Server] == nil {
					known[r.Server] = make(map[string]bool)
				}
				known[r.Server][e.State+e.File] = true
			}
		}
	}
	for _, r := range h {
		n := server[r.Conn]
		for _, e := range r.Events {
			isNew := r.Kind == proof.Got && e.Type == wire.Changed && e.State != "" && e.Change != wire.Missed
			if isNew && known[n] != nil && e.Timestamp >= last[n] && !known[n][e.State+e.File] {
				known[n][e.State+e.File] = true
				all = append(all, proof.Record{T: r.T, Kind: proof.Publish, Server: n, Events: []wire.Event{e}})
			}
		}
	}
	return all
}
