package pattern

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// Set is a list of patterns. A later one wins over an earlier one. The zero value has
// none. It may be used from any goroutine once nothing is added any more.
type Set struct {
	sources []source // all that were added; the index of a rule is that of its source

	names    nameIndex // of rules that are for a name at any depth
	paths    []path    // of the others; a rule may have several
	floating bool      // a rule in names picks, and does not take back
}

// source is a pattern as it was added.
type source struct {
	text string
	from string // a file and its line, or "" if it was added by itself
	err  error  // why it matches nothing, or nil
}

// rule is what follows if its pattern matches.
type rule struct {
	index    int  // of two that match, the higher one counts
	negative bool // it takes back
	onlyDirs bool
}

// nameRule is a rule for a name.
type nameRule struct {
	rule
	name name
}

// path is a rule for a path: names with "/" between them.
type path struct {
	rule
	parts []part
}

// part is a name, or "**", which is for any number of directories, or at the end for
// all that is in one.
type part struct {
	deep bool
	name name // if not deep
}

// Empty reports whether s has no patterns.
func (s *Set) Empty() bool { return len(s.sources) == 0 }

// Add adds one pattern. Neither comments nor trailing blanks are special in it. Check
// has what is wrong with it.
func (s *Set) Add(pattern string) { s.add(pattern, "") }

// AddFile adds the patterns of a file such as .gitignore, one a line, of which name is the
// name. The error is that of reading.
func (s *Set) AddFile(r io.Reader, name string) error {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		text, _ := strings.CutSuffix(line, "\n")
		text = trimBlanks(strings.TrimSuffix(text, "\r"))
		if text != "" && text[0] != '#' {
			s.add(text, name+":"+strconv.Itoa(n))
		}
		if err == io.EOF {
			return nil
		}
	}
}

// trimBlanks removes blanks at the end of a line, unless there is a "\" before them.
func trimBlanks(line string) string {
	end := 0 // of what stays
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			continue
		case '\\':
			i++
		}
		end = min(i+1, len(line))
	}
	return line[:end]
}

// add adds a pattern, which is from a line of a file if that is not empty.
func (s *Set) add(text, from string) {
	r := rule{index: len(s.sources)}
	pattern, negative := strings.CutPrefix(text, "!")
	r.negative = negative
	pattern, r.onlyDirs = strings.CutSuffix(pattern, "/")
	err := s.compile(pattern, r)
	s.sources = append(s.sources, source{text, from, err})
}

// compile adds the rule r for the pattern. If the error is not nil, that would match
// nothing.
func (s *Set) compile(pattern string, r rule) error {
	if pattern == "" {
		return errEmpty
	}
	// As in git, a "/" within [...] counts, too.
	if !strings.Contains(pattern, "/") {
		n, err := compileName(pattern)
		switch {
		case err != nil:
			return err
		case n.isNone():
			return errNoName
		}
		s.names.add(nameRule{r, n})
		s.floating = s.floating || !r.negative
		return nil
	}
	for _, parts := range splits(strings.TrimPrefix(pattern, "/")) {
		p := path{rule: r}
		for _, text := range parts {
			deep := isDeep(text)
			if deep && len(p.parts) > 0 && p.parts[len(p.parts)-1].deep {
				continue // the same twice
			}
			n, err := compileName(text)
			switch {
			case err != nil:
				return err
			case n.isNone():
				return errNoName
			}
			p.parts = append(p.parts, part{deep, n})
		}
		s.paths = append(s.paths, p)
	}
	return nil
}

// isDeep reports whether text, between two "/", is for any number of directories.
func isDeep(text string) bool { return len(text) > 1 && strings.Trim(text, "*") == "" }

// splits returns the parts of a pattern for paths, without the first "/". It may be one
// of several that match the same: git takes "**" for any number of directories at the
// beginning of a pattern, and is at its beginning after the characters that are not
// special. So a**/b has two, ab and a*/**/b.
func splits(pattern string) [][]string {
	literal := strings.IndexAny(pattern, `*?[\`)
	if literal <= 0 || pattern[literal-1] == '/' || !strings.HasPrefix(pattern[literal:], "**") {
		return [][]string{splitPath(pattern)}
	}
	before, after := pattern[:literal], strings.TrimLeft(pattern[literal:], "*")
	switch {
	case after == "":
		return [][]string{splitPath(before + "*"), splitPath(before + "*/**")}
	case after[0] == '/':
		return append(splits(before+after[1:]), splitPath(before+"*/**"+after))
	}
	return [][]string{splitPath(pattern)}
}

// splitPath returns what is between the "/" of a pattern, but for those within [...].
func splitPath(pattern string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '/':
			parts = append(parts, pattern[start:i])
			start = i + 1
		case '[':
			if n, err := new(byteSet).parse(pattern[i:]); err == nil {
				i += n - 1
			}
		case '\\':
			if i++; i < len(pattern) && pattern[i] == '/' { // it is that all the same
				parts = append(parts, pattern[start:i-1])
				start = i + 1
			}
		}
	}
	return append(parts, pattern[start:])
}

// nameIndex has rules for names, so that few are compared with each name. The rules in
// each list are those of the highest index first.
type nameIndex struct {
	exact   map[string][]nameRule
	byLast  [256][]nameRule // those with a suffix, by its last byte
	byFirst [256][]nameRule // of the others, those with a prefix
	rest    []nameRule
}

func (x *nameIndex) add(r nameRule) {
	list := &x.rest
	switch n := &r.name; {
	case n.exact:
		if x.exact == nil {
			x.exact = make(map[string][]nameRule)
		}
		x.exact[n.prefix] = append([]nameRule{r}, x.exact[n.prefix]...)
		return
	case n.suffix != "":
		list = &x.byLast[n.suffix[len(n.suffix)-1]]
	case n.prefix != "":
		list = &x.byFirst[n.prefix[0]]
	}
	*list = append([]nameRule{r}, *list...)
}

// find returns the rule of the highest index that matches the name base, which has these
// bytes (bytesOf), or best if that one's is higher.
func (x *nameIndex) find(base string, bytes uint64, isDir bool, best rule) rule {
	if base == "" { // in a path from a server of another kind
		return best
	}
	if len(x.exact) > 0 {
		best = findIn(x.exact[base], base, bytes, isDir, best)
	}
	best = findIn(x.byLast[base[len(base)-1]], base, bytes, isDir, best)
	best = findIn(x.byFirst[base[0]], base, bytes, isDir, best)
	return findIn(x.rest, base, bytes, isDir, best)
}

// findIn is find in one list.
func findIn(list []nameRule, base string, bytes uint64, isDir bool, best rule) rule {
	for i := range list {
		r := &list[i]
		if r.index < best.index {
			break
		}
		if r.name.bytes&^bytes == 0 && (isDir || !r.onlyDirs) && r.name.matches(base) {
			return r.rule
		}
	}
	return best
}
