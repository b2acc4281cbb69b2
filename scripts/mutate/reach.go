package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// goTest is a test of the package.
type goTest struct {
	name   string
	took   time.Duration // of processor time
	blocks []block       // that it runs
}

// block is a part of a file, from one place to another, as -coverprofile has it.
type block struct {
	file        string // without its directory
	first, last place
}

type place struct{ line, column int }

func (p place) before(q place) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

func isSlow(t goTest) bool { return t.took > quick }

// pattern returns the pattern for -test.run of some tests.
func pattern(tests []goTest, which func(goTest) bool) string {
	names := []string{"^$"}
	for _, t := range tests {
		if which(t) {
			names = append(names, "^"+t.name+"$")
		}
	}
	return strings.Join(names, "|")
}

// findTests runs each test by itself, and notes what it runs and how long it takes.
func (l *lab) findTests(ctx context.Context) error {
	if output, err := l.build(ctx, "cover.exe", nil, "-cover"); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	_, list, _ := l.run(ctx, "cover.exe", 0, l.timeout, "-test.list", "^(Test|Fuzz)")
	profile := filepath.Join(l.scratch, "profile")
	for name := range strings.FieldsSeq(string(list)) {
		if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") {
			continue // a warning about coverage
		}
		r, output, took := l.run(ctx, "cover.exe", 0, 10*l.timeout, "-test.run", "^"+name+"$", "-test.coverprofile", profile)
		if r != survives {
			return fmt.Errorf("without a mutant, %s: %s\n%s", name, r, output)
		}
		t := goTest{name: name, took: took}
		l.blocks = l.blocks[:0] // the same in each profile
		text, err := os.ReadFile(profile)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var b block
			var statements, count int
			file, rest, _ := strings.Cut(line, ":")
			n, _ := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.first.line, &b.first.column, &b.last.line, &b.last.column, &statements, &count)
			if b.file = path.Base(file); n == 6 {
				l.blocks = append(l.blocks, b)
			}
			if count > 0 {
				t.blocks = append(t.blocks, b)
			}
		}
		l.tests = append(l.tests, t)
	}
	slices.SortFunc(l.tests, func(a, b goTest) int { return int(a.took - b.took) })
	return nil
}

// reach returns the tests that a mutant can make a difference to: those that run what
// it replaces, or, if that is in no block (the condition of a case), its function.
func (l *lab) reach(m *mutant) []goTest {
	if !m.inBody {
		return l.tests
	}
	where := m.place
	if !slices.ContainsFunc(l.blocks, where.overlaps) {
		where = m.around
	}
	return slices.DeleteFunc(slices.Clone(l.tests), func(t goTest) bool {
		return !slices.ContainsFunc(t.blocks, where.overlaps)
	})
}

func (b block) overlaps(c block) bool {
	return b.file == c.file && !b.last.before(c.first) && !c.last.before(b.first)
}
