package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"net-watcher/internal/check"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMutants(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.go")
	for _, test := range []struct {
		src  string // after the package clause
		want string // the mutants, without the file
	}{
		{"var a = 3 // three", `
var: var a = 3 => var a = (3 + 1)
var: var a = 3 => var a = (3 - 1)`},
		{"var a = 0x20", `
var: var a = 0x20 => var a = (0x20 * 2)`},
		{"func f() (int, bool) { return 0, false }", `
f: func f() (int, bool) { return 0, false } => func f() (int, bool) { return 0, !false }`},
		{"func f(b bool) bool { return !b }", `
f: func f(b bool) bool { return !b } => func f(b bool) bool { return !(!b) }
f: func f(b bool) bool { return !b } => func f(b bool) bool { return b }`},
		{"func (t *T) f() (n int, err error) {\n\tg()\n\treturn a(), nil\n}", `
T.f: func (t *T) f() (n int, err error) { => func (t *T) f() (n int, err error) { return *new(int), *new(error);
T.f: g() => 
T.f: return a(), nil => return *new(int), nil`},
		{"func f() {\n\tif a < b && c {\n\t\td++\n\t}\n}", `
f: if a < b && c { => if !(a < b && c) {
f: if a < b && c { => if a < b || c {
f: if a < b && c { => if a <= b && c {
f: d++ => d--
f: d++ => `},
		{"func f() {\n\tswitch {\n\tcase a == b:\n\t\treturn\n\tcase c:\n\t}\n}", `
f: case a == b: return => 
f: case a == b: => case a != b:
f: return => 
f: case c: => case !(c):
f: case c: => `},
		{"func f() {\n\tfor range a {\n\t\tb += c - d\n\t\tbreak\n\t}\n}", `
f: for range a { => for range a { break;
f: b += c - d => b -= c - d
f: b += c - d => 
f: b += c - d => b += c + d
f: break => continue
f: break => `},
		{"func f() {\n\tselect {\n\tcase <-c:\n\tdefault:\n\t\td = false\n\t}\n}", `
f: case <-c: => 
f: default: d = false => 
f: d = false => 
f: d = false => d = !false`},
	} {
		write(t, path, "package a\n\n"+test.src)
		all, err := mutants(path)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, m := range all {
			got.WriteString("\n" + strings.TrimPrefix(m.String(), path+": "))
		}
		check.Equal(t, test.src, test.want, got.String())
	}
}

// Of the mutants of a package, those that no test kills are printed, but for those
// that are named; and a name that is no survivor's.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("five builds")
	}
	t.Chdir(t.TempDir())
	write(t, "go.mod", "module a\n")
	const src = `package a

var ok = true

func log() { println() }

func call() { log() }

type T struct{}

func (T) count(_ int, more ...int) (n int) {
	unused := more
	for range more {
		n++
	}
	_ = unused
	return n
}
`
	write(t, "a.go", src)
	write(t, "a_test.go", `package a

import "testing"

func TestCall(t *testing.T) {
	if call(); !ok {
		t.Error("not ok")
	}
	if n := (T{}).count(1, 2, 3); n != 2 {
		t.Error(n)
	}
}

func TestNothing(t *testing.T) {}
`)
	// One is not in a function, and one does not build.
	named := "# A comment.\n\na.go: log: func log() { println() } => func log() { }\na.go: log: gone() => \n\tIt prints nothing of use.\n"
	var out bytes.Buffer
	err := run(t.Context(), []string{"-package", "."}, named, &out)
	check.Equal(t, "output", `line 7 of a.go: call: func call() { log() } => func call() { }
to be removed from named.txt, because it does not survive: a.go: log: gone() => 
.: 8 mutants; 6 killed, 0 by the time-out; 1 survive and are named, 1 others; 1 more do not build
`, out.String())
	if err == nil {
		t.Error("no error, though a mutant survives")
	}
	if got, err := os.ReadFile("a.go"); err != nil || string(got) != src {
		t.Errorf("the file is now %q, %v", got, err)
	}
	err = run(t.Context(), []string{"-package", ".", "-timeout", "1ns"}, "", &out)
	if err == nil || !strings.Contains(err.Error(), "without a mutant, the tests of .: timed out") {
		t.Errorf("with a short time-out: %v", err)
	}
}

// Each mutant that is named can still be made.
func TestNamedAreThere(t *testing.T) {
	t.Chdir("../..")
	made := make(map[string]bool)
	seen := make(map[string]bool) // files
	for name := range parseNamed(named) {
		file, _, _ := strings.Cut(name, ": ")
		if !seen[file] {
			seen[file] = true
			all, err := mutants(file)
			check.Must(t, err)
			for _, m := range all {
				made[m.String()] = true
			}
		}
		if !made[name] {
			t.Errorf("there is no mutant %s", name)
		}
	}
}
