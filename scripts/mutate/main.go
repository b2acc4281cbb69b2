// Command mutate tests the tests of a package: it makes one small fault after
// another in the package (mutants.go has them), and runs its tests, which should
// fail. It prints the mutants that no test kills, the survivors.
//
//	go run ./scripts/mutate -package internal/feed
//
// It writes nothing in the work tree (see -overlay in go help build). A survivor that
// no test should kill is named in named.txt, with the reason. The exit status is 1
// if others survive, or if one that is named does not.
//
// Each mutant takes a build, about a second, and then the package's tests, the quick
// ones first, until one fails. In the background: GOMAXPROCS=1 nice go run ...
package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/build"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed named.txt
var named string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], named, os.Stdout); err != nil && err != flag.ErrHelp {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// parseNamed returns the named survivors and the reason for each: a paragraph is
// some of them, each as mutant.String has it, and then a reason, after a tab. Lines
// that begin with # are comments.
func parseNamed(text string) map[string]string {
	reasons := make(map[string]string)
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		mutants, reason, _ := strings.Cut(paragraph, "\n\t")
		for m := range strings.SplitSeq(mutants, "\n") {
			if m != "" && m[0] != '#' {
				reasons[m] = strings.TrimSpace(reason)
			}
		}
	}
	return reasons
}

func run(ctx context.Context, args []string, named string, out io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	dir := flags.String("package", "", "directory of the package")
	n := flags.Int("n", 0, "take only so many mutants, drawn by chance; 0 takes all")
	seed := flags.Uint64("seed", 1, "of the chance")
	match := flags.String("match", "", "take only mutants whose lines have this text")
	timeout := flags.Duration("timeout", 30*time.Second, "a mutant is killed if the tests take longer")
	slowest := flags.Duration("max", time.Hour, "leave out tests that take longer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" || flags.NArg() > 0 {
		return errors.New("usage: mutate -package DIRECTORY [flags]")
	}
	p, err := build.ImportDir(*dir, 0)
	if err != nil {
		return err
	}
	var all []mutant
	for _, name := range p.GoFiles {
		found, err := mutants(filepath.ToSlash(filepath.Join(*dir, name)))
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	l := lab{dir: *dir, scratch: scratch, timeout: *timeout, max: *slowest}
	if err := l.start(ctx); err != nil {
		return err
	}

	reasons := parseNamed(named)
	missing := maps.Clone(reasons) // those that do not survive
	maps.DeleteFunc(missing, func(m, _ string) bool {
		file, _, _ := strings.Cut(m, ": ")
		return *n > 0 || *match != "" || filepath.Dir(file) != filepath.Clean(*dir)
	})
	all = slices.DeleteFunc(all, func(m mutant) bool { return !strings.Contains(m.String(), *match) })
	if *n > 0 {
		rand.New(rand.NewPCG(*seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:min(*n, len(all))]
	}
	counts := make(map[result]int)
	unnamed := 0
	for _, m := range all {
		r := l.try(ctx, &m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		counts[r]++
		if r == survives {
			delete(missing, m.String())
		}
		if _, ok := reasons[m.String()]; r == survives && !ok {
			unnamed++
			fmt.Fprintf(out, "line %d of %s\n", m.line, &m)
		}
	}
	for m := range missing {
		fmt.Fprintf(out, "to be removed from named.txt, because it does not survive: %s\n", m)
	}
	fmt.Fprintf(out, "%s: %d mutants; %d killed, %d by the time-out; %d survive and are named, %d others; %d more do not build\n",
		*dir, len(all)-counts[doesNotBuild], counts[killed], counts[timedOut], counts[survives]-unnamed, unnamed, counts[doesNotBuild])
	if unnamed+len(missing) > 0 {
		return errors.New("kill the survivors with a test, or name them in named.txt")
	}
	return nil
}

// result is what has become of a mutant.
type result string

const (
	killed       result = "killed"
	timedOut     result = "timed out"
	survives     result = "survives"
	doesNotBuild result = "does not build"
)

// lab runs the tests of a package with mutants.
type lab struct {
	dir, scratch string
	timeout      time.Duration
	max          time.Duration // tests that take longer are left out

	slow     []string // patterns of the tests that take longer than quick, the slowest last
	notQuick string   // one pattern of those
}

// quick is how long a test may take to be run in one go with others.
const quick = 200 * time.Millisecond

// passed matches what -test.v prints about a test of the top level.
var passed = regexp.MustCompile(`(?m)^--- PASS: (\w+) \((\d+\.\d+s)\)`)

// start runs the tests without a mutant, and finds out which ones are slow.
func (l *lab) start(ctx context.Context) error {
	if output, err := l.build(ctx, nil); err != nil {
		return fmt.Errorf("tests of %s: %v\n%s", l.dir, err, output)
	}
	r, output := l.run(ctx, "-test.v")
	if r != survives {
		return fmt.Errorf("without a mutant, the tests of %s: %s\n%s", l.dir, r, output)
	}
	took := make(map[string]time.Duration)
	for _, m := range passed.FindAllStringSubmatch(string(output), -1) {
		if d, err := time.ParseDuration(m[2]); err == nil && d > quick {
			took["^"+m[1]+"$"] = d
		}
	}
	l.slow = slices.SortedFunc(maps.Keys(took), func(a, b string) int { return cmp.Compare(took[a], took[b]) })
	l.notQuick = strings.Join(append(l.slow, "^$"), "|")
	l.slow = slices.DeleteFunc(l.slow, func(t string) bool { return took[t] > l.max })
	return nil
}

// try returns what becomes of a mutant. Most are killed by a test that is quick.
func (l *lab) try(ctx context.Context, m *mutant) result {
	if _, err := l.build(ctx, m); err != nil {
		return doesNotBuild
	}
	r, _ := l.run(ctx, "-test.skip", l.notQuick)
	for i := 0; r == survives && i < len(l.slow); i++ {
		r, _ = l.run(ctx, "-test.run", l.slow[i])
	}
	return r
}

func (l *lab) binary() string { return filepath.Join(l.scratch, "test.exe") }

// build builds the tests with a mutant, or with none.
func (l *lab) build(ctx context.Context, m *mutant) (output []byte, err error) {
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", l.binary()}
	if m != nil {
		faulty, overlay := filepath.Join(l.scratch, "faulty.go"), filepath.Join(l.scratch, "overlay.json")
		path, err := filepath.Abs(m.file)
		text, _ := json.Marshal(map[string]any{"Replace": map[string]string{path: faulty}})
		if err := cmp.Or(err, os.WriteFile(faulty, m.source(), 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
			return nil, err
		}
		args = append(args, "-overlay", overlay)
	}
	goTest := exec.CommandContext(ctx, "go", args...)
	goTest.Dir = l.dir
	return goTest.CombinedOutput()
}

// run runs some of the tests that were built.
func (l *lab) run(ctx context.Context, args ...string) (result, []byte) {
	ctx, cancel := context.WithTimeout(ctx, 2*l.timeout)
	defer cancel()
	tests := exec.CommandContext(ctx, l.binary(), append(args, "-test.failfast", "-test.timeout", l.timeout.String())...)
	tests.Dir, tests.WaitDelay = l.dir, time.Second
	output, err := tests.CombinedOutput()
	switch {
	case ctx.Err() != nil || strings.Contains(string(output), "panic: test timed out after"):
		return timedOut, output
	case err != nil:
		return killed, output
	}
	return survives, output
}
