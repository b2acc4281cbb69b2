package main

import (
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		given := slices.Clone(test.values)
		if got := medianOf(test.values); got != test.want {
			t.Errorf("of %v: %v, want %v", test.values, got, test.want)
		}
		if !slices.Equal(given, test.values) {
			t.Errorf("%v has become %v", given, test.values)
		}
	}
}

func TestRatios(t *testing.T) {
	if got, want := ratios([]float64{2, 3, 1}, []float64{1, 2, 0}), []float64{2, 1.5, 0}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestGrown(t *testing.T) {
	for _, test := range []struct {
		samples       []int
		percent, more int
		want          growth
		flat          bool
	}{
		// The first quarter does not count, and one outlier does not either.
		{[]int{1, 1, 100, 102, 50, 60, 101, 101}, 0, 0, growth{101, 101, 101}, true},
		{[]int{0, 0, 100, 100, 0, 0, 111, 111}, 10, 0, growth{100, 111, 110}, false},
		{[]int{0, 0, 100, 100, 0, 0, 111, 111}, 10, 1, growth{100, 111, 111}, true},
		{[]int{9, 9, 9, 8, 8, 8, 7, 7, 7, 1, 1, 99}, 0, 0, growth{8, 1, 8}, true},
	} {
		got := grown(test.samples, test.percent, test.more)
		if got != test.want || got.flat() != test.flat {
			t.Errorf("of %v: %+v, flat %v; want %+v, %v", test.samples, got, got.flat(), test.want, test.flat)
		}
	}
}
