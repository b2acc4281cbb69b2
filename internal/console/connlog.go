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

// maxLinesPerSecond limits the lines of a ConnLog. Further ones are counted, and
// reported in one line when the second ends.
const maxLinesPerSecond = 10

// ConnLog logs which subscribers come and go, so that a crowd of them does not
// hide all else. Its methods may be called from any goroutine.
type ConnLog struct {
	log   *log.Logger
	all   bool
	count func() int

	mu    sync.Mutex     // guards the fields below
	lines int            // logged in this second
	held  map[string]int // not logged in this second, by what happened
	timer *time.Timer    // ends this second; nil if none has begun
}

// NewConnLog returns a ConnLog that writes to log. If all is set, it leaves out
// no line. count returns the present number of subscribers; it is called from
// any goroutine.
func NewConnLog(log *log.Logger, all bool, count func() int) *ConnLog {
	return &ConnLog{log: log, all: all, count: count}
}

// Report logs what happened ("connected") to the subscriber who ("127.0.0.1:7"),
// how many there are now, and the reason, which may be empty.
func (c *ConnLog) Report(what, who, reason string, now int) {
	if c.all || c.admit(what, reason) {
		line := fmt.Sprintf("subscriber %s: %s (%d now)", what, who, now)
		if reason != "" {
			line += ": " + reason
		}
		c.log.Print(line)
	}
}

// admit reports whether this second has room for one more line; if not, it
// counts it.
func (c *ConnLog) admit(what, reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Second, c.Flush)
	}
	if c.lines < maxLinesPerSecond {
		c.lines++
		return true
	}
	if c.held == nil {
		c.held = make(map[string]int)
	}
	if reason != "" {
		what += " (" + reason + ")"
	}
	c.held[what]++
	return false
}

// Flush ends the present second and logs what it had no room for. The owner
// calls it at the end.
func (c *ConnLog) Flush() {
	c.mu.Lock()
	held := c.held
	if c.timer != nil {
		c.timer.Stop()
	}
	c.lines, c.held, c.timer = 0, nil, nil
	c.mu.Unlock()

	var parts []string
	for _, what := range slices.Sorted(maps.Keys(held)) {
		parts = append(parts, fmt.Sprintf("%d more %s", held[what], what))
	}
	if len(parts) > 0 {
		c.log.Printf("subscribers: %s (%d now)", strings.Join(parts, ", "), c.count())
	}
}
