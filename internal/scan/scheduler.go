package scan

import (
	"cmp"
	"sync"
	"time"
)

const (
	// MaxCalls is how many file system calls may be outstanding. One without an
	// answer cannot be cancelled, and holds a thread; Go dies of 10,000. Each may
	// hold a descriptor.
	MaxCalls = 64

	// maxProbesPerDir is how many targets of one directory may be without an
	// answer before no other one there is tried: one mount point may be dead and
	// the next one alive.
	maxProbesPerDir = 4

	// retryDelay is how long after an inconclusive scan the next one begins, or
	// after as long as the scan took if that is more.
	retryDelay = 100 * time.Millisecond

	// spawnDelay is how long targets wait for a worker to become idle before a
	// further one starts.
	spawnDelay = 20 * time.Millisecond
)

// job is what the scheduler knows of a target. It is guarded by scheduler.mu.
type job struct {
	index int // of the target
	dir   *dirQueue

	due      time.Duration // since when a scan is wanted (by clock); 0 if none is
	expired  bool          // that scan is no longer waited for
	reported bool          // it expired, and no scan has told anything of it since
	seen     bool          // a scan was complete
	late     bool          // the last scan was
	retry    time.Duration // when to scan again, if not started before (by clock); 0 for not
	began    uint64        // scheduler.demands when the last scan began
	met      uint64        // the same of the last scan that was complete
	doubt    string        // why the last scan was not complete; "" if it was
	scanned  time.Duration // when the last complete scan ended (by clock); 0 if none was
	files    int           // that it examined
}

// dirQueue is the jobs whose targets have the same parent directory. Those are
// assumed to share a mount: if a call hangs for one, few others are tried. It is
// guarded by scheduler.mu.
type dirQueue struct {
	jobs []*job

	waiting  []*job        // due and not started, the earliest first
	running  int           // started
	answered bool          // one has ended since none was running
	last     time.Duration // when the last was started
}

// scheduler decides which target is scanned next, and by how many workers: by one
// where the file system is fast, by more while it is slow or hangs. A scan is a
// function to it: it knows no tree, and of what a scan found only whether there is
// something to report.
type scheduler struct {
	scan    func(w *worker, index int, first bool) findings
	stopped func() bool   // no further call is to be made
	late    time.Duration // see Options

	// maxCalls is how many calls may be outstanding. maxHelpers of them may be made
	// because calls are slow; network file systems serve many at a time. Hung calls
	// do not count. Beyond maxShared, all are kept for directories that no call is
	// out for.
	maxCalls, maxHelpers, maxShared int

	clock *clock
	ready chan struct{} // receives a value when workers have become idle; has room for one

	jobs []job
	dirs []*dirQueue

	mu        sync.Mutex // guards the fields below, and all jobs and dirQueues
	workers   [MaxCalls]worker
	busy      int           // workers that are not idle
	queue     []*dirQueue   // those with jobs waiting
	turn      int           // the index in queue of the next
	lastStart time.Duration // of a job
	pending   int           // jobs that are due, and have neither ended nor expired
	retries   int           // jobs with a retry
	unknown   int           // jobs that were neither seen nor reported
	results   []result      // not yet collected
	began     time.Duration // when the first start was
	lates     []Late        // since the last collect
	demands   uint64        // calls of demand
	open      bool          // the last demand is not met
	totals    Totals        // but for those that Scanner.Totals adds up

	watchdog watchdog
}

// result is what the scan of a job found.
type result struct {
	job       *job
	found     findings
	first     bool
	recovered bool // the job was reported as expired, and this scan tells something of its target
}

// newScheduler returns a scheduler of targets with these parent directories.
// scan scans the target with an index. It is called from several goroutines, but
// for each index from one at a time.
func newScheduler(parents []string, o Options, stopped func() bool, scan func(w *worker, index int, first bool) findings) *scheduler {
	s := &scheduler{
		scan: scan, stopped: stopped, late: o.LateAfter,
		maxCalls: o.MaxCalls, maxHelpers: o.MaxCalls / 2, maxShared: o.MaxCalls * 3 / 4,
		clock: &clock{epoch: time.Now()},
		ready: make(chan struct{}, 1), jobs: make([]job, len(parents)), unknown: len(parents),
	}
	for i := range s.workers {
		s.workers[i].fs, s.workers[i].clock = o.FileSystem, s.clock
	}
	byName := make(map[string]*dirQueue)
	for i, parent := range parents {
		d := byName[parent]
		if d == nil {
			d = &dirQueue{}
			byName[parent] = d
			s.dirs = append(s.dirs, d)
		}
		s.jobs[i].index, s.jobs[i].dir = i, d
		d.jobs = append(d.jobs, &s.jobs[i])
	}
	return s
}

// start makes every job due that is not.
func (s *scheduler) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	s.began = cmp.Or(s.began, now)
	if s.pending == 0 && len(s.queue) == 0 {
		s.watchdog.checked = now // collect was not called for lack of work
	}
	for _, d := range s.dirs {
		if d.running == 0 {
			d.answered = false
		}
		for _, j := range d.jobs {
			if j.due == 0 {
				s.queueLocked(j, now)
			}
		}
	}
	if s.busy == 0 {
		s.spawnLocked(now)
	}
}

// demand makes every job due that is not. Each of the others is due again when its scan
// has ended, if that has begun before.
func (s *scheduler) demand() {
	s.mu.Lock()
	s.demands++
	s.open = true
	s.mu.Unlock()
	s.start()
}

// demandLocked makes the jobs due that keep a demand open. It reports whether the last
// one is met: each job has had a complete scan that began later, or is reported as
// unreadable because no scan ends.
func (s *scheduler) demandLocked(now time.Duration) (met bool) {
	met = true
	for i := range s.jobs {
		j := &s.jobs[i]
		if j.met == s.demands || j.reported {
			continue
		}
		met = false
		if j.due == 0 && j.retry == 0 {
			s.queueLocked(j, now)
		}
	}
	s.open = !met
	if !met && s.busy == 0 {
		s.spawnLocked(now)
	}
	return met
}

// queueLocked makes j due, which it is not.
func (s *scheduler) queueLocked(j *job, now time.Duration) {
	if len(j.dir.waiting) == 0 {
		s.queue = append(s.queue, j.dir)
	}
	j.dir.waiting = append(j.dir.waiting, j)
	j.due = now
	s.pending++
	if j.retry != 0 {
		j.retry = 0
		s.retries--
	}
}

// spawnLocked starts a further worker if there is a job for it.
func (s *scheduler) spawnLocked(now time.Duration) {
	if s.busy == s.maxCalls {
		return
	}
	if j := s.nextLocked(now); j != nil {
		go s.work(s.workerLocked(j), j, !j.seen)
	}
}

// workerLocked returns an idle worker, which there must be, and gives it to j.
func (s *scheduler) workerLocked(j *job) *worker {
	i := 0
	for s.workers[i].job != nil {
		i++
	}
	w := &s.workers[i]
	w.job, w.yielded, w.calls, w.spent, w.long = j, s.lastStart, 0, 0, 0
	s.busy++
	return w
}

// crowdedLocked reports whether no further worker may start for speed alone.
func (s *scheduler) crowdedLocked() bool {
	return s.busy-s.watchdog.hung >= s.maxHelpers || s.busy >= s.maxShared
}

// nextLocked takes the next job that may start from those that wait, from one
// directory after the other. It returns nil if there is none.
func (s *scheduler) nextLocked(now time.Duration) *job {
	if s.stopped() {
		return nil
	}
	for range s.queue {
		s.turn %= len(s.queue)
		d := s.queue[s.turn]
		if !d.mayStart(now, s.crowdedLocked()) {
			s.turn++
			continue
		}
		j := d.waiting[0]
		if d.waiting = d.waiting[1:]; len(d.waiting) > 0 {
			s.turn++
		} else {
			end := len(s.queue) - 1
			s.queue[s.turn] = s.queue[end]
			s.queue = s.queue[:end]
		}
		d.running++
		d.last, s.lastStart = now, now
		j.began = s.demands
		return j
	}
	return nil
}

// mayStart reports whether one more job of d may start. The first always may.
func (d *dirQueue) mayStart(now time.Duration, crowded bool) bool {
	switch hungPerhaps := now-d.last >= hungAfter; {
	case d.running == 0:
		return true
	case crowded:
		return false
	case hungPerhaps: // more than a few would hang as well
		return d.running < maxProbesPerDir
	}
	return d.answered // until one has, it is unknown whether any does
}

// work scans j, and then other jobs until none may start.
func (s *scheduler) work(w *worker, j *job, first bool) {
	for j != nil {
		r := result{job: j, found: s.scan(w, j.index, first), first: first}
		j, first = s.end(w, r)
	}
}

// end takes the result of a scan that has ended, and returns the next job for
// its worker and whether that was never seen, or nil: then the worker is idle.
// Results that nobody needs are dropped at once, which keeps scans that find
// nothing cheap.
func (s *scheduler) end(w *worker, r result) (next *job, first bool) {
	j := r.job
	s.mu.Lock()
	defer s.mu.Unlock()
	j.dir.running--
	j.dir.answered = true
	took := w.ended - j.due
	s.totals.count(took, s.late)
	if !j.expired {
		s.pending--
		s.noteLateLocked(j, r.found.files, took)
	}
	incomplete := len(r.found.doubts) > 0
	if j.doubt = r.found.reason; incomplete {
		j.retry = w.ended + max(retryDelay, took)
		s.retries++
	} else {
		j.met = j.began
		j.scanned, j.files = w.ended, r.found.files
		if !j.seen && !j.reported {
			s.unknown--
		}
		j.seen = true
	}
	if changed := !r.first && len(r.found.changes.steps) > 0; r.first || j.reported || changed || len(r.found.notices) > 0 {
		_, inDoubt := r.found.doubts[""]
		if r.recovered = j.reported && (changed || j.seen && !inDoubt); r.recovered {
			j.reported = false
		}
		s.results = append(s.results, r)
	} else {
		j.due = 0
	}
	s.busy--
	if w.job = s.nextLocked(w.ended); w.job == nil {
		select {
		case s.ready <- struct{}{}:
		default:
		}
		return nil, false
	}
	s.busy++
	if w.slow() && !s.crowdedLocked() {
		s.spawnLocked(w.ended)
	}
	return w.job, !w.job.seen
}

// noteLateLocked notes if a scan of j, which took so long since it was due and
// examined so many files, is the first that was late, or the first that was not
// nearly so. First scans may take as long as they need.
func (s *scheduler) noteLateLocked(j *job, files int, took time.Duration) {
	if !j.seen || s.late == 0 || j.late && took > s.late/2 || !j.late && took <= s.late {
		return
	}
	j.late = !j.late
	s.lates = append(s.lates, Late{j.index, files, took, !j.late})
}

// addHelper returns a further worker for the job of w, or nil if none may start.
// releaseHelper takes it back.
func (s *scheduler) addHelper(w *worker) *worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowdedLocked() {
		return nil
	}
	return s.workerLocked(w.job)
}

func (s *scheduler) releaseHelper(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.job, w.entries, w.buf, w.listing = nil, nil, nil, listing{}
	s.busy--
}

// idle reports whether no worker has a job.
func (s *scheduler) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy == 0
}

// outstanding reports whether a job is waited for, or a result not collected.
func (s *scheduler) outstanding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending > 0 || len(s.results) > 0
}

// collectWithin returns how long collect may be put off at most; 0 is for any time.
func (s *scheduler) collectWithin() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.pending > 0 || s.retries > 0 || len(s.results) > 0 || s.open:
		return spawnDelay
	case len(s.queue) > 0:
		return hungAfter
	}
	return 0
}
