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
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
)

// TestScripts runs the scenarios in testdata; testdata/README describes what a
// line of them may be. Each runs with fast and with slow calls, which are made in
// different ways, and once more with each of its "also" options.
func TestScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	check.Must(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		check.Must(t, err)
		for _, s := range parseScripts(t, name, string(text)) {
			for _, words := range s.variants {
				for _, speed := range []string{"fast", "slow"} {
					name := strings.Join(append([]string{filepath.Base(name), s.name, speed}, words...), " ")
					t.Run(name, func(t *testing.T) {
						s.needs(t)
						t.Chdir(t.TempDir())
						o, err := parseOptions(words)
						check.Must(t, err)
						synctest.Test(t, func(t *testing.T) { s.run(t, speed == "slow", o) })
					})
				}
			}
		}
	}
}

// Scans of scripts notice that calls are slow: then they list directories by names.
func TestScriptSpeeds(t *testing.T) {
	for _, slow := range []bool{false, true} {
		s := parseScripts(t, "inline", "scenario\nmkdir d\nwrite d/a 1\nwatch d\nscan")
		t.Chdir(t.TempDir())
		synctest.Test(t, func(t *testing.T) {
			if byNames := s[0].run(t, slow, scan.Options{}); byNames > 0 != slow {
				t.Errorf("slow is %v: %d listings by names", slow, byNames)
			}
		})
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

// parseScripts returns the scenarios of a file with this text.
func parseScripts(t *testing.T, file, text string) []script {
	t.Helper()
	var scripts []script
	var options []string
	for i, line := range strings.Split(text, "\n") {
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
		case words[0] == "options" || words[0] == "also":
			if _, err := parseOptions(words[1:]); err != nil {
				t.Fatalf("%s: %v", at, err)
			}
			if last >= 0 {
				t.Fatalf("%s: %s comes before all commands", at, words[0])
			}
			if words[0] == "options" {
				options = words[1:]
				s.variants = [][]string{options}
			} else {
				s.variants = append(s.variants, slices.Concat(options, words[1:]))
			}
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

// parseOptions returns the options that the words are.
func parseOptions(words []string) (o scan.Options, err error) {
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "-content":
			o.Content = true
		case words[i] == "-content=changed":
			o.Content, o.SkipSame = true, true
		case words[i] == "-fresh":
			o.Fresh = true
		case (words[i] == "-ignore" || words[i] == "-only") && i+1 < len(words):
			if o.Filter == nil {
				o.Filter = &pattern.Filter{}
			}
			if words[i] == "-only" {
				o.Filter.Only.Add(words[i+1])
			} else {
				o.Filter.Ignore.Add(words[i+1])
			}
			i++
		default:
			return o, fmt.Errorf("unknown option %q", words[i])
		}
	}
	return o, nil
}
