package main

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// pages returns the documentation: the text of each page by its path, with
// slashes. The line ends are LF on every system.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, name := range append(names, "README.md", "CONTRIBUTING.md", "CHANGELOG.md") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.ToSlash(name)] = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	return texts
}

// Every link from one page to another, or to a file of the repository, leads
// somewhere.
func TestLinks(t *testing.T) {
	texts := pages(t)
	if _, ok := texts["docs/architecture.md"]; !ok {
		t.Error("docs/architecture.md is missing")
	}
	for name, text := range texts {
		for _, link := range links(text) {
			if problem := checkLink(texts, name, link); problem != "" {
				t.Errorf("%s: link to %s: %s", name, link, problem)
			}
		}
	}
}

// checkLink returns what is wrong with a link of the page from, or "".
func checkLink(texts map[string]string, from, link string) string {
	if regexp.MustCompile(`^[a-z]+:`).MatchString(link) {
		return "" // to another site
	}
	file, anchor, hasAnchor := strings.Cut(link, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	if _, err := os.Stat(filepath.FromSlash(to)); err != nil {
		return "no such file"
	}
	switch text, isPage := texts[to]; {
	case !hasAnchor:
		return ""
	case !isPage:
		return "an anchor in a file that is not a page"
	case !slices.Contains(anchors(text), anchor):
		return "no such heading"
	}
	return ""
}

// A fence opens or closes a block of code; an indented line is code too.
var (
	fence       = regexp.MustCompile("^ {0,3}(```|~~~)")
	codeLine    = regexp.MustCompile(`^( {4}|\t)`)
	codeSpan    = regexp.MustCompile("`[^`]*`")
	inlineLink  = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	picture     = regexp.MustCompile(`\b(?:src|srcset)="([^"\s]+)"`)
	linkedText  = regexp.MustCompile(`\[([^\]]*)\]\([^()\s]*\)`)
	headingLine = regexp.MustCompile(`^#{1,6} +(.*?)[ #]*$`)
)

// prose returns the lines of a page that are not code.
func prose(text string) []string {
	var lines []string
	inFence := false
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case fence.MatchString(line):
			inFence = !inFence
		case inFence || codeLine.MatchString(line):
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

// links returns where the inline links of a page lead, and where its pictures are.
func links(text string) []string {
	var found []string
	for _, line := range prose(text) {
		line = codeSpan.ReplaceAllString(line, "code")
		for _, place := range []*regexp.Regexp{inlineLink, picture} {
			for _, m := range place.FindAllStringSubmatch(line, -1) {
				found = append(found, m[1])
			}
		}
	}
	return found
}

// anchors returns the anchors that GitHub gives to the headings of a page: in
// lower case, with hyphens for blanks and without other punctuation; a second
// one of the same name ends in -1.
func anchors(text string) []string {
	var found []string
	count := make(map[string]int)
	for _, line := range prose(text) {
		m := headingLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, linkedText.ReplaceAllString(m[1], "$1"))
		n := count[anchor]
		count[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		found = append(found, anchor)
	}
	return found
}

// The test of the links finds links, code, headings and mistakes.
func TestLinkChecker(t *testing.T) {
	const page = "# `-v`, and [more](x.md)\n## A_b: c & d\n## A_b: c & d\n```\n# code [l](code.md)\n```\n" +
		"    [l](code.md)\n[a `](code)` b](y.md#z), [c](#a_b-c--d)\n<img alt=\"d\" src=\"e.png\">\n"
	if diff := cmp.Diff([]string{"-v-and-more", "a_b-c--d", "a_b-c--d-1"}, anchors(page)); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"x.md", "y.md#z", "#a_b-c--d", "e.png"}, links(page)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	texts := map[string]string{"README.md": page, "docs/guide.md": page}
	for link, want := range map[string]string{
		"https://go.dev/x#y":       "",
		"../README.md":             "",
		"../LICENSE":               "",
		"../README.md#a_b-c--d-1":  "",
		"#a_b-c--d":                "",
		"#a_b-c--d-2":              "no such heading",
		"../README.md#A_b-c--d":    "no such heading",
		"../LICENSE#x":             "an anchor in a file that is not a page",
		"README.md":                "no such file",
		"../docs/nothing.md#a_b-c": "no such file",
	} {
		if got := checkLink(texts, "docs/guide.md", link); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
}

// The manual page has the flags and the examples of the usage, and says something of each
// flag. (How it looks is what mandoc checks.)
func TestManual(t *testing.T) {
	b, err := os.ReadFile("docs/net-watcher.1")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), "\r\n", "\n")
	terms := flagTerms.FindAllString(usage, -1)
	got := make(map[string]string) // by term: what the page says of it
	for _, item := range strings.Split(page, "\n.It ")[1:] {
		term, text, _ := strings.Cut(item, "\n")
		if strings.HasPrefix(term, "Fl ") {
			term = strings.NewReplacer("Fl ", "-", "Ar ", "", " ,", ",").Replace(term)
			got[term] = strings.SplitN(text, "\n.El", 2)[0]
		}
	}
	for i, term := range terms {
		terms[i] = strings.TrimSpace(term)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(terms)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("flags (-usage +page):\n%s", diff)
	}
	for term, text := range got {
		if len(strings.Fields(text)) < 3 {
			t.Errorf("the page says nothing of %s", term)
		}
	}

	_, synopsis, _ := strings.Cut(page, "\n.Sh SYNOPSIS\n")
	synopsis, _, _ = strings.Cut(synopsis, "\n.Sh ")
	for _, name := range flagName.FindAllString(strings.Join(terms, " "), -1) {
		if !regexp.MustCompile(`[ |]` + regexp.QuoteMeta(name[1:]) + `\b`).MatchString(synopsis) {
			t.Errorf("the synopsis does not have %s", name)
		}
	}
	_, examples, _ := strings.Cut(usage, "\nexamples:\n")
	for line := range strings.Lines(examples) {
		command, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if !strings.Contains(page, "\n"+command+"\n") {
			t.Errorf("the page does not have the example %s", command)
		}
	}
}

// The page on operations shows the unit that packages install.
func TestUnit(t *testing.T) {
	b, err := os.ReadFile("packaging/net-watcher.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.ReplaceAll(string(b), "\r\n", "\n")
	if !strings.Contains(pages(t)["docs/operations.md"], "\n```\n"+unit+"```\n") {
		t.Error("docs/operations.md does not show packaging/net-watcher.service")
	}
}

// flagTerms finds the flags of the usage, with what they take, and flagName the names.
var (
	flagTerms = regexp.MustCompile(`(?m)^  (-[a-z-]+(=[a-z]+)?( [A-Z]+)?(, )?)+`)
	flagName  = regexp.MustCompile(`-[a-z-]+(=[a-z]+)?`)
)

// Every test that the pages name exists, and every file of scenarios.
func TestNamedTests(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir(".", func(name string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, "_test.go") {
			b, err := os.ReadFile(name)
			code.Write(b)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range pages(t) {
		for _, test := range regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z]\w*`).FindAllString(text, -1) {
			if !strings.Contains(code.String(), "func "+test+"(") {
				t.Errorf("%s names %s, which does not exist", name, test)
			}
		}
		for _, m := range regexp.MustCompile("TestScripts \\(`([^`]*)`\\)").FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("internal", "scan", "testdata", m[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
}
