//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"os/exec"
	"strings"
)

//go:embed watch.py
var watchPy string

// watchdog is https://github.com/gorakhargosh/watchdog.
type watchdog struct{ python string }

func (*watchdog) name() string { return "watchdog, PollingObserver" }

func (p *watchdog) version() string {
	out, _ := exec.Command(p.python, "-c", "import sys; from watchdog.version import *; print('watchdog', VERSION_STRING, 'with Python', sys.version.split()[0])").Output()
	return strings.TrimSpace(string(out))
}

// find looks for a Python that has watchdog: Debian's package is for Debian's
// Python, which may not be the first one in PATH.
func (p *watchdog) find(ctx context.Context) error {
	for _, p.python = range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(ctx, p.python, "-c", "import watchdog").Run() == nil {
			return nil
		}
	}
	return errors.New("watchdog is missing: apt install python3-watchdog")
}

func (p *watchdog) start(l *lab, f files) (reporter, measured *child, err error) {
	c, err := l.start("watchdog", nil, p.python, "-c", watchPy, f.targets[0])
	return c, c, err
}
