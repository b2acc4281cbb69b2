package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// name is a compiled pattern for one name, which has no "/" in it.
type name struct {
	// A name must begin with prefix and end with suffix, which do not overlap in it. If
	// exact, prefix is all of it.
	prefix, suffix string
	exact          bool

	// What is between these must have chunks, in this order, with anything before,
	// between and after them; unless the first is to be at the start, or the last at
	// the end.
	chunks         []chunk
	atStart, atEnd bool

	// bytes has those that a name must have, at any place: see bytesOf.
	bytes uint64
}

// chunk is a part of a pattern without "*". Each byte of a name must be in the set at its
// place.
type chunk struct {
	sets    []*byteSet
	literal string // what it is if each of the sets has one byte, or ""
}

// byteSet is a set of bytes.
type byteSet [256 / 64]uint64

func (s *byteSet) add(b byte)      { s[b/64] |= 1 << (b % 64) }
func (s *byteSet) has(b byte) bool { return s[b/64]&(1<<(b%64)) != 0 }

// only returns the byte of s if it has just one.
func (s *byteSet) only() (byte, bool) {
	n, found := 0, 0
	for b := range 256 {
		if s.has(byte(b)) {
			n++
			found = b
		}
	}
	return byte(found), n == 1
}

// bytesOf returns which bytes s has: one bit for those that are the same modulo 64. It is
// compared before anything else is.
func bytesOf(s string) (bits uint64) {
	for i := range len(s) {
		bits |= 1 << (s[i] % 64)
	}
	return bits
}

// isNone reports whether n is what no entry of a directory has as its name.
func (n *name) isNone() bool {
	return n.exact && (n.prefix == "" || n.prefix == "." || n.prefix == "..")
}

// matches reports whether base, which is not empty, matches n.
func (n *name) matches(base string) bool {
	if n.exact {
		return base == n.prefix
	}
	if len(base) < len(n.prefix)+len(n.suffix) || !strings.HasSuffix(base, n.suffix) || !strings.HasPrefix(base, n.prefix) {
		return false
	}
	return n.chunks == nil || n.matchChunks(base[len(n.prefix):len(base)-len(n.suffix)])
}

// matchChunks reports whether s, which is what prefix and suffix leave, matches. Each
// chunk is taken where it is first: a later place would leave less for the next one.
func (n *name) matchChunks(s string) bool {
	chunks := n.chunks
	if n.atStart {
		if !chunks[0].begins(s) {
			return false
		}
		s, chunks = s[len(chunks[0].sets):], chunks[1:]
		if len(chunks) == 0 {
			return s == "" || !n.atEnd
		}
	}
	if n.atEnd {
		last := &chunks[len(chunks)-1]
		at := len(s) - len(last.sets)
		if at < 0 || !last.begins(s[at:]) {
			return false
		}
		s, chunks = s[:at], chunks[:len(chunks)-1]
	}
	for i := range chunks {
		at := chunks[i].index(s)
		if at < 0 {
			return false
		}
		s = s[at+len(chunks[i].sets):]
	}
	return true
}

// begins reports whether s begins with c.
func (c *chunk) begins(s string) bool {
	if len(s) < len(c.sets) {
		return false
	}
	for i, set := range c.sets {
		if !set.has(s[i]) {
			return false
		}
	}
	return true
}

// index returns where c is first in s, or -1.
func (c *chunk) index(s string) int {
	if c.literal != "" {
		return strings.Index(s, c.literal)
	}
	for i := range len(s) - len(c.sets) + 1 {
		if c.begins(s[i:]) {
			return i
		}
	}
	return -1
}

// compileName compiles a pattern for one name. The error says why it matches none.
func compileName(pattern string) (name, error) {
	chunks := []chunk{{}} // there is a "*" before each but the first
	for rest := pattern; rest != ""; {
		var set byteSet
		length := 1 // of what is read
		switch c := rest[0]; c {
		case '*':
			chunks = append(chunks, chunk{})
			rest = rest[1:]
			continue
		case '?':
			set = byteSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		case '[':
			var err error
			if length, err = set.parse(rest); err != nil {
				return name{}, err
			}
		case '\\':
			if length = 2; len(rest) == 1 {
				return name{}, errors.New(`it ends in \ (write \\ for that character)`)
			}
			set.add(rest[1])
		default:
			set.add(c)
		}
		last := &chunks[len(chunks)-1]
		last.sets = append(last.sets, &set)
		rest = rest[length:]
	}
	first, last := &chunks[0], &chunks[len(chunks)-1]
	var n name
	for _, c := range chunks {
		for _, set := range c.sets {
			if b, one := set.only(); one {
				n.bytes |= bytesOf(string([]byte{b}))
			}
		}
	}
	n.prefix, first.sets = takePrefix(first.sets)
	if first == last && len(first.sets) == 0 {
		n.exact = true
		return n, nil
	}
	n.suffix, last.sets = takeSuffix(last.sets)
	n.atStart, n.atEnd = len(first.sets) > 0, len(last.sets) > 0
	for _, c := range chunks {
		if len(c.sets) == 0 {
			continue
		}
		if literal, rest := takePrefix(c.sets); len(rest) == 0 {
			c.literal = literal
		}
		n.chunks = append(n.chunks, c)
	}
	return n, nil
}

// takePrefix takes the sets of one byte from the beginning. It returns these bytes, and
// the rest.
func takePrefix(sets []*byteSet) (string, []*byteSet) {
	var prefix []byte
	for len(sets) > 0 {
		b, one := sets[0].only()
		if !one {
			break
		}
		prefix, sets = append(prefix, b), sets[1:]
	}
	return string(prefix), sets
}

// takeSuffix is takePrefix from the end.
func takeSuffix(sets []*byteSet) (string, []*byteSet) {
	n := len(sets)
	for n > 0 {
		if _, one := sets[n-1].only(); !one {
			break
		}
		n--
	}
	suffix, _ := takePrefix(sets[n:])
	return suffix, sets[:n]
}

// parse makes s the set that the text begins with, such as [a-z], and returns how long
// that is.
func (s *byteSet) parse(text string) (int, error) {
	unclosed := errors.New(`it has a [ without ] (write \[ for that character)`)
	i := 1
	negated := i < len(text) && (text[i] == '!' || text[i] == '^')
	if negated {
		i++
	}
	previous := -1 // the byte that may be the lower end of a range
	for first := true; ; first = false {
		if i >= len(text) {
			return 0, unclosed
		}
		c := text[i]
		switch {
		case c == ']' && !first:
			if negated {
				for w := range s {
					s[w] = ^s[w]
				}
			}
			return i + 1, nil
		case c == '-' && previous >= 0 && i+1 < len(text) && text[i+1] != ']':
			i++
			if text[i] == '\\' {
				i++
			}
			if i >= len(text) {
				return 0, unclosed
			}
			for b := previous; b <= int(text[i]); b++ {
				s.add(byte(b))
			}
			previous = -1
			i++
			continue
		case c == '[' && i+1 < len(text) && text[i+1] == ':':
			// Up to the next "]". Without ":" before that, this is a "[" like others.
			class, _, closed := strings.Cut(text[i+2:], "]")
			if !closed {
				return 0, unclosed
			}
			if class, ok := strings.CutSuffix(class, ":"); ok {
				in, known := classes[class]
				if !known {
					return 0, fmt.Errorf("there is no class [:%s:]", class)
				}
				for b := range byte(0x80) {
					if in(b) {
						s.add(b)
					}
				}
				previous = -1
				i += len("[:") + len(class) + len(":]")
				continue
			}
		case c == '\\':
			i++
			if i >= len(text) {
				return 0, unclosed
			}
		}
		s.add(text[i])
		previous = int(text[i])
		i++
	}
}

// classes has what may stand between [: and :], of ASCII only. In git, vertical tabs and
// form feeds are no blanks.
var classes = map[string]func(b byte) bool{
	"alnum":  func(b byte) bool { return isDigit(b) || isLower(b) || isUpper(b) },
	"alpha":  func(b byte) bool { return isLower(b) || isUpper(b) },
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"digit":  isDigit,
	"graph":  func(b byte) bool { return b > ' ' && b < 0x7f },
	"lower":  isLower,
	"print":  func(b byte) bool { return b >= ' ' && b < 0x7f },
	"punct":  func(b byte) bool { return b > ' ' && b < 0x7f && !isDigit(b) && !isLower(b) && !isUpper(b) },
	"space":  func(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' },
	"upper":  isUpper,
	"xdigit": func(b byte) bool { return isDigit(b) || 'a' <= b|0x20 && b|0x20 <= 'f' },
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
func isLower(b byte) bool { return 'a' <= b && b <= 'z' }
func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }
