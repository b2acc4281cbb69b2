package pattern

import "strings"

// slowIgnored is the language once more, as short as can be and without regard to time:
// whether git ignores path with these lines of a .gitignore.
func slowIgnored(lines []string, path string, isDir bool) bool {
	for i := range path {
		if path[i] == '/' && slowLast(lines, path[:i], true) {
			return true
		}
	}
	return slowLast(lines, path, isDir)
}

func slowLast(lines []string, path string, isDir bool) bool {
	ignored := false
	for _, line := range lines {
		pattern, negative := strings.CutPrefix(line, "!")
		pattern, onlyDirs := strings.CutSuffix(pattern, "/")
		if (isDir || !onlyDirs) && pattern != "" && slowMatch(pattern, path) {
			ignored = !negative
		}
	}
	return ignored
}

func slowMatch(pattern, path string) bool {
	if !strings.Contains(pattern, "/") {
		return slowGlob(pattern, path[strings.LastIndex(path, "/")+1:], false)
	}
	// What is not special at the beginning of a pattern is no part of it for what is said
	// of "**".
	pattern = strings.TrimPrefix(pattern, "/")
	n := strings.IndexAny(pattern+"*", `*?[\`)
	return strings.HasPrefix(path, pattern[:n]) && slowGlob(pattern[n:], path[n:], true)
}

// slowGlob matches s. begins says that the pattern is at its beginning, or after a "/".
func slowGlob(pattern, s string, begins bool) bool {
	if pattern == "" {
		return s == ""
	}
	stars := len(pattern) - len(strings.TrimLeft(pattern, "*"))
	if stars > 0 {
		rest := pattern[stars:]
		deep := begins && stars > 1 && (rest == "" || rest[0] == '/')
		if deep && rest != "" && slowGlob(rest[1:], s, true) {
			return true
		}
		for i := 0; i <= len(s); i++ {
			if slowGlob(rest, s[i:], false) {
				return true
			}
			if i < len(s) && s[i] == '/' && !deep {
				return false
			}
		}
		return false
	}
	if pattern[0] == '[' {
		n, negated, has := slowClass(pattern)
		return n > 0 && s != "" && s[0] != '/' && has(s[0]) != negated && slowGlob(pattern[n:], s[1:], false)
	}
	literal := pattern[0] == '\\'
	if literal {
		pattern = pattern[1:]
	}
	if pattern == "" || s == "" || pattern[0] != s[0] && (literal || pattern[0] != '?' || s[0] == '/') {
		return false
	}
	return slowGlob(pattern[1:], s[1:], s[0] == '/')
}

// slowClass returns how long the [...] at the beginning of pattern is, 0 if it has no end
// or no sense; whether it is negated; and what it has.
func slowClass(pattern string) (n int, negated bool, has func(byte) bool) {
	i := 1
	next := func() (c int, escaped bool) {
		if i < len(pattern) && pattern[i] == '\\' {
			escaped = true
			i++
		}
		if i >= len(pattern) {
			return -1, escaped
		}
		i++
		return int(pattern[i-1]), escaped
	}
	if len(pattern) > 1 && (pattern[1] == '!' || pattern[1] == '^') {
		negated = true
		i++
	}
	var in [256]bool
	from := -1
	for first := true; ; first = false {
		c, escaped := next()
		switch {
		case c < 0:
			return 0, false, nil
		case c == ']' && !escaped && !first:
			return i, negated, func(b byte) bool { return in[b] }
		case c == '-' && !escaped && from >= 0 && i < len(pattern) && pattern[i] != ']':
			to, _ := next()
			if to < 0 {
				return 0, false, nil
			}
			for b := from; b <= to; b++ {
				in[b] = true
			}
			from = -1
			continue
		case c == '[' && !escaped && strings.HasPrefix(pattern[i:], ":"):
			length := strings.Index(pattern[i+1:], "]")
			if length < 0 {
				return 0, false, nil
			}
			if class := pattern[i+1 : i+1+length]; strings.HasSuffix(class, ":") {
				members, ok := map[string]string{
					"alnum": digits + lowers + uppers, "alpha": lowers + uppers, "blank": " \t", "cntrl": controls,
					"digit": digits, "graph": digits + lowers + uppers + puncts, "lower": lowers,
					"print": digits + lowers + uppers + puncts + " ", "punct": puncts, "space": " \t\r\n",
					"upper": uppers, "xdigit": digits + "abcdefABCDEF",
				}[class[:len(class)-1]]
				if !ok {
					return 0, false, nil
				}
				for _, b := range []byte(members) {
					in[b] = true
				}
				i += 1 + length + 1
				from = -1
				continue
			}
		}
		in[c] = true
		from = c
	}
}

const (
	digits   = "0123456789"
	lowers   = "abcdefghijklmnopqrstuvwxyz"
	uppers   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	puncts   = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	controls = "\x00\x01\x02\x03\x04\x05\x06\a\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"
)
