package scan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"net-watcher/internal/check"
)

// TestScripts runs the scenarios in testdata; testdata/README describes what a
// line of them may be. Each runs with fast and with slow calls, which are made in
// different ways, and once more with each of its "also" options.
func TestScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	check.Must(t, err)
	byNames := map[string]int{} // how many listings were made by names, as where calls are slow
	for _, name := range names {
		for _, s := range parseScripts(t, name) {
			for _, options := range s.variants {
				for _, speed := range []string{"fast", "slow"} {
					name := strings.Join(append([]string{filepath.Base(name), s.name, speed}, options...), " ")
					t.Run(name, func(t *testing.T) {
						s.needs(t)
						t.Chdir(t.TempDir())
						synctest.Test(t, func(t *testing.T) { byNames[speed] += s.run(t, speed == "slow", options) })
					})
				}
			}
		}
	}
	if byNames["fast"] > 0 || byNames["slow"] == 0 {
		t.Errorf("listings by names: %v", byNames)
	}
}

// script is one scenario.
type script struct {
	name     string
	variants [][]string // the options of each
	commands []command
}

// command is one line of a scenario, and the lines that it expects.
type command struct {
	at    string // file and line
	words []string
	want  []string
}

// parseScripts returns the scenarios of a file.
func parseScripts(t *testing.T, file string) []script {
	t.Helper()
	text, err := os.ReadFile(file)
	check.Must(t, err)
	var scripts []script
	var options []string
	for i, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("%s:%d", file, i+1)
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if words[0] == "scenario" {
			options = nil
			scripts = append(scripts, script{name: strings.Join(words[1:], " "), variants: [][]string{nil}})
			continue
		}
		if len(scripts) == 0 {
			t.Fatalf("%s: before the first scenario", at)
		}
		s := &scripts[len(scripts)-1]
		last := len(s.commands) - 1
		switch {
		case line[0] == ' ' || line[0] == '\t':
			if last < 0 || s.commands[last].words[0] != "scan" && s.commands[last].words[0] != "watch" {
				t.Fatalf("%s: only scan and watch have results", at)
			}
			s.commands[last].want = append(s.commands[last].want, strings.TrimSpace(line))
		case words[0] == "options":
			options = words[1:]
			s.variants = [][]string{options}
		case words[0] == "also":
			s.variants = append(s.variants, slices.Concat(options, words[1:]))
		default:
			s.commands = append(s.commands, command{at: at, words: words})
		}
	}
	return scripts
}

// needs skips the test where the system cannot do what the script does.
func (s *script) needs(t *testing.T) {
	t.Helper()
	for _, c := range s.commands {
		if slices.Contains(c.words, "link") {
			check.Symlink(t, "nothing", filepath.Join(t.TempDir(), "link"))
			return
		}
	}
}
