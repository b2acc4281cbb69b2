//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGrowthRows(t *testing.T) {
	rows := []growthRow{
		{"files", 1000, []float64{3, 2, 9}, []float64{2, 2, 3}, []float64{6, 7, 6}},
		{"files", 10_000, []float64{30}, []float64{20}, []float64{8}},
		{"chain", 10, []float64{1}, []float64{0}, []float64{6}},
	}
	if got, want := rows[0].String(), "| files | 1000 | 3.00 | 2.00 | 1.50 | 3.00 | 7.0 |\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	want := "# n, ms per scan, ms of the C loop, times that, µs for each of n, peak MB\n" +
		"\"files\"\n1000\t3.000\t2.000\t1.500\t3.000\t7.0\n10000\t30.000\t20.000\t1.500\t3.000\t8.0\n\n\n" +
		"\"chain\"\n10\t1.000\t0.000\t0.000\t100.000\t6.0\n"
	if diff := cmp.Diff(want, growthTSV(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each shape has n files, the names of which are unique, and its targets exist.
func TestShapes(t *testing.T) {
	for _, s := range shapes {
		n := s.sizes[0]
		f, err := s.make(filepath.Join(t.TempDir(), "x"), n)
		if err != nil {
			t.Fatal(err)
		}
		bases := make(map[string]bool)
		for _, name := range f.names {
			bases[filepath.Base(name)] = true
		}
		if len(bases) != n || len(f.names) != n {
			t.Errorf("%s: %d names of %d, want %d", s.name, len(bases), len(f.names), n)
		}
		for _, name := range append(f.names, f.targets...) {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	}
}
