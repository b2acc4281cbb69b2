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
// All mutants are built at once (variants.go says how), but for those outside of
// functions. For each, the tests run that reach it (reach.go finds them), the quick
// ones first, until one fails. In the background: GOMAXPROCS=1 nice go run ...
//
// A mutant may do harm: one of package follow sends SIGKILL to all processes of the
// user. On Linux, with -apart, there are no others for it but those of its tests.
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
	"strconv"
	"strings"
	"sync"
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
	jobs := flags.Int("j", 1, "how many mutants to run at a time")
	timeout := flags.Duration("timeout", 30*time.Second, "a mutant is killed if the tests take longer; a slow test has ten times its own time besides")
	slowest := flags.Duration("max", time.Hour, "leave out tests that take longer, in processor time")
	apart := flags.Bool("apart", false, "run the tests in a PID namespace of their own each time, with unshare(1)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("usage: mutate -package DIRECTORY [flags] [FILE...]")
	}
	p, err := build.ImportDir(*dir, 0)
	if err != nil {
		return err
	}
	var all []mutant
	files := p.GoFiles
	if flags.NArg() > 0 {
		files = flags.Args()
	}
	for _, name := range files {
		found, err := mutants(filepath.ToSlash(filepath.Join(*dir, name)))
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	reasons := parseNamed(named)
	missing := maps.Clone(reasons) // those that do not survive
	maps.DeleteFunc(missing, func(m, _ string) bool {
		file, _, _ := strings.Cut(m, ": ")
		return *n > 0 || *match != "" || flags.NArg() > 0 || filepath.Dir(file) != filepath.Clean(*dir)
	})
	all = slices.DeleteFunc(all, func(m mutant) bool { return !strings.Contains(m.String(), *match) })
	if *n > 0 {
		rand.New(rand.NewPCG(*seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:min(*n, len(all))]
	}
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	l := lab{dir: *dir, scratch: scratch, timeout: *timeout, max: *slowest, apart: *apart}
	if err := l.start(ctx, p.Name, all); err != nil {
		return err
	}
	var mu sync.Mutex // guards the next two, missing and out
	counts := make(map[result]int)
	unnamed := 0
	var wg sync.WaitGroup
	next := make(chan *mutant)
	for i := range *jobs {
		wg.Go(func() {
			for m := range next {
				r := l.try(ctx, m, fmt.Sprintf("mutant%d.exe", i))
				mu.Lock()
				counts[r]++
				if r == survives {
					delete(missing, m.String())
				}
				if _, ok := reasons[m.String()]; r == survives && !ok && ctx.Err() == nil {
					unnamed++
					fmt.Fprintf(out, "line %d of %s\n", m.line, m)
				}
				mu.Unlock()
			}
		})
	}
	for i := range all {
		next <- &all[i]
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
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
	apart        bool          // the tests see no processes but their own

	variants map[*mutant]*variant // of those mutants that build in one
	broken   map[*mutant]bool     // in a variant that does not
	tests    []goTest             // the quickest first
	blocks   []block              // of all files
}

// quick is how long a test may take, in processor time, to be run in one go with others.
const quick = 200 * time.Millisecond

// compilerError matches the place of an error.
var compilerError = regexp.MustCompile(`(?m)^(?:\S*[/\\])?(\w+\.go):(\d+):`)

// start builds the variants of all mutants, and runs the tests without any.
func (l *lab) start(ctx context.Context, packageName string, all []mutant) error {
	if err := l.findTests(ctx); err != nil {
		return fmt.Errorf("tests of %s: %w", l.dir, err)
	}
	l.variants, l.broken = make(map[*mutant]*variant), make(map[*mutant]bool)
	for i := range all {
		if m := &all[i]; m.inBody {
			l.variants[m] = &variant{mutant: m, number: i + 1}
		}
	}
	for again := true; again; {
		var err error
		if again, err = l.buildVariants(ctx, packageName); err != nil {
			return fmt.Errorf("tests of %s: %w", l.dir, err)
		}
	}
	if r, output, _ := l.run(ctx, "variants.exe", 0, l.timeout, "-test.skip", pattern(l.tests, isSlow)); r != survives {
		return fmt.Errorf("without a mutant, the tests of %s: %s\n%s", l.dir, r, output)
	}
	return nil
}

// buildVariants builds the tests with all variants. It leaves out those that do not
// build; then another try is needed.
func (l *lab) buildVariants(ctx context.Context, packageName string) (again bool, err error) {
	files := make(map[string][]byte)
	byFile := make(map[string][]*variant) // in order
	for _, v := range slices.SortedFunc(maps.Values(l.variants), func(a, b *variant) int { return a.number - b.number }) {
		byFile[v.mutant.file] = append(byFile[v.mutant.file], v)
	}
	for file, variants := range byFile {
		if files[file], err = addVariants(variants[0].mutant.src, variants); err != nil {
			return false, err
		}
	}
	files[filepath.Join(l.dir, "mutant_chooser.go")] = fmt.Appendf(nil, chooser, packageName)
	output, err := l.build(ctx, "variants.exe", files)
	if err == nil {
		return false, nil
	}
	for _, place := range compilerError.FindAllStringSubmatch(string(output), -1) {
		line, _ := strconv.Atoi(place[2])
		for m, v := range l.variants {
			if filepath.Base(m.file) == place[1] && v.first <= line && line <= v.last {
				delete(l.variants, m)
				l.broken[m], again = true, true
			}
		}
	}
	if !again {
		return false, fmt.Errorf("%w\n%s", err, output)
	}
	return true, nil
}

// try returns what becomes of a mutant. Most are killed by a test that is quick. If it
// needs a build of its own, binary is the name for that. Several goroutines may call it.
func (l *lab) try(ctx context.Context, m *mutant, binary string) result {
	number := 0
	if v := l.variants[m]; v != nil {
		binary, number = "variants.exe", v.number
	} else {
		if l.broken[m] {
			return doesNotBuild
		}
		if _, err := l.build(ctx, binary, map[string][]byte{m.file: m.source()}); err != nil {
			return doesNotBuild
		}
	}
	tests := slices.DeleteFunc(slices.Clone(l.reach(m)), func(t goTest) bool { return t.took > l.max })
	if len(tests) == 0 {
		return survives
	}
	r, _, _ := l.run(ctx, binary, number, l.timeout, "-test.run", pattern(tests, func(t goTest) bool { return !isSlow(t) }))
	for i := 0; r == survives && i < len(tests); i++ {
		if isSlow(tests[i]) {
			r, _, _ = l.run(ctx, binary, number, l.timeout+10*tests[i].took, "-test.run", pattern(tests[i:i+1], isSlow))
		}
	}
	return r
}

// build builds the tests, with other texts in these files.
func (l *lab) build(ctx context.Context, binary string, files map[string][]byte, flags ...string) (output []byte, err error) {
	replace := make(map[string]string)
	others := filepath.Join(l.scratch, binary+".overlay")
	if err := os.MkdirAll(others, 0o700); err != nil {
		return nil, err
	}
	for file, text := range files {
		path, err := filepath.Abs(file)
		other := filepath.Join(others, filepath.Base(file))
		if err := cmp.Or(err, os.WriteFile(other, text, 0o600)); err != nil {
			return nil, err
		}
		replace[path] = other
	}
	overlay := filepath.Join(l.scratch, binary+".json")
	text, _ := json.Marshal(map[string]any{"Replace": replace})
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return nil, err
	}
	// -e has the compiler print all errors.
	flags = append([]string{"test", "-c", "-vet=off", "-gcflags=-e", "-ldflags=-s -w", "-overlay", overlay, "-o", filepath.Join(l.scratch, binary)}, flags...)
	command := exec.CommandContext(ctx, "go", flags...)
	command.Dir = l.dir
	return command.CombinedOutput()
}

// run runs some of the tests that were built, with a variant, or with none if number
// is 0. It returns their output and the processor time.
func (l *lab) run(ctx context.Context, binary string, number int, timeout time.Duration, args ...string) (r result, output []byte, took time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	args = append(append([]string{filepath.Join(l.scratch, binary)}, args...), "-test.failfast", "-test.timeout", timeout.String())
	if l.apart {
		// Signals for a process group pass the border of a namespace: hence setsid. The
		// tests are not the first process there, for which signals are different.
		args = append(strings.Fields("unshare -rpf --mount-proc --kill-child setsid sh -c"), append([]string{`"$0" "$@"; exit $?`}, args...)...)
	}
	tests := exec.CommandContext(ctx, args[0], args[1:]...)
	tests.Dir, tests.WaitDelay = l.dir, time.Second
	tests.Env = append(os.Environ(), fmt.Sprint("MUTANT=", number))
	output, err := tests.CombinedOutput()
	if p := tests.ProcessState; p != nil {
		took = p.UserTime() + p.SystemTime()
	}
	switch {
	case ctx.Err() != nil || strings.Contains(string(output), "panic: test timed out after"):
		return timedOut, output, took
	case err != nil:
		return killed, output, took
	}
	return survives, output, took
}
