//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// growthOptions is what the command line says.
type growthOptions struct {
	rounds int
	most   int           // files
	time   time.Duration // of a measurement
	tsv    string        // the file to write, or ""
}

// shape is a kind of tree, of which growth measures some sizes.
type shape struct {
	name  string
	sizes []int
	make  func(dir string, n int) (files, error)
}

// filesEach is how many files each directory of a tree has.
const filesEach = 100

var shapes = []shape{
	{"files in n/100 directories", []int{1000, 10_000, 100_000, 1_000_000}, func(dir string, n int) (files, error) {
		names, err := makeTree(dir, n/filesEach, filesEach)
		return files{[]string{dir}, names}, err
	}},
	{"FILEs in n directories", []int{100, 1000, 10_000}, func(dir string, n int) (files, error) {
		names, err := makeTree(dir, n, 1)
		return files{names, names}, err
	}},
	{"files in one directory", []int{1000, 10_000, 100_000}, func(dir string, n int) (files, error) {
		names, err := makeTree(dir, 1, n)
		return files{[]string{dir}, names}, err
	}},
	{"files in a chain of directories", []int{10, 50, 100, 200}, func(dir string, n int) (files, error) {
		names, err := makeChain(dir, n)
		return files{[]string{dir}, names}, err
	}},
}

// makeChain makes n directories, each but the first in the one before, with a file in
// each, and returns the names of the files.
func makeChain(dir string, n int) (names []string, err error) {
	for i := range n {
		if err := os.Mkdir(dir, 0o777); err != nil {
			return nil, err
		}
		name := filepath.Join(dir, fmt.Sprintf("file%07d", i))
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			return nil, err
		}
		names = append(names, name)
		dir = filepath.Join(dir, "d")
	}
	return names, nil
}

// measureGrowth measures scans of trees of each shape and size, beside the C loop, and prints
// a table.
func measureGrowth(ctx context.Context, stdout io.Writer, o growthOptions) error {
	if o.time <= 2*time.Second || o.rounds < 1 {
		return usageError{fmt.Errorf("growth takes more than 2 seconds, and a round")}
	}
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if err := (cLoop{}).find(ctx); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Scans once a second. %s.\n\n%s", machine(), growthHead)
	var rows []growthRow
	for i, s := range shapes {
		for _, n := range s.sizes {
			if n > o.most {
				continue
			}
			f, err := s.make(l.path(fmt.Sprintf("shape%d-%d", i, n)), n)
			if err != nil {
				return err
			}
			r := growthRow{shape: s.name, n: n}
			for range o.rounds {
				if err := r.measure(l, f, o.time); err != nil {
					return fmt.Errorf("%d %s: %w", n, s.name, err)
				}
			}
			rows = append(rows, r)
			fmt.Fprint(stdout, r)
		}
	}
	if o.tsv == "" {
		return nil
	}
	return os.WriteFile(o.tsv, []byte(growthTSV(rows)), 0o666)
}

// growthRow is what was measured of one size of a shape, by round.
type growthRow struct {
	shape      string
	n          int
	scan, loop []float64 // ms of CPU time of a scan of net-watcher, and of the C loop
	peak       []float64 // MB
}

// measure adds a round.
func (r *growthRow) measure(l *lab, f files, duration time.Duration) error {
	loop, err := measure(l, cLoop{}, f, 0, duration)
	if err != nil {
		return err
	}
	scan, err := measure(l, netWatcher{}, f, 0, duration)
	if err != nil {
		return err
	}
	r.scan, r.loop, r.peak = append(r.scan, scan.perScan), append(r.loop, loop.perScan), append(r.peak, scan.peak)
	return nil
}

// figures returns medians of the rounds: ms of CPU time of a scan, and of the C loop;
// how many times the latter the former is; µs of a scan for each of n; and the most MB.
func (r growthRow) figures() (scan, loop, times, each, peak float64) {
	scan, loop, times = medianOf(r.scan), medianOf(r.loop), medianOf(ratios(r.scan, r.loop))
	return scan, loop, times, scan * 1000 / float64(r.n), slices.Max(r.peak)
}

const growthHead = "| | n | CPU, ms per scan | C loop | times that | µs for each of n | memory, peak, MB |\n|---|--:|--:|--:|--:|--:|--:|\n"

// String returns the row of a Markdown table.
func (r growthRow) String() string {
	scan, loop, times, each, peak := r.figures()
	return fmt.Sprintf("| %s | %d | %.2f | %.2f | %.2f | %.2f | %.1f |\n", r.shape, r.n, scan, loop, times, each, peak)
}

// growthTSV returns the rows for gnuplot: a block for each shape, under its name.
func growthTSV(rows []growthRow) string {
	var b strings.Builder
	b.WriteString("# n, ms per scan, ms of the C loop, times that, µs for each of n, peak MB\n")
	for i, r := range rows {
		if i == 0 || rows[i-1].shape != r.shape {
			if i > 0 {
				b.WriteString("\n\n")
			}
			fmt.Fprintf(&b, "%q\n", r.shape)
		}
		scan, loop, times, each, peak := r.figures()
		fmt.Fprintf(&b, "%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.1f\n", r.n, scan, loop, times, each, peak)
	}
	return b.String()
}
