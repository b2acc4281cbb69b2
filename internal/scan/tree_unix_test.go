//go:build unix

package scan

import (
	"io/fs"
	"os"
	"os/exec"
	"testing"

	"net-watcher/internal/check"
)

// What turns into something else between being listed and being opened neither
// makes a look wait nor leads it astray.
func TestTreeTurns(t *testing.T) {
	for name, turn := range map[string]func(string) error{
		"a FIFO":             func(name string) error { return exec.Command("mkfifo", name).Run() },
		"a link to a folder": func(name string) error { return os.Symlink("..", name) },
		"a file":             func(name string) error { return os.WriteFile(name, nil, 0o666) },
		"a folder":           func(name string) error { return os.Mkdir(name, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			tt := newTreeTest(t, Options{Content: true}, func() {
				check.Must(t, os.MkdirAll("d/sub", 0o777))
				check.Write(t, "d/sub/a", "1", check.Day1)
				check.Write(t, "d/f", "1", check.Day1)
			})
			for _, victim := range []string{"d/sub", "d/f"} {
				once := false
				tt.looker.open = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
					if name == victim && !once {
						once = true
						check.Must(t, os.RemoveAll(name))
						check.Must(t, turn(name))
					}
					return os.OpenFile(name, flag, mode)
				}
				for _, e := range tt.look() {
					if e.File != victim && e.File != victim+"/" && e.File != "d/sub/a" {
						t.Errorf("%s becomes %s, and it tells %s", victim, name, &e)
					}
				}
				if !once {
					t.Errorf("%s was not opened", victim)
				}
				tt.looker.open = os.OpenFile
				tt.look() // by now it knows
				tt.checkState()
			}
		})
	}
}
