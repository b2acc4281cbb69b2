package scan_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
	"net-watcher/internal/wire"
)

// driver owns a Scanner, as the program's poll does, and follows what it reports.
type driver struct {
	*testing.T
	fs       *faults.FS
	scanner  *scan.Scanner
	options  scan.Options
	paths    []string
	interval time.Duration
	ctx      context.Context // of the Scanner
	stop     func()          // ends ctx
	late     []scan.Late
	notices  []scan.Notice
	met      int          // how often a demand was met
	full     atomic.Int64 // how often all calls were hung
	isFull   bool         // they are

	sums   []map[string]scan.Sum // of each target, of each path below it, by the steps so far
	errs   []map[string]bool     // of each target, the paths below it that are unreadable
	sum    []scan.Sum            // of each target, by the last step
	stats  []scan.Stat           // of each target, by the last step
	unseen []bool                // of each target: it is reported as unreadable, and nothing is known of it
}

// newDriver returns a driver of a Scanner of the paths, which is yet to be started.
func newDriver(t *testing.T, ff *faults.FS, o scan.Options, paths ...string) *driver {
	t.Helper()
	o.FileSystem = ff
	o.LateAfter = cmp.Or(o.LateAfter, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	return &driver{
		T: t, fs: ff, scanner: scan.New(ctx, paths, o), options: o, paths: paths,
		interval: time.Second, ctx: ctx, stop: cancel,
	}
}

// numbered returns the names of n files in the directory.
func numbered(dir string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s/%d", dir, i))
	}
	return names
}

// putAll makes up files with 1 byte.
func putAll(ff *faults.FS, names ...string) {
	for _, name := range names {
		ff.Put(name, 1, check.Day1)
	}
}

// begin takes the first scan, and returns what it found, a line a target.
func (d *driver) begin() []string {
	d.Helper()
	d.scanner.Start()
	for !d.scanner.Known() {
		d.wait(nil, nil)
	}
	var lines []string
	for i, path := range d.paths {
		state := d.scanner.State(i)
		lines = append(lines, line("watching", path, state.Stat))
		sums, seen := map[string]scan.Sum{"": state.Sum}, d.scanner.Seen(i)
		if seen {
			sums = d.scanner.Sums(i)
		}
		d.sums = append(d.sums, sums)
		errs := map[string]bool{"": state.Stat.Err() != ""}
		for name := range d.scanner.Unreadable(i) {
			errs[name] = true
		}
		if n := len(errs) - 1; n != state.Sum.Unreadable {
			d.Errorf("%s: %d unreadable below it, want %d", path, state.Sum.Unreadable, n)
		}
		d.errs = append(d.errs, errs)
		d.sum = append(d.sum, state.Sum)
		d.stats = append(d.stats, state.Stat)
		d.unseen = append(d.unseen, !seen)
	}
	return lines
}

// wait does what poll.wait does, and returns a line a step.
func (d *driver) wait(done <-chan struct{}, tick <-chan time.Time) []string {
	var due <-chan time.Time
	if interval := d.scanner.CollectWithin(); interval > 0 {
		due = time.After(interval)
	}
	select {
	case <-done:
	case <-d.scanner.Ready():
	case <-due:
	case <-tick:
		d.scanner.Start()
	}
	return d.collect()
}

// collect returns a line for each step since the last collect.
func (d *driver) collect() []string {
	report := d.scanner.Collect()
	d.late = append(d.late, report.Lates...)
	d.notices = append(d.notices, report.Notices...)
	if report.Met {
		d.met++
	}
	if report.Full && !d.isFull {
		d.full.Add(1)
	}
	d.isFull = report.Full
	if !slices.IsSortedFunc(report.Results, func(a, b scan.Result) int { return a.Target - b.Target }) {
		d.Errorf("results are not in the order of the targets: %+v", report.Results)
	}
	if d.sums != nil && !d.scanner.Known() {
		d.Error("a target is not known any more")
	}
	var lines []string
	for _, r := range report.Results {
		if len(r.Steps) == 0 {
			d.Errorf("%s: a result without a step", d.paths[r.Target])
		}
		for _, step := range r.Steps {
			path := d.paths[r.Target]
			if step.Name != "" {
				path += "/" + step.Name
			}
			lines = append(lines, line(string(step.Change), path, step.Stat))
			if d.sums != nil {
				d.follow(r.Target, step)
			}
		}
	}
	return lines
}

// line is a step or a state in short.
func line(what, path string, s scan.Stat) string {
	size, _, isFile := s.Size()
	switch {
	case s.Err() != "":
		return fmt.Sprintf("%s %s: %s", what, path, s.Err())
	case isFile:
		return fmt.Sprintf("%s %s, %d bytes", what, path, size)
	case what == "watching" && s.Missing():
		return fmt.Sprintf("%s %s (not there)", what, path)
	}
	return what + " " + path
}

// follow checks that the step is one that may follow those before, and that its sum
// is that of all that is known after it.
func (d *driver) follow(target int, step scan.Step) {
	if step.Name == "" {
		if was := d.stats[target]; !legal(was, step.Change) {
			d.Errorf("%s, and then %s", line("watching", d.paths[target], was), step.Change)
		}
		d.stats[target] = step.Stat
		if d.unseen[target] { // the steps are not those from nothing
			d.unseen[target] = false
			d.sums[target] = d.scanner.Sums(target)
		}
	}
	sums, errs := d.sums[target], d.errs[target]
	if errs[step.Name] != step.Again && step.Change != wire.Unreadable {
		d.Errorf("%s %s: again is %v", step.Change, step.Name, step.Again)
	}
	d.sum[target] = step.Sum
	sums[step.Name] = step.Stat.SumAt(step.Name)
	errs[step.Name] = step.Stat.Err() != ""
	if step.Change == wire.Removed {
		delete(sums, step.Name)
	}
	var all scan.Sum
	for name, sum := range sums {
		hidden := errs[""] && name != ""
		for i, r := range name {
			hidden = hidden || r == '/' && i+1 < len(name) && errs[name[:i+1]]
		}
		if !hidden {
			all = all.Plus(sum)
		}
	}
	if all != step.Sum {
		d.Errorf("%s %s: sum %x, want %x", step.Change, step.Name, step.Sum, all)
	}
}

// legal reports whether a target with the Stat was may change so.
func legal(was scan.Stat, change wire.Change) bool {
	unreadable := was.Err() != ""
	switch change {
	case wire.Created:
		return unreadable || was.Missing()
	case wire.Modified, wire.Removed:
		return unreadable || !was.Missing()
	case wire.Unreadable:
		return !unreadable
	case wire.Readable:
		return unreadable
	}
	return false
}

// scan scans every target once, and returns a line a step.
func (d *driver) scan() []string {
	lines := d.collect() // of scans that had expired before
	for d.scanner.Start(); d.scanner.Outstanding(); {
		lines = append(lines, d.wait(nil, nil)...)
	}
	return lines
}

// expect scans once, and checks what that reports, and that the sums are those that
// a new Scanner finds.
func (d *driver) expect(want ...string) {
	d.Helper()
	check.Equal(d.T, "steps", want, d.scan())
	d.checkSums()
}

// checkSums checks that the sums are those that a new Scanner finds.
func (d *driver) checkSums() {
	d.Helper()
	fresh := newDriver(d.T, d.fs, d.options, d.paths...)
	fresh.begin()
	check.Equal(d.T, "sums by the steps, beside those of a new scan", fresh.sum, d.sum)
}

// state is a target as a client knows it.
type state struct {
	Path                string
	Unreadable, Missing bool
	Size                int64
	Mtime               time.Time
	Sum                 scan.Sum
}

// states returns the targets as of the last steps.
func (d *driver) states() (states []state) {
	for i, stat := range d.stats {
		size, mtime, _ := stat.Size()
		states = append(states, state{d.paths[i], stat.Err() != "", stat.Missing(), size, mtime, d.sum[i]})
	}
	return states
}

// checkStates checks that the steps add up to the states that a new Scanner finds.
func (d *driver) checkStates() {
	d.Helper()
	fresh := newDriver(d.T, d.fs, d.options, d.paths...)
	fresh.begin()
	check.Equal(d.T, "states by the steps, beside those of a new scan", fresh.states(), d.states())
}

// checkTree checks that the steps add up to the tree that a new Scanner finds.
func (d *driver) checkTree() {
	d.Helper()
	fresh := newDriver(d.T, d.fs, d.options, d.paths...)
	fresh.begin()
	for _, sums := range slices.Concat(d.sums, fresh.sums) {
		maps.DeleteFunc(sums, func(_ string, sum scan.Sum) bool { return sum == scan.Sum{} })
	}
	check.Equal(d.T, "what the steps add up to", fresh.sums, d.sums)
}

// reported is a line, and how long after the last restart it was reported.
type reported struct {
	After time.Duration
	Line  string
}

// recorder collects what a driver reports while it scans once an interval.
type recorder struct {
	stop func() // ends the scans, and waits for that

	mu    sync.Mutex // guards the fields below
	begin time.Time
	lines []reported
	late  []scan.Late
}

// record scans once an interval from now on.
func (d *driver) record() *recorder {
	r := &recorder{begin: time.Now()}
	var wg sync.WaitGroup
	r.stop = func() { d.stop(); wg.Wait() }
	wg.Go(func() {
		defer d.scanner.Close()
		for tick := time.Tick(d.interval); ; {
			lines := d.wait(d.ctx.Done(), tick)
			if d.ctx.Err() != nil {
				return
			}
			r.mu.Lock()
			r.late = d.late
			for _, line := range lines {
				r.lines = append(r.lines, reported{time.Since(r.begin), line})
			}
			r.mu.Unlock()
		}
	})
	return r
}

// restart makes the times that take returns begin now.
func (r *recorder) restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin = time.Now()
}

// take returns what was reported since the last take. It is for bubbles.
func (r *recorder) take() []reported {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// lates returns the driver's late so far. It is for bubbles.
func (r *recorder) lates() []scan.Late {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.late
}

// takeLines is take without the times, in the order of the lines.
func (r *recorder) takeLines() []string {
	var lines []string
	for _, l := range r.take() {
		lines = append(lines, l.Line)
	}
	slices.SortFunc(lines, strings.Compare)
	return lines
}
