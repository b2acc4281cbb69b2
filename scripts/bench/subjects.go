//go:build linux

package main

import "context"

// bareLoop calls stat for the same files, and no more.
type bareLoop struct{}

func (bareLoop) name() string               { return "bare loop of stat" }
func (bareLoop) version() string            { return "" }
func (bareLoop) find(context.Context) error { return nil }

func (s bareLoop) start(l *lab, dir string) (reporter, measured *child, err error) {
	c, err := l.start(s.name(), []string{"GOGC=100"}, l.self, "bare-stat", dir)
	return c, c, err
}

// netWatcher is measured as a server. Its client stands for any subscriber, and is
// not counted.
type netWatcher struct{}

func (netWatcher) name() string               { return "net-watcher" }
func (netWatcher) version() string            { return "" }
func (netWatcher) find(context.Context) error { return nil }

func (netWatcher) start(l *lab, dir string) (reporter, measured *child, err error) {
	server, _, err := l.serve("server", []string{"unix:socket"}, nil, dir)
	if err != nil {
		return nil, nil, err
	}
	client, err := l.start("client", nil, l.program, "-connect", "unix:socket")
	return client, server, err
}
