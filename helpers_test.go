package main

import (
	"net-watcher/internal/feed"
	"net-watcher/internal/wire"
	"net-watcher/internal/wire/wiretest"
)

// newTestFeed returns a feed of targets that do not exist.
func newTestFeed(targets ...string) *feed.Feed { return feed.New(wiretest.Missing(targets...)) }

// change returns a Modified event of a target whose size, time and state are all
// n.
func change(target string, n int64) wire.Event { return wiretest.Change(target, n) }
