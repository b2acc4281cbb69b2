//go:build unix

package scan

import (
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkLook measures a look at files that are targets, and at one target
// that is a tree of them, beside a bare loop of the system call over the same
// paths, in the same run.
func BenchmarkLook(b *testing.B) {
	for _, test := range []struct {
		name           string
		folders, files int // files in each
		tree           bool
	}{
		{"files=1", 1, 1, false},
		{"files=1000", 1, 1000, false},
		{"files=10000", 10_000, 1, false},
		{"tree=100000", 1000, 100, true},
		{"folder=100000", 1, 100_000, true},
	} {
		b.Run(test.name, func(b *testing.B) {
			dir := b.TempDir()
			makeTree(b, dir, test.folders, test.files)
			names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
			if err != nil {
				b.Fatal(err)
			}
			targets := names
			if test.tree {
				targets = []string{dir}
			}
			p := New(targets, time.Second, Options{})
			if _, err := p.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			var looks, bare []time.Duration
			var st syscall.Stat_t
			b.ReportAllocs()
			for b.Loop() {
				begin := cpu()
				p.look()
				looks = append(looks, cpu()-begin)
				begin = cpu()
				for _, name := range names {
					if err := syscall.Stat(name, &st); err != nil {
						b.Fatal(err)
					}
				}
				bare = append(bare, cpu()-begin)
			}
			b.ReportMetric(ratio(looks, bare), "x-bare-stat")
		})
	}
}

// BenchmarkSlow measures a look at 10,000 files where each call takes 1 ms more.
func BenchmarkSlow(b *testing.B) {
	dir := b.TempDir()
	makeTree(b, dir, 100, 100)
	p := New([]string{dir}, time.Second, Options{})
	slowDown(&p.looker, time.Millisecond)
	if _, err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p.look()
	}
}

// cpu returns the CPU time that this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ratio returns how many times the median of b the median of a is.
func ratio(a, b []time.Duration) float64 {
	slices.Sort(a)
	slices.Sort(b)
	return float64(a[len(a)/2]) / float64(max(b[len(b)/2], 1))
}
