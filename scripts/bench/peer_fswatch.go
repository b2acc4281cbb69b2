//go:build linux

package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
)

// fswatch is https://github.com/emcrisostomo/fswatch.
type fswatch struct{}

func (*fswatch) name() string { return "fswatch" }

func (*fswatch) version() string {
	out, _ := exec.Command("fswatch", "--version").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

func (*fswatch) find(context.Context) error {
	if _, err := exec.LookPath("fswatch"); err != nil {
		return errors.New("fswatch is missing: apt install fswatch")
	}
	return nil
}

func (*fswatch) start(l *lab, f files) (reporter, measured *child, err error) {
	c, err := l.start("fswatch", nil, "fswatch", "-m", "poll_monitor", "-l", "1", "-r", f.targets[0])
	return c, c, err
}
