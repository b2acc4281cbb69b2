//go:build unix

package scan_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// A file or directory that is replaced by something else after it was listed and
// before it is opened neither makes a scan wait nor leads it astray.
func TestTreeTurns(t *testing.T) {
	for name, turn := range map[string]func(string) error{
		"a FIFO":              func(name string) error { return exec.Command("mkfifo", name).Run() },
		"a link to the above": func(name string) error { return os.Symlink("..", name) },
		"a link beside":       func(name string) error { return os.Symlink("beside", name) },
		"a file":              func(name string) error { return os.WriteFile(name, nil, 0o666) },
		"a directory":         func(name string) error { return os.Mkdir(name, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			check.Must(t, os.MkdirAll("d/sub", 0o777))
			check.Must(t, os.Mkdir("d/beside", 0o777))
			check.Write(t, "d/sub/a", "1", check.Day1)
			check.Write(t, "d/beside/c", "1", check.Day1)
			check.Write(t, "d/f", "1", check.Day1)
			ff := faults.Real()
			d := newDriver(t, ff, scan.Options{Content: true}, "d")
			d.begin()
			for _, victim := range []string{"d/sub", "d/f"} {
				turned := false
				ff.Before("open", victim, func() {
					if turned {
						return
					}
					turned = true
					check.Must(t, os.RemoveAll(victim))
					check.Must(t, turn(victim))
				})
				for _, line := range d.scan() {
					_, line, _ = strings.Cut(line, " ")
					path, _, _ := strings.Cut(line, ",")
					if path != victim && path != victim+"/" && path != "d/sub/a" {
						t.Errorf("%s becomes another, and %s is reported", victim, line)
					}
				}
				if !turned {
					t.Errorf("%s was not opened", victim)
				}
				ff.Heal()
				d.scan() // by now it knows
				d.checkSums()
				d.checkTree()
			}
		})
	}
}
