package main

import (
	"strings"

	"net-watcher/internal/pattern"
	"net-watcher/internal/wire"
)

// chosen reports whether a client with these patterns is to handle e. Everything about a
// target itself is: `missed` in particular, behind which something that is chosen may have
// changed. Of a directory that is only entered, as the server has it, a client handles
// that it cannot be read, and that it can be again.
func chosen(f *pattern.Filter, e *wire.Event) bool {
	below, ok := strings.CutPrefix(e.File, e.Target)
	if e.Target == "" || !ok {
		return true
	}
	path, isDir := strings.CutSuffix(strings.TrimPrefix(below, "/"), "/")
	if path == "" {
		return true
	}
	switch f.Choose(path, isDir) {
	case pattern.Chosen:
		return true
	case pattern.Entered:
		return e.Change == wire.Unreadable || e.Change == wire.Readable
	}
	return false
}
