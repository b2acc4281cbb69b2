package main

import "slices"

// medianOf returns the median of the values, 0 of none.
func medianOf[T ~int | ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// ratios returns a[i] / b[i] for each i, 0 where b[i] is 0.
func ratios(a, b []float64) []float64 {
	all := make([]float64, min(len(a), len(b)))
	for i := range all {
		if b[i] > 0 {
			all[i] = a[i] / b[i]
		}
	}
	return all
}

// growth compares the samples of a measurement that should not grow.
type growth struct {
	second, last int // medians of the second and of the last quarter
	limit        int // that last may reach
}

// grown returns the growth of the samples. The last quarter may be so many percent,
// and so much besides, above the second. In the first quarter all is still coming.
func grown(samples []int, percent, more int) growth {
	n := len(samples)
	g := growth{second: medianOf(samples[n/4 : n/2]), last: medianOf(samples[n-n/4:])}
	g.limit = g.second*(100+percent)/100 + more
	return g
}

// flat reports whether the samples did not grow beyond the limit.
func (g growth) flat() bool { return g.last <= g.limit }
