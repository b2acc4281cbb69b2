//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	pollAppends = 20 // to files drawn at random, in each measurement
	settled     = 3  // reports of the heart after which a program has settled
	reportTime  = 15 * time.Second
)

// pollOptions is what the command line says.
type pollOptions struct {
	installed   bool // leave out peers that are not installed
	rounds      int
	dirs, files int
	time        time.Duration // of a measurement
}

// subject is a program that polls.
type subject interface {
	name() string
	version() string // "" if that is said elsewhere

	// find looks for the program. The error says how to install it.
	find(ctx context.Context) error

	// start starts it on the targets. It returns the process that prints a line
	// for each change, ending in the path, and the process that is measured.
	start(l *lab, f files) (reporter, measured *child, err error)
}

// files is what a subject polls.
type files struct {
	targets []string // as the command line has them
	names   []string // of all files that are targets or below them
}

// heart returns the file that changes all the time, so that each scan has it to
// report. That shows how often a subject does scan, and where its scans end.
func (f files) heart() string { return f.names[0] }

// poll measures the subjects by turns, and prints the tables.
func poll(ctx context.Context, stdout io.Writer, o pollOptions) error {
	if o.dirs*o.files <= pollAppends || o.time <= 2*time.Second || o.rounds < 1 {
		return usageError{fmt.Errorf("poll takes more than %d files and 2 seconds, and a round", pollAppends)}
	}
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	var subjects []subject
	for _, s := range []subject{cLoop{}, netWatcher{}, &fswatch{}, &watchdog{}, &chokidar{}} {
		switch err := s.find(ctx); {
		case err == nil:
			subjects = append(subjects, s)
		case !o.installed:
			return fmt.Errorf("%w (or leave it out with -installed)", err)
		default:
			fmt.Fprintf(os.Stderr, "bench: without %s: %v\n", s.name(), err)
		}
	}
	f := files{targets: []string{l.path("tree")}}
	if f.names, err = makeTree(l.path("tree"), o.dirs, o.files); err != nil {
		return err
	}
	describe(stdout, o, subjects)
	table := newTable()
	for range o.rounds {
		for _, s := range subjects {
			figures, err := measure(l, s, f, pollAppends, o.time)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
			table.add(s.name(), figures)
		}
	}
	fmt.Fprint(stdout, "\n", table)
	return oneFile(l, stdout, o.time)
}

// describe prints what is measured, and on what.
func describe(stdout io.Writer, o pollOptions, subjects []subject) {
	fmt.Fprintf(stdout, "%d directories with %d files each, scanned once a second. %s.\n", o.dirs, o.files, machine())
	revision, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	fmt.Fprintf(stdout, "net-watcher %s", strings.TrimSpace(string(revision)))
	if gogc := os.Getenv("GOGC"); gogc != "" {
		fmt.Fprintf(stdout, " with GOGC=%s", gogc)
	}
	for _, s := range subjects {
		if v := s.version(); v != "" {
			fmt.Fprintf(stdout, ", %s", v)
		}
	}
	fmt.Fprintln(stdout, ".")
}

// makeTree makes the files and returns their names. Each base name is unique: a
// report is told by that.
func makeTree(tree string, dirs, files int) (names []string, err error) {
	for i := range dirs {
		dir := filepath.Join(tree, fmt.Sprintf("dir%07d", i))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		for j := range files {
			name := filepath.Join(dir, fmt.Sprintf("file%07d-%07d", i, j))
			if err := os.WriteFile(name, nil, 0o666); err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// measure starts a subject, measures it for the duration, or two scans if they take
// longer, and ends it. Meanwhile it appends to so many files, beside the heart.
func measure(l *lab, s subject, f files, appends int, duration time.Duration) (figures, error) {
	reporter, measured, err := s.start(l, f)
	if err != nil {
		return figures{}, err
	}
	defer measured.stop()
	defer reporter.stop()
	r := &recorder{heart: filepath.Base(f.heart())}
	go r.read(reporter, measured.pid())
	err = l.await(reporter, "its reports", func() bool {
		time.Sleep(90 * time.Millisecond)
		return appendTo(f.heart(), "x\n") == nil && r.beats() >= settled
	})
	if err != nil {
		return figures{}, err
	}

	chosen := slices.Clone(f.names[1:])
	rand.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	chosen = chosen[:appends]
	begin, enough := time.Now(), r.beats()+3
	for due := begin; time.Since(begin) < duration || r.beats() < enough && time.Since(begin) < patience; {
		if l.ctx.Err() != nil {
			return figures{}, l.ctx.Err()
		}
		if len(chosen) > 0 && time.Now().After(due) {
			r.append(chosen[0])
			if err := appendTo(chosen[0], "more\n"); err != nil {
				return figures{}, err
			}
			chosen = chosen[1:]
			due = due.Add(rand.N(2 * duration / time.Duration(appends)))
		}
		if err := appendTo(f.heart(), "x\n"); err != nil {
			return figures{}, err
		}
		if !measured.alive() {
			return figures{}, measured.failed(errors.New("it has ended"))
		}
		time.Sleep(10*time.Millisecond + rand.N(80*time.Millisecond))
	}
	end := time.Now()
	rss, err1 := kB(measured.pid(), "status", "VmRSS")
	peak, err2 := kB(measured.pid(), "status", "VmHWM")
	if err := errors.Join(err1, err2); err != nil {
		return figures{}, measured.failed(err)
	}
	for wait := time.Now(); !reportsOnlyHeart(s) && r.unreported() > 0 && time.Since(wait) < reportTime; {
		time.Sleep(100 * time.Millisecond)
	}
	got, err := r.figures(begin, end)
	got.rss, got.peak = float64(rss)*1024/1e6, float64(peak)*1024/1e6
	return got, err
}

// reportsOnlyHeart reports whether s compares nothing.
func reportsOnlyHeart(s subject) bool { return s == cLoop{} }

// recorder has what a subject reported, and when.
type recorder struct {
	heart string // its base name

	mu      sync.Mutex // guards the fields below
	reports []report
	appends map[string]time.Time // by base name
}

// report is one line of a subject.
type report struct {
	at   time.Time
	cpu  time.Duration // that the measured process had used by then
	name string        // the base name of the file
}

// read reads the lines of the reporter until it ends.
func (r *recorder) read(reporter *child, pid int) {
	for {
		line, err := reporter.out.ReadString('\n')
		if err != nil {
			return
		}
		at := time.Now()
		cpu, err := usedCPU(pid)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.reports = append(r.reports, report{at, cpu, filepath.Base(strings.TrimSpace(line))})
		r.mu.Unlock()
	}
}

// append notes that the named file is about to be appended to.
func (r *recorder) append(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.appends == nil {
		r.appends = make(map[string]time.Time)
	}
	r.appends[filepath.Base(name)] = time.Now()
}

// beats returns how many reports of the heart there are.
func (r *recorder) beats() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, report := range r.reports {
		if report.name == r.heart {
			n++
		}
	}
	return n
}

// unreported returns how many appends are not reported.
func (r *recorder) unreported() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.appends) - len(delays(r.reports, r.appends))
}

// figures returns what the reports between two times show.
func (r *recorder) figures(begin, end time.Time) (figures, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return newFigures(r.reports, r.appends, r.heart, begin, end)
}
