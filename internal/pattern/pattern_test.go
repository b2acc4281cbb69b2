package pattern

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"net-watcher/internal/check"
)

// setOf returns a Set of the patterns, which are words.
func setOf(patterns string) (s Set) {
	for p := range strings.FieldsSeq(patterns) {
		s.Add(p)
	}
	return s
}

// What is ignored; TestOracle has the rest.
func TestIgnore(t *testing.T) {
	for _, test := range []struct {
		patterns, ignored, not string // paths; those of directories end in "/"
	}{
		{"", "", "a d/ d/a"},
		{"*.tmp", "a.tmp d/e/a.tmp d.tmp/ d.tmp/a", "a a.tmp.d/ tmp"},
		{"x", "x d/x x/ x/a", "xy d/xy"},
		{"/x", "x x/a", "d/x"},
		{"d/*.log", "d/x.log", "x.log d/e/x.log e/d/x.log"},
		{".git/", ".git/ d/.git/ .git/a", ".git d/.git"},
		{"/d/b/", "d/b/ d/b/a", "d/b b/"},
		{"a/**/b", "a/b a/x/b a/x/y/b", "b x/a/b"},
		{"**/a/b", "a/b x/a/b x/y/a/b", "a b"},
		{"a/**", "a/b a/b/c", "a/ x/a/b"},
		{"[!a]b [[:digit:]]", "cb 1", "ab a 11"},
		{`\* \!a \#`, "* !a #", "a"},

		// The last that matches wins, whatever kinds it is of.
		{"*.go !a.go", "b.go", "a.go d/a.go"},
		{"!a.go *.go", "a.go b.go", "a"},
		{"* !*.go a.go", "a.go x", "b.go"},
		{"* !/d d/* !d/a d/b", "d/b d/c x/a", "d/ d/a"},
		{"/d/* !/d/a", "d/b", "d/a d/"},
		{"!/d/a /d/*", "d/a d/b", "d/"},
		{"/d/a !a", "", "d/a"},
		{"!a /d/a", "d/a", "a"},
		{"a !a/", "a", "a/ a/b"},
		{"a? !*b a[bc]", "ab ac aa", "cb b"},
		{"a* !?b abc !abc ab*", "abc ab ac", "xb"},

		// Nothing below a directory that is ignored is taken back.
		{"d/ !d/a !a", "d/ d/a d/e/a", "a"},
		{"d !a", "d/a", "a"},
	} {
		f := Filter{Ignore: setOf(test.patterns)}
		for i, paths := range []string{test.ignored, test.not} {
			for path := range strings.FieldsSeq(paths) {
				name, isDir := strings.CutSuffix(path, "/")
				if got := f.Choose(name, isDir); got != []Choice{LeftOut, Chosen}[i] {
					t.Errorf("%s: %s: %v", test.patterns, path, got)
				}
			}
		}
	}
}

// Only chooses files and directories with all that is in them; other directories are
// entered, unless nothing below can be chosen. Ignore wins.
func TestOnly(t *testing.T) {
	for _, test := range []struct {
		only, ignore                string
		chosen, entered, notEntered string // the last has files, too
	}{
		{"*.go", "", "a.go d/a.go a.go/ a.go/x", "d/ d/e/", "a d/a d/e/f/a"},
		{"*.go !a.go", "", "b.go d/b.go", "d/", "a.go d/a.go"},
		{"src/", "", "src/ src/a d/src/ d/src/e/a", "d/", "a d/a src"},
		{"/src/*.go", "", "src/a.go", "src/", "d/ a.go src/e/ src/e/a.go d/src/ src/a"},
		{"/src/**/*.go", "", "src/a.go src/d/e/a.go", "src/ src/d/ src/d/e/", "d/ a.go"},
		{"/a/b/c !/d/e/f", "", "a/b/c", "a/ a/b/", "d/ d/e/ a/b/x a/x/"},
		{"**/a/b", "", "a/b d/a/b", "a/ d/ d/a/", "b a d/b"},
		{"!*.go", "", "", "", "a.go a d/"}, // Check refuses it
		{"*.go", "a.go /gen/", "b.go d/b.go", "d/ d/gen/", "a.go d/a.go gen/ gen/b.go"},
		{"src/", "*.o", "src/ src/a", "d/", "src/a.o"},
		{"*.go", "* !*/", "", "d/", "a.go"},
		{"", "", "a d/ d/a", "", ""},
	} {
		f := Filter{Only: setOf(test.only), Ignore: setOf(test.ignore)}
		for i, paths := range []string{test.notEntered, test.entered, test.chosen} {
			for path := range strings.FieldsSeq(paths) {
				name, isDir := strings.CutSuffix(path, "/")
				if got := f.Choose(name, isDir); got != Choice(i) {
					t.Errorf("only %s, ignore %s: %s: %v, want %v", test.only, test.ignore, path, got, i)
				}
			}
		}
	}
	if d := (*Filter)(nil).Root().Enter("d"); d.Choose("a", false) != Chosen || d.LeavesOut("a") {
		t.Error("no Filter leaves something out")
	}
}

// A name is left out before its type is known only if that makes no difference.
func TestLeavesOut(t *testing.T) {
	f := Filter{Ignore: setOf("*.o d/ x !x/")}
	for name, want := range map[string]bool{"a.o": true, "d": false, "x": false, "a": false} {
		if got := f.Root().LeavesOut(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	f = Filter{Only: setOf("/a/*.go b"), Ignore: setOf("c")}
	for name, want := range map[string]bool{"a": false, "b": false, "c": true, "d": false, "d.go": false} {
		if got := f.Root().LeavesOut(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	f = Filter{Only: setOf("/a/*.go")}
	for name, want := range map[string]bool{"a": false, "b": true} {
		if got := f.Root().LeavesOut(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A directory in which no path pattern is under way needs no Folder of its own.
func TestEnterShares(t *testing.T) {
	f := Filter{Only: setOf("*.go /a/b"), Ignore: setOf("x /c/*")}
	deep := f.Root().Enter("d").Enter("d")
	check.Equal(t, "allocations", 0.0, testing.AllocsPerRun(10, func() {
		if deep.Enter("e") != deep {
			t.Error("another Folder")
		}
	}))
	// Nor do places become more and more.
	f = Filter{Ignore: setOf("**/a/**/a/**/a/**/b")}
	d := f.Root()
	for range 100 {
		d = d.Enter("a")
	}
	check.Equal(t, "places", 4, len(d.ignore.at))
}

func TestAddFile(t *testing.T) {
	var s Set
	check.Must(t, s.AddFile(strings.NewReader("\ufeff*.a\r\n\n# no\n  \n\\#b\n\\!c  \nd\\ \\  \n e\n!f\t\n\ufeffg\r\r\n\\"), "x"))
	var got []string
	for _, src := range s.sources {
		got = append(got, src.from+" "+src.text)
	}
	check.Equal(t, "patterns", []string{
		"x:1 *.a", `x:5 \#b`, `x:6 \!c`, `x:7 d\ \ `, "x:8  e", "x:9 !f\t", "x:10 \ufeffg\r", `x:11 \`,
	}, got)
	if err := s.AddFile(iotest.ErrReader(io.ErrClosedPipe), "x"); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// What cannot match, and what most likely means something else, is refused with the
// right spelling.
func TestCheck(t *testing.T) {
	abs, err := filepath.Abs("src")
	check.Must(t, err)
	abs = filepath.ToSlash(abs)
	targets := []string{"src", "./lib", "/srv/conf", "a.txt", ".", "/"}
	for pattern, want := range map[string]string{
		"":             "it matches nothing (patterns are for what is below a target)",
		"/":            "it matches nothing (patterns are for what is below a target)",
		"./":           `it matches nothing: it has "//", "." or ".." where a name should be`,
		"./x":          `it matches nothing: write "/x"`,
		".//x/":        `it matches nothing: write "/x/"`,
		"!./x":         `it matches nothing: write "!/x"`,
		"../x":         `it matches nothing: it has "//", "." or ".." where a name should be`,
		"..":           `it matches nothing: it has "//", "." or ".." where a name should be`,
		"a//b":         `it matches nothing: it has "//", "." or ".." where a name should be`,
		"src/*.o":      `it begins with the target, and patterns begin below that: write "/*.o", or "/src/*.o" if the target has another src in it`,
		"!src/x":       `it begins with the target, and patterns begin below that: write "!/x", or "!/src/x" if the target has another src in it`,
		"./src/x":      `it begins with the target, and patterns begin below that: write "/x", or "/./src/x" if the target has another ./src in it`,
		"lib/x/y":      `it begins with the target, and patterns begin below that: write "/x/y", or "/lib/x/y" if the target has another lib in it`,
		"./lib/x":      `it begins with the target, and patterns begin below that: write "/x", or "/./lib/x" if the target has another ./lib in it`,
		"/srv/conf/*":  `it begins with the target, and patterns begin below that: write "/*"`,
		abs + "/x":     `it begins with the target, and patterns begin below that: write "/x"`,
		"*.go,*.js":    `a comma does not separate patterns: write a flag for each, "*.go" and "*.js", or "\," if it is part of the name`,
		"a,b,":         `a comma does not separate patterns: write a flag for each, "a" and "b", or "\," if it is part of the name`,
		"*.{go,js}":    `braces are no choice: write a pattern for each, "*.go" and "*.js"`,
		"\\{a,b}":      `a comma does not separate patterns: write a flag for each, "\{a" and "b}", or "\," if it is part of the name`,
		"!{a,b}/c":     `braces are no choice: write a pattern for each, "!a/c" and "!b/c"`,
		`src\gen\*.go`: `between names is "/", on every system: write "src/gen\*.go"`,
		`build\`:       `it matches nothing: it ends in \ (write \\ for that character)`,
		"a[b":          `it matches nothing: it has a [ without ] (write \[ for that character)`,
		"[[:x:]]":      "it matches nothing: there is no class [:x:]",
		"./\x1b":       `it matches nothing: write "/\x1b"`,
		"!x":           "it takes back from the patterns before it, and there are none",

		"/x": "", "x/": "", "src": "", "src/": "", "/src/x": "", "**/src/x": "", "srcx/x": "", "*.o": "", `a\,b`: "", "[a,b]": "", ",v": "",
		"{a}": "", `\{a\,b}`: "", `\*`: "", "...": "", ".*": "", "a.txt": "", "#x": "", "{{x.y}}/": "", "/srv/x": "", " ": "",
	} {
		var s Set
		s.Add(pattern)
		warnings, refused := s.Check(targets)
		got := ""
		if refused != nil {
			got = strings.TrimPrefix(refused.Error(), "pattern "+quote(pattern)+": ")
		}
		if got != want || len(warnings) > 0 {
			t.Errorf("%s (-want +got):\n- %s\n+ %s\nwarnings: %q", pattern, want, got, warnings)
		}
	}

	// Of a file it is a warning, and commas may be meant.
	s := setOf("a !b")
	check.Must(t, s.AddFile(strings.NewReader("*,v\nx\n\n./x\n!y"), "f"))
	warnings, refused := s.Check(nil)
	check.Equal(t, "refused", nil, refused)
	check.Equal(t, "warnings", []string{`f:4: pattern "./x": it matches nothing: write "/x"`}, warnings)
}

// BenchmarkChoose measures what 100 patterns cost for each of 100,000 files in 1,000
// directories, some levels deep, beside an lstat, in the same run.
func BenchmarkChoose(b *testing.B) {
	name := filepath.Join(b.TempDir(), "f")
	check.Write(b, name, "", check.Day1)
	var files [100]string
	for i := range files {
		files[i] = fmt.Sprintf("file%06d.txt", i)
	}
	for _, kind := range []string{"*.ext%02d", "name%02d", "/dir%04d/*.o", "**/sub/x%02d/**", "pre%02d*", "a*b?c%02d[0-9]", "file*%02dx", "*%02d*"} {
		b.Run(kind, func(b *testing.B) {
			var f Filter
			for i := range 100 {
				f.Ignore.Add(fmt.Sprintf(kind, i))
			}
			var filter, bare time.Duration
			for b.Loop() {
				begin := time.Now()
				n := 0
				root := f.Root()
				for i := range 1000 {
					d := root.Enter("dir0001")
					for range i % 4 {
						d = d.Enter("sub")
					}
					for _, file := range files {
						if d.Choose(file, false) == Chosen {
							n++
						}
					}
				}
				filter += time.Since(begin)
				begin = time.Now()
				for range 100_000 {
					if _, err := os.Lstat(name); err != nil {
						b.Fatal(err)
					}
				}
				bare += time.Since(begin)
			}
			b.ReportMetric(float64(filter.Nanoseconds())/float64(b.N)/100_000, "ns/file")
			b.ReportMetric(float64(filter)/float64(bare), "x-lstat")
		})
	}
}
