package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the plan of the house: the packages of this module that each one
// may import, beside the standard library. Package main may import all of them.
// docs/architecture.md says what each is for.
var mayImport = map[string][]string{
	"internal/wire":          nil,
	"internal/scan":          {"internal/wire", "internal/oserr", "internal/pattern"},
	"internal/feed":          {"internal/wire"},
	"internal/sock":          {"internal/oserr"},
	"internal/web":           nil,
	"internal/follow":        {"internal/wire", "internal/oserr", "internal/backoff"},
	"internal/console":       nil,
	"internal/oserr":         nil,
	"internal/backoff":       nil,
	"internal/pattern":       nil,
	"internal/check":         {"internal/oserr"}, // for tests, as the next one
	"internal/faults":        {"internal/check", "internal/scan", "internal/pattern"},
	"internal/proof":         {"internal/wire", "internal/pattern"},
	"internal/wire/wiretest": {"internal/wire"},
	"scripts/bench":          nil,
	"scripts/mutate":         nil,
	"scripts/robust":         {"internal/proof", "internal/wire"},
}

// Each package imports only what the plan of the house lets it, and the program
// nothing but the standard library.
func TestDeps(t *testing.T) {
	list := func(args ...string) [][]string {
		t.Helper()
		cmd := exec.Command("go", append([]string{"list"}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		var lines [][]string
		for line := range strings.Lines(string(out)) {
			lines = append(lines, strings.Fields(line))
		}
		return lines
	}
	module := list("-m")[0][0]
	for _, line := range list("-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		if line[0] == module {
			continue
		}
		name := strings.TrimPrefix(line[0], module+"/")
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s is not in the plan", name)
		}
		for _, path := range line[1:] {
			if path, ours := strings.CutPrefix(path, module+"/"); ours && !slices.Contains(allowed, path) {
				t.Errorf("%s must not import %s", name, path)
			}
		}
	}
	for _, line := range list("-deps", "-f", `{{.ImportPath}} {{.Standard}}`, ".") {
		path, ours := strings.CutPrefix(line[0]+"/", module+"/")
		switch {
		case line[1] == "true":
		case !ours:
			t.Errorf("the program depends on %s, which is not in the standard library", line[0])
		case path == "internal/check/", path == "internal/wire/wiretest/", path == "internal/proof/":
			t.Errorf("the program depends on %s, which is for tests", path)
		}
	}
}
