package pattern

import (
	"strings"
	"testing"
)

// Any lines match as the reference says, and nothing in them is too much.
func FuzzSet(f *testing.F) {
	f.Add("*.go\n!a.go\n", "a/b.go", false)
	f.Add("/a/**/b\na**/b/\n", "a/x/b", true)
	f.Add("\ufeff[!a]\\*[[:alpha:]-]?\r\n#\n\\#\n a \\ \n", "b*-x", false)
	f.Fuzz(func(t *testing.T, lines, path string, isDir bool) {
		(&Filter{Ignore: setOf(lines), Only: setOf(lines)}).Choose(path, isDir) // whatever it is
		for base := range strings.SplitSeq(path, "/") {
			if base == "" || base == "." || base == ".." || strings.Contains(base, "\x00") {
				return // no such path
			}
		}
		if len(lines) > 200 || len(path) > 30 || strings.Count(lines, "*") > 12 || strings.Contains(lines, `\/`) {
			return // the reference takes too long, or it is what is not as in git
		}
		var filter Filter
		if err := filter.Ignore.AddFile(strings.NewReader(lines), "x"); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, src := range filter.Ignore.sources {
			texts = append(texts, src.text)
		}
		want := slowIgnored(texts, path, isDir)
		if got := filter.Choose(path, isDir) == LeftOut; got != want {
			t.Errorf("%q: %q (directory: %v) is ignored: %v, and the reference says %v", texts, path, isDir, got, want)
		}
		filter.Ignore.Check([]string{"a", "/x"})
		// -only chooses what -ignore would leave out.
		only := Filter{Only: filter.Ignore}
		if got := only.Choose(path, isDir) == Chosen; got != (want || len(texts) == 0) {
			t.Errorf("%q: %q (directory: %v) is chosen: %v", texts, path, isDir, got)
		}
	})
}
