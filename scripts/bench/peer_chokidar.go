//go:build linux

package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed watch.js
var watchJS string

// chokidarVersion is the last one for Node 18. It polls by the same code as the next
// one, 5.0.0.
const chokidarVersion = "4.0.3"

// chokidar is https://github.com/paulmillr/chokidar. npm fetches it, once, into the
// user's cache.
type chokidar struct{ modules string }

func (*chokidar) name() string { return "chokidar, usePolling" }

func (*chokidar) version() string {
	out, _ := exec.Command("node", "--version").Output()
	return fmt.Sprintf("chokidar %s with Node %s", chokidarVersion, strings.TrimSpace(string(out)))
}

func (p *chokidar) find(ctx context.Context) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is missing: apt install nodejs npm", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	p.modules = filepath.Join(cache, "net-watcher-bench", "chokidar-"+chokidarVersion)
	if _, err := os.Stat(filepath.Join(p.modules, "node_modules", "chokidar")); err == nil {
		return nil
	}
	npm := exec.CommandContext(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", p.modules, "chokidar@"+chokidarVersion)
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("chokidar is missing: npm cannot fetch it: %w %s", err, out)
	}
	return nil
}

func (p *chokidar) start(l *lab, f files) (reporter, measured *child, err error) {
	c, err := l.start("chokidar", []string{"NODE_PATH=" + filepath.Join(p.modules, "node_modules")}, "node", "-e", watchJS, f.targets[0])
	return c, c, err
}
