package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"net-watcher/internal/check"
)

// What a person types in cmd.exe: a FILE with a drive and blanks, COMMAND with blanks, for
// cmd.exe, and as a batch file; single quotes.
func TestTyped(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("NET_WATCHER_IS_TESTED", "1") // then this program is net-watcher
	exe, err := os.Executable()
	check.Must(t, err)
	dir, err := os.Getwd()
	check.Must(t, err)
	check.Write(t, "a b.txt", "1", check.Day1)
	check.Must(t, os.Mkdir("sub dir", 0o777))
	check.Write(t, `sub dir\show.bat`, "@echo off\r\necho [%1] [%2]\r\n", check.Day1)
	for line, want := range map[string]string{
		`-once -initial "DIR\a b.txt" -- cmd /c "echo one & echo two"`: "watching DIR\\a b.txt every 1s|one |two",
		`-once -initial "a b.txt" -- "DIR\sub dir\show.bat" "x y" z`:   `watching a b.txt every 1s|["x y"] [z]`,
		`-once -initial "DIR\sub dir\\" -- cmd /c exit 3`:              `watching DIR\sub dir every 1s|cmd failed after TIME: exit status 3`,
		`"a b.txt" -listen - -once -initial`:                           "watching a b.txt every 1s",
		`-once -initial -only '*.go' . -listen -`:                      `net-watcher: -only: pattern "'*.go'": cmd.exe leaves single quotes where they are: write "*.go" (for help: -h)`,
		`-once -initial . -listen - -ignore "DIR\a b.txt"`:             `net-watcher: -ignore: pattern "DIR\a b.txt": it matches nothing: patterns begin below a target, and have "/" between names (for help: -h)`,
	} {
		check.Must(t, os.WriteFile("typed.bat", fmt.Appendf(nil, "@\"%s\" %s\r\n", exe, strings.ReplaceAll(line, "DIR", dir)), 0o666))
		out, _ := exec.Command("cmd", "/c", `.\typed.bat`).CombinedOutput()
		got := strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(string(out)), "\r", ""), "\n", "|")
		got = strings.ReplaceAll(strings.ReplaceAll(got, `\\`, `\`), filepath.Clean(dir), "DIR")
		got = regexp.MustCompile(`(^|\|)\S*T\S* (watching|net-watcher|cmd)`).ReplaceAllString(got, "$1$2")
		got = regexp.MustCompile(`after [0-9.]+m?s\b`).ReplaceAllString(got, "after TIME")
		check.Equal(t, line, want, got)
	}
}
