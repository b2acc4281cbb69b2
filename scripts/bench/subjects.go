//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

//go:embed loop.c
var loopC string

// cLoop is loop.c, which makes the system calls of a scan, and does no more.
type cLoop struct{}

func (cLoop) name() string { return "C loop" }

func (cLoop) version() string {
	out, _ := exec.Command("gcc", "-dumpfullversion").Output()
	return "gcc " + strings.TrimSpace(string(out))
}

func (cLoop) find(context.Context) error {
	if _, err := exec.LookPath("gcc"); err != nil {
		return errors.New("gcc is missing: apt install gcc libc6-dev")
	}
	return nil
}

func (s cLoop) start(l *lab, f files) (reporter, measured *child, err error) {
	program, source := l.path("loop"), l.path("loop.c")
	if _, err := os.Stat(program); err != nil {
		if err := os.WriteFile(source, []byte(loopC), 0o666); err != nil {
			return nil, nil, err
		}
		if out, err := exec.CommandContext(l.ctx, "gcc", "-O2", "-Wall", "-o", program, source).CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("gcc: %w\n%s", err, out)
		}
	}
	c, err := l.start(s.name(), nil, program, append([]string{f.heart()}, f.targets...)...)
	return c, c, err
}

// netWatcher is measured as a server. Its client stands for any subscriber, and is
// not counted.
type netWatcher struct{}

func (netWatcher) name() string               { return "net-watcher" }
func (netWatcher) version() string            { return "" }
func (netWatcher) find(context.Context) error { return nil }

func (netWatcher) start(l *lab, f files) (reporter, measured *child, err error) {
	server, _, err := l.serve("server", []string{"unix:socket"}, nil, f.targets...)
	if err != nil {
		return nil, nil, err
	}
	client, err := l.start("client", nil, l.program, "-connect", "unix:socket")
	return client, server, err
}
