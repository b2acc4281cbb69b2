//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// figures is what was measured of a subject in one round.
type figures struct {
	perSecond float64 // ms of CPU time per second
	period    float64 // s from scan to scan
	perScan   float64 // ms of CPU time
	delay     float64 // s from an append to its report, median
	worst     float64 // the longest of those
	rss, peak float64 // MB

	unreported, appends int
}

// newFigures computes the figures of the reports between two times. From one report
// of the heart to another there are whole scans, so no part of one is in them.
func newFigures(reports []report, appends map[string]time.Time, heart string, begin, end time.Time) (figures, error) {
	var beats []report
	for _, r := range reports {
		if r.name == heart && !r.at.Before(begin) && !r.at.After(end) {
			beats = append(beats, r)
		}
	}
	if len(beats) < 2 {
		return figures{}, errors.New("it scans too seldom for this time")
	}
	var gaps []time.Duration
	for i := range beats[1:] {
		gaps = append(gaps, beats[i+1].at.Sub(beats[i].at))
	}
	first, last := beats[0], beats[len(beats)-1]
	took, used := last.at.Sub(first.at), milliseconds(last.cpu-first.cpu)
	scans := float64(int(float64(took)/float64(medianOf(gaps)) + 0.5))
	waits := delays(reports, appends)
	f := figures{
		perSecond: used / took.Seconds(), period: took.Seconds() / scans, perScan: used / scans,
		delay: medianOf(waits), unreported: len(appends) - len(waits), appends: len(appends),
	}
	if len(waits) > 0 {
		f.worst = slices.Max(waits)
	}
	return f, nil
}

// delays returns the s from each append to its first report, of those that have one.
func delays(reports []report, appends map[string]time.Time) []float64 {
	var all []float64
	done := make(map[string]bool)
	for _, r := range reports {
		if at, ok := appends[r.name]; ok && !done[r.name] && r.at.After(at) {
			done[r.name] = true
			all = append(all, r.at.Sub(at).Seconds())
		}
	}
	return all
}

// table is the figures of all rounds, by subject.
type table struct {
	names []string // in order
	of    map[string][]figures
}

func newTable() *table { return &table{of: make(map[string][]figures)} }

func (t *table) add(name string, f figures) {
	if t.of[name] == nil {
		t.names = append(t.names, name)
	}
	t.of[name] = append(t.of[name], f)
}

// values returns one figure of a subject, by round.
func (t *table) values(name string, figure func(figures) float64) []float64 {
	var all []float64
	for _, f := range t.of[name] {
		all = append(all, figure(f))
	}
	return all
}

// times returns how many times the CPU time of another subject's scans that of the
// named one's is, in each round.
func (t *table) times(name, other string) []float64 {
	perScan := func(f figures) float64 { return f.perScan }
	return ratios(t.values(name, perScan), t.values(other, perScan))
}

// String returns the table: medians of the rounds, and of memory and of the worst
// the most; and then the range of the ratios.
func (t *table) String() string {
	var b strings.Builder
	b.WriteString("| | CPU, ms per second | a scan each | CPU, ms per scan | times the C loop | memory, MB (peak) | from append to report: median, worst |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|\n")
	for _, name := range t.names {
		median := func(figure func(figures) float64) float64 { return medianOf(t.values(name, figure)) }
		most := func(figure func(figures) float64) float64 { return slices.Max(t.values(name, figure)) }
		times := "-" // too little to tell
		if m := medianOf(t.times(name, cLoop{}.name())); m > 0 {
			times = fmt.Sprintf("%.2f", m)
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.2f s | %.1f | %s | %.1f (%.1f) |", name,
			median(func(f figures) float64 { return f.perSecond }), median(func(f figures) float64 { return f.period }),
			median(func(f figures) float64 { return f.perScan }), times,
			most(func(f figures) float64 { return f.rss }), most(func(f figures) float64 { return f.peak }))
		if name != (cLoop{}).name() {
			fmt.Fprintf(&b, " %.2f s, %.2f s", median(func(f figures) float64 { return f.delay }), most(func(f figures) float64 { return f.worst }))
			unreported, appends := 0, 0
			for _, f := range t.of[name] {
				unreported, appends = unreported+f.unreported, appends+f.appends
			}
			if unreported > 0 {
				fmt.Fprintf(&b, " (%d of %d never)", unreported, appends)
			}
		}
		b.WriteString(" |\n")
	}
	if len(t.names) > 1 {
		b.WriteString("\n")
	}
	for _, other := range []string{cLoop{}.name(), (&fswatch{}).name()} {
		if all := t.times(netWatcher{}.name(), other); len(all) > 0 {
			fmt.Fprintf(&b, "Scans of net-watcher take %.2f (%.2f to %.2f) times the CPU time of those of %s.\n",
				medianOf(all), slices.Min(all), slices.Max(all), other)
		}
	}
	return b.String()
}
