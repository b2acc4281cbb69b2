// Package pattern is the language of .gitignore: which paths below a target match.
//
//	pattern.go  why a pattern is refused
//	set.go      Set is a list of patterns, from flags and files
//	name.go     a pattern for one name
//	filter.go   Filter is what -only and -ignore choose; Folder is a directory as it sees it
//
// The command line fills Sets. The scan takes a Folder down the tree, so that each
// directory is decided once and what is in it costs little: a pattern for paths whose
// beginning has not matched is not looked at any more, and of the others few are compared
// with a name. A client asks Filter.Choose. Nothing here makes a system call.
//
// # The language
//
// It is that of gitignore(5) with core.ignoreCase off, byte for byte: git check-ignore is
// the oracle of the tests. What is not in its manual, and yet so:
//
//   - ? and [...] are one byte, not one character.
//   - In [...], "^" negates as "!" does; [:space:] has neither vertical tabs nor form feeds.
//   - a**/b, with nothing special before the "**", is a*/**/b or ab; a/b** is all that is
//     below what a/b* matches, too.
//
// One thing differs: "\/" is "/". (In git that is so but after "**".)
//
// # Limits
//
// A name costs as many steps as it has bytes, times those of a pattern, at most.
package pattern

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errEmpty  = errors.New("it is empty")
	errNoName = errors.New(`it has "//", "." or ".." where a name should be`)
)

// Check is Set.Check of both sets. What it returns begins with the flag.
func (f *Filter) Check(targets []string) (warnings []string, refused error) {
	if f == nil {
		return nil, nil
	}
	for _, flag := range []struct {
		name string
		set  *Set
	}{{"-only", &f.Only}, {"-ignore", &f.Ignore}} {
		more, err := flag.set.Check(targets)
		if err != nil && refused == nil {
			refused = fmt.Errorf("%s: %w", flag.name, err)
		}
		warnings = append(warnings, more...)
	}
	return warnings, refused
}

// Check returns what is wrong with patterns: those that match nothing, and those that
// most likely mean something else, each with the right spelling. refused is about the
// first such pattern that was added by itself, nil for none, and warnings are about those
// of files: what git accepts there is no reason not to start. The targets are the paths
// of the command line.
func (s *Set) Check(targets []string) (warnings []string, refused error) {
	for i, src := range s.sources {
		why := src.problem(targets)
		if why == "" && i == 0 && src.text[0] == '!' {
			why = "it takes back from the patterns before it, and there are none"
		}
		switch {
		case why == "":
		case src.from != "":
			warnings = append(warnings, src.from+": pattern "+quote(src.text)+": "+why)
		case refused == nil:
			refused = errors.New("pattern " + quote(src.text) + ": " + why)
		}
	}
	return warnings, refused
}

// problem returns what is wrong with the pattern, or "".
func (src *source) problem(targets []string) string {
	negation, pattern := "", src.text
	if rest, ok := strings.CutPrefix(pattern, "!"); ok {
		negation, pattern = "!", rest
	}
	instead := func(right string) string { return "write " + quote(negation+right) }
	if strings.Trim(pattern, "/") == "" {
		return "it matches nothing (patterns are for what is below a target)"
	}
	for _, target := range targets {
		if rest, ok := below(pattern, target); ok {
			why := "it begins with the target, and patterns begin below that: " + instead("/"+rest)
			if pattern[0] != '/' && filepath.VolumeName(pattern) == "" {
				why += ", or " + quote(negation+"/"+pattern) + " if the target has another " + pattern[:len(pattern)-len(rest)-1] + " in it"
			}
			return why
		}
	}
	switch rest, dot := strings.CutPrefix(pattern, "./"); {
	case dot && strings.Trim(rest, "/") != "":
		return "it matches nothing: " + instead("/"+strings.TrimLeft(rest, "/"))
	case runtime.GOOS == "windows" && src.from == "" && len(pattern) > 1 && pattern[0] == '\'' && pattern[len(pattern)-1] == '\'':
		return "cmd.exe leaves single quotes where they are: " + instead(pattern[1:len(pattern)-1])
	case filepath.VolumeName(pattern) != "":
		return `it matches nothing: patterns begin below a target, and have "/" between names`
	}
	if at := escapedLetter(pattern); at >= 0 {
		return `between names is "/", on every system: ` + instead(pattern[:at]+"/"+pattern[at+1:])
	}
	if src.err != nil {
		return "it matches nothing: " + src.err.Error()
	}
	if before, choices, after, ok := braces(pattern); ok {
		return "braces are no choice: write a pattern for each, " + quoted(negation+before, choices, after)
	}
	if parts := split(pattern, ','); len(parts) > 1 && src.from == "" {
		return `a comma does not separate patterns: write a flag for each, ` + quoted(negation, parts, "") + `, or "\," if it is part of the name`
	}
	return ""
}

// below returns what is left of a pattern, as far as it is a path, if that is below the
// target.
func below(pattern, target string) (string, bool) {
	names := []string{target, filepath.Clean(target)}
	if abs, err := filepath.Abs(target); err == nil {
		names = append(names, abs)
	}
	for _, name := range names {
		name = filepath.ToSlash(name)
		if name == "/" || name == "." || name == ".." {
			continue
		}
		for _, prefix := range []string{"", "./"} {
			rest, ok := strings.CutPrefix(pattern, prefix+strings.TrimSuffix(name, "/")+"/")
			if ok && strings.Trim(rest, "/") != "" {
				return strings.TrimLeft(rest, "/"), true
			}
		}
	}
	return "", false
}

// escapedLetter returns where in pattern a "\" stands before a letter or a digit, which
// needs none; -1 for nowhere.
func escapedLetter(pattern string) int {
	for i := 0; i+1 < len(pattern); i++ {
		if pattern[i] != '\\' {
			continue
		}
		if b := pattern[i+1]; classes["alnum"](b) {
			return i
		}
		i++
	}
	return -1
}

// braces returns the parts of a pattern that has a choice in braces, such as {a,b}.
func braces(pattern string) (before string, choices []string, after string, ok bool) {
	before, rest, opened := strings.Cut(pattern, "{")
	inner, after, closed := strings.Cut(rest, "}")
	choices = split(inner, ',')
	return before, choices, after, opened && closed && len(choices) > 1 && !strings.HasSuffix(before, `\`)
}

// split returns the parts between the separators in s, but for those after a "\" or
// within [...]. Empty parts are left out.
func split(s string, separator byte) []string {
	var parts []string
	start := 0
	end := func(i int) {
		if i > start {
			parts = append(parts, s[start:i])
		}
		start = i + 1
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case separator:
			end(i)
		case '\\':
			i++
		case '[':
			if n, err := new(byteSet).parse(s[i:]); err == nil {
				i += n - 1
			}
		}
	}
	end(len(s))
	return parts
}

// quote returns s in quotes, as it is to be written: with escapes only if it has what
// cannot be printed.
func quote(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.Quote(s)
	}
	return `"` + s + `"`
}

// quoted returns the patterns that begin with before, have one of the choices, and end
// with after.
func quoted(before string, choices []string, after string) string {
	var list []string
	for _, choice := range choices {
		list = append(list, quote(before+choice+after))
	}
	return strings.Join(list, " and ")
}
