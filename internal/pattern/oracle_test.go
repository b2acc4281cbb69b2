package pattern

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"net-watcher/internal/check"
)

// generator makes patterns and names that often match each other.
type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// nameOf returns a name for a file or directory.
func (g generator) nameOf() string {
	if runtime.GOOS == "linux" && g.IntN(6) == 0 { // elsewhere they may not exist
		return g.pick(" ", "a ", `\`, `a\`, "*", "?", "[a]", "[", "]", "!", "!a", "#a", "A", "AB", "a\v", "\x01", "\xff", "é", "a:", "-", "^")
	}
	return g.pick("a", "b", "ab", "aa", "abc", "a.go", "b.go", "a.b", ".a", "a-b", "-a", "a1", "2", "_", "{a,b}", "a,b", "é", "ä.go", "a b")
}

// patternOf returns a line of a .gitignore.
func (g generator) patternOf() string {
	var b strings.Builder
	b.WriteString(g.pick("", "", "", "", "!", "!", `\!`, "#", `\#`, "!!"))
	if b.Len() > 0 && g.IntN(3) > 0 && b.String() != "!" {
		b.Reset()
	}
	b.WriteString(g.pick("", "", "", "/"))
	for n := 1 + g.IntN(4)*g.IntN(2); n > 0; n-- {
		b.WriteString(g.part())
		if n > 1 {
			b.WriteString("/")
		}
	}
	b.WriteString(g.pick("", "", "", "", "/", "/", " ", "  ", `\ `, `\`, "//", "\t"))
	return b.String()
}

func (g generator) part() string {
	switch g.IntN(8) {
	case 0, 1:
		return g.nameOf()
	case 2:
		return g.pick("*", "**", "**", "**", "***")
	case 3:
		return g.pick("*.go", "a*", "*b", "?", "a?", "*.*", "?*", "a**", "ab**", "**b", "*a*", ".", "..", ".*", "")
	}
	var b strings.Builder
	for range 1 + g.IntN(3) {
		switch g.IntN(7) {
		case 0:
			b.WriteString(g.pick("*", "?", "**"))
		case 1:
			b.WriteString(g.pick("[ab]", "[!a]", "[^a]", "[a-c]", "[!a-b]", "[]a]", "[!]a]", "[a-]", "[-a]", `[\a]`, `[\]a]`, `[a\-c]`,
				"[c-a]", "[a", "[", "[]", "[!", "[a/b]", "[[:alpha:]]", "[[:digit:]a]", "[![:space:]]", "[[:foo:]]", "[[:alpha]", "[[:alpha",
				"[[a:]", "[a-c-e]", "[a-[:digit:]]", "[[:cntrl:]]", "[[:punct:]]", "[[:upper:]]", "[[:xdigit:][:blank:]]", "[é]", "[[:print:]]", `[a-\c]`, "[[:graph:]]", "[[:lower:]]", "[[:alnum:]]", `[\\]`, "[[::]]", "[[:]"))
		case 2:
			b.WriteString(g.pick(`\a`, `\*`, `\?`, `\[`, `\\`, `\!`, `\b`))
		default:
			b.WriteString(g.pick("a", "b", "c", ".", "go", "-", "é", " ", "A"))
		}
	}
	return b.String()
}

// Patterns match what git says that it ignores with them, line by line of a .gitignore,
// and the slow reference agrees.
func TestOracle(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git, the oracle, is not installed")
	}
	cases := 800
	if testing.Short() || runtime.GOOS == "windows" { // where files take their time
		cases = 200
	}
	g := generator{rand.New(rand.NewPCG(1, 2))}
	t.Chdir(t.TempDir())
	runGit := func(input string, args ...string) string {
		cmd := exec.Command(git, append([]string{"-c", "core.ignoreCase=false", "-c", "core.excludesFile="}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=")
		cmd.Stdin = strings.NewReader(input)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() > 1 || len(args) > 0 && args[0] == "init") {
			t.Fatalf("git %q: %v\n%s", args, err, stderr.Bytes())
		}
		return string(out)
	}
	runGit("", "init", "-q", ".")

	type entry struct {
		path  string
		isDir bool
	}
	files := make([]string, cases)
	trees := make([][]entry, cases)
	var input strings.Builder
	patterns := 0
	for i := range cases {
		dir := fmt.Sprintf("case%d", i)
		check.Must(t, os.Mkdir(dir, 0o777))
		seen := make(map[string]bool)
		for range 3 + g.IntN(8) {
			path := dir
			for depth := 1 + g.IntN(4); depth > 0; depth-- {
				path = strings.Join([]string{path, g.nameOf()}, "/")
				isDir := depth > 1 || g.IntN(6) == 0
				err := os.Mkdir(path, 0o777)
				if !isDir {
					if os.Remove(path) != nil { // a directory with something in it
						break
					}
					if g.IntN(8) > 0 || runtime.GOOS == "windows" {
						err = os.WriteFile(path, nil, 0o666)
					} else {
						err = os.Symlink(".", path)
					}
				}
				info, statErr := os.Lstat(path)
				if err != nil && statErr != nil || !info.IsDir() && depth > 1 {
					break
				}
				seen[path] = true
			}
		}
		for path := range seen {
			if info, err := os.Lstat(path); err == nil {
				trees[i] = append(trees[i], entry{path, info.IsDir()})
			}
		}
		slices.SortFunc(trees[i], func(a, b entry) int { return strings.Compare(a.path, b.path) })
		for _, e := range trees[i] {
			input.WriteString(e.path + "\x00")
		}
		files[i] = g.pick("", "", "", "\ufeff")
		for range 1 + g.IntN(6) {
			patterns++
			files[i] += g.patternOf() + g.pick("\n", "\n", "\n", "\r\n", "\n\n")
		}
		files[i] = strings.TrimSuffix(files[i], g.pick("", "\n"))
		check.Must(t, os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(files[i]), 0o666))
	}
	ignored := make(map[string]bool)
	for path := range strings.SplitSeq(runGit(input.String(), "check-ignore", "--no-index", "--stdin", "-z"), "\x00") {
		ignored[path] = true
	}
	paths, matched := 0, 0
	for i, file := range files {
		var f Filter
		check.Must(t, f.Ignore.AddFile(strings.NewReader(file), ""))
		var lines []string
		for _, src := range f.Ignore.sources {
			lines = append(lines, src.text)
		}
		for _, e := range trees[i] {
			paths++
			_, path, _ := strings.Cut(e.path, "/")
			want := ignored[e.path]
			if want {
				matched++
			}
			if got := f.Choose(path, e.isDir) == LeftOut; got != want {
				t.Errorf("%q: %q (directory: %v) is ignored: %v, and git says %v", file, path, e.isDir, got, want)
			}
			if got := slowIgnored(lines, path, e.isDir); got != want {
				t.Errorf("%q: %q (directory: %v) is ignored: %v by the reference, and git says %v", file, path, e.isDir, got, want)
			}
		}
	}
	t.Logf("%d patterns in %d files, %d paths, of which git ignores %d", patterns, cases, paths, matched)
	if matched < paths/10 || matched > paths*9/10 {
		t.Error("too few, or too many, to say much")
	}
}
