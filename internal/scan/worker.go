package scan

import (
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"net-watcher/internal/pattern"
)

// slowCall is the average time of a call from which on several at a time pay.
// Local file systems take some 2 µs, network file systems 0.2 to 5 ms.
const slowCall = 100 * time.Microsecond

// yieldAfter is how long a worker goes on before it lets other goroutines have its
// processor. After 10 ms, Go's runtime would take it away, and then look each 20 µs for
// some time whether to do so again, which costs 6 % of the CPU time of a scan.
const yieldAfter = 8 * time.Millisecond

// A directory is read in portions of so many entries. They are small at first:
// each shows how fast the file system is, and that it does answer.
const (
	minPortion = 8
	maxPortion = 256
)

// clock is where scans have the time from. It leaves out the time in which
// the program itself was stopped (SIGSTOP, a suspended machine): file systems are
// not to blame for that.
type clock struct {
	epoch   time.Time
	stopped atomic.Int64 // how long the program was stopped since the epoch (time.Duration)
}

// wall returns the time of day, to compare with that of files.
func (*clock) wall() time.Time { return time.Now() }

// now returns the time since the epoch. It is never 0.
func (c *clock) now() time.Duration {
	return time.Since(c.epoch) - time.Duration(c.stopped.Load()) + 1
}

// worker makes file system calls, one at a time, for the scan of one target at a
// time. All of its methods are for the goroutine that it works in.
type worker struct {
	fs    FileSystem
	clock *clock

	job  *job // what it works on; guarded by scheduler.mu; nil if it is idle
	hung bool // its call had no answer at the last collect; guarded by scheduler.mu

	began   atomic.Int64  // when the call under way began (time.Duration, by clock); 0 if there is none
	ended   time.Duration // when the last call of it and of its helpers ended
	yielded time.Duration // when it last let others have its processor

	entries []Entry // the portion read last; kept for its memory
	buf     []byte  // to read contents into; nil before the first
	pass    pass    // of the job; kept for its memory
	listing listing // the last one; kept for its memory

	// The latest calls, the time that they took in all, and how often a call, or
	// the average of several at once, took longer than slowCall: once may be for
	// lack of a processor.
	calls int
	spent time.Duration
	long  int
}

// begin is called before one or more calls, and end after them with their number.
func (w *worker) begin() { w.began.Store(int64(w.clock.now())) }

func (w *worker) end(calls int) {
	w.ended = w.clock.now()
	took := w.ended - time.Duration(w.began.Load())
	w.began.Store(0)
	w.calls += calls
	w.spent += took
	if took > time.Duration(calls)*slowCall {
		w.long++
	}
	if w.ended-w.yielded > yieldAfter {
		w.yielded = w.ended
		runtime.Gosched()
	}
	if w.calls > 256 { // forget gradually
		w.calls, w.spent, w.long = w.calls/2, w.spent/2, w.long/2
	}
}

// slow reports whether the latest calls were slow.
func (w *worker) slow() bool {
	return w.long >= 3 && w.spent > time.Duration(w.calls)*slowCall
}

// timed makes one call.
func timed[A, R any](w *worker, call func(A) (R, error), arg A) (R, error) {
	w.begin()
	result, err := call(arg)
	w.end(1)
	return result, err
}

func (w *worker) stat(name string) (Entry, error)  { return timed(w, w.fs.Stat, name) }
func (w *worker) lstat(name string) (Entry, error) { return timed(w, w.fs.Lstat, name) }
func (w *worker) open(name string) (File, error)   { return timed(w, w.fs.Open, name) }

func (w *worker) openDir(name string, follow bool) (Dir, error) {
	w.begin()
	d, err := w.fs.OpenDir(name, follow)
	w.end(1)
	return d, err
}

func (w *worker) isMounted(name string) bool {
	w.begin()
	defer w.end(1)
	return w.fs.IsMounted(name)
}

func (w *worker) close(f io.Closer) {
	w.begin()
	f.Close()
	w.end(1)
}

// readEntries returns the next n entries of the directory f, at most maxPortion. Those
// that folder leaves out need not be examined. They are valid until the next call.
func (w *worker) readEntries(f Dir, n int, folder *pattern.Folder) ([]Entry, error) {
	if w.entries == nil {
		w.entries = make([]Entry, maxPortion)
	}
	w.begin()
	got, err := f.ReadEntries(w.entries[:n], folder)
	w.end(1 + got)
	return w.entries[:got], err
}

// read reads the next part of a file. It is valid until the next call.
func (w *worker) read(f File, most int64) ([]byte, error) {
	if w.buf == nil {
		w.buf = make([]byte, 32<<10)
	}
	n, err := timed(w, f.Read, w.buf[:min(most, int64(len(w.buf)))])
	return w.buf[:n], err
}
