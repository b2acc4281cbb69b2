//go:build unix

package scan_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
)

// BenchmarkScan measures a scan of files that are targets, and of one target that
// is a tree of them, beside a bare loop of the system call over the same paths, in
// the same run. 100 patterns match nothing; "*.go" leaves all files out.
func BenchmarkScan(b *testing.B) {
	all, trees := b, make(map[[2]int]string)
	var hundred, none pattern.Set
	none.Add("*.go")
	for _, p := range []string{"*.x%d", "name%d", "/dir%d/*.o", "*~%d~*", "a%d/**/b"} {
		for i := range 20 {
			hundred.Add(fmt.Sprintf(p, i))
		}
	}
	for _, test := range []struct {
		name        string
		dirs, files int // files in each
		tree        bool
		filter      *pattern.Filter
	}{
		{"files=1", 1, 1, false, nil},
		{"files=1000", 1, 1000, false, nil},
		{"files=10000", 10_000, 1, false, nil},
		{"tree=100000", 1000, 100, true, nil},
		{"tree=100000/patterns=100", 1000, 100, true, &pattern.Filter{Ignore: hundred}},
		{"tree=100000/only=none", 1000, 100, true, &pattern.Filter{Only: none}},
		{"folder=100000", 1, 100_000, true, nil},
	} {
		b.Run(test.name, func(b *testing.B) {
			shape := [2]int{test.dirs, test.files}
			dir := trees[shape]
			if dir == "" { // to make one takes longer than to scan it
				dir = all.TempDir()
				trees[shape] = dir
				check.MakeTree(b, dir, test.dirs, test.files)
			}
			names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
			check.Must(b, err)
			targets := names
			if test.tree {
				targets = []string{dir}
			}
			s := scan.New(b.Context(), targets, scan.Options{Filter: test.filter})
			scanAll(s)
			var scans, bare []time.Duration
			var st syscall.Stat_t
			var before, after runtime.MemStats
			var bytes, allocs uint64
			for b.Loop() {
				runtime.ReadMemStats(&before)
				begin := cpu()
				scanAll(s)
				scans = append(scans, cpu()-begin)
				runtime.ReadMemStats(&after)
				bytes += after.TotalAlloc - before.TotalAlloc
				allocs += after.Mallocs - before.Mallocs
				begin = cpu()
				for _, name := range names {
					if err := syscall.Stat(name, &st); err != nil {
						b.Fatal(err)
					}
				}
				bare = append(bare, cpu()-begin)
			}
			b.ReportMetric(ratio(scans, bare), "x-bare-stat")
			b.ReportMetric(float64(bytes)/float64(b.N), "B/scan")
			b.ReportMetric(float64(allocs)/float64(b.N), "allocs/scan")
		})
	}
}

// BenchmarkSlow measures a scan of 10,000 files where each call takes 1 ms more.
func BenchmarkSlow(b *testing.B) {
	dir := b.TempDir()
	check.MakeTree(b, dir, 100, 100)
	ff := faults.Real()
	ff.Slow(time.Millisecond)
	s := scan.New(b.Context(), []string{dir}, scan.Options{FileSystem: ff})
	scanAll(s)
	for b.Loop() {
		scanAll(s)
		ff.Calls("") // or else they need memory
	}
}

// scanAll scans every target once.
func scanAll(s *scan.Scanner) {
	for s.Start(); s.Outstanding(); s.Collect() {
		select {
		case <-s.Ready():
		case <-time.After(s.CollectWithin()):
		}
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

// ratio returns the median of a divided by the median of b.
func ratio(a, b []time.Duration) float64 {
	slices.Sort(a)
	slices.Sort(b)
	return float64(a[len(a)/2]) / float64(max(b[len(b)/2], 1))
}
