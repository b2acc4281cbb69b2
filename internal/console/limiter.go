package console

import (
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLinesPerSecond limits the lines of a Limiter. Further ones are counted, and
// logged in one line when the second ends.
const maxLinesPerSecond = 10

// Limiter logs what begins and ends, so that a crowd of that does not hide all else.
// Each source of such lines has one of its own. Its methods may be called from any
// goroutine.
type Limiter struct {
	log     *log.Logger
	all     bool
	summary func(counts string) string

	mu    sync.Mutex     // guards the fields below
	lines int            // logged in this second
	held  map[string]int // not logged in this second, by their kind
	timer *time.Timer    // ends this second; nil if none has begun
}

// NewLimiter returns a Limiter that writes to log. If all is set, it leaves out no
// line. summary makes a line of what was left out in a second, "3 more connected, 1
// more disconnected"; it is called from any goroutine.
func NewLimiter(log *log.Logger, all bool, summary func(counts string) string) *Limiter {
	return &Limiter{log: log, all: all, summary: summary}
}

// Print logs the line. If this second has no room for it, it counts the line as one
// more of its kind ("connected"). There must be few kinds.
func (l *Limiter) Print(kind, line string) {
	if l.all || l.admit(kind) {
		l.log.Print(line)
	}
}

// Write logs a line, for a log.Logger, and counts it as one more of the lines. It never
// fails.
func (l *Limiter) Write(line []byte) (int, error) {
	l.Print("lines", string(line))
	return len(line), nil
}

// admit reports whether this second has room for one more line; if not, it
// counts it.
func (l *Limiter) admit(kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		l.timer = time.AfterFunc(time.Second, l.Flush)
	}
	if l.lines < maxLinesPerSecond {
		l.lines++
		return true
	}
	if l.held == nil {
		l.held = make(map[string]int)
	}
	l.held[kind]++
	return false
}

// Flush ends the present second and logs what it had no room for. The owner
// calls it at the end.
func (l *Limiter) Flush() {
	l.mu.Lock()
	held := l.held
	if l.timer != nil {
		l.timer.Stop()
	}
	l.lines, l.held, l.timer = 0, nil, nil
	l.mu.Unlock()

	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(held)) {
		counts = append(counts, fmt.Sprintf("%d more %s", held[kind], kind))
	}
	if len(counts) > 0 {
		l.log.Print(l.summary(strings.Join(counts, ", ")))
	}
}
