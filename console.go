package main

import (
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxComings is how many lines a second the console has for subscribers that
// come and go. What is above that is counted, and told in one line.
const maxComings = 10

// console says who comes and goes, without letting a crowd drown all else. Its
// methods may be called from any goroutine.
type console struct {
	log   *log.Logger
	all   bool       // leave no line out
	count func() int // subscribers there are

	mu    sync.Mutex // guards what follows
	said  int        // lines in this second
	held  map[string]int
	timer *time.Timer // set while a second runs
}

// tell says what has become of who, why (may be empty), and how many there are
// now.
func (c *console) tell(what, who, why string, now int) {
	if c.all || c.admit(what, why) {
		line := fmt.Sprintf("subscriber %s: %s (%d now)", what, who, now)
		if why != "" {
			line += ": " + why
		}
		c.log.Print(line)
	}
}

// admit reports whether there is room for one more line in this second, and
// counts it for the summary if not.
func (c *console) admit(what, why string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Second, c.flush)
	}
	if c.said < maxComings {
		c.said++
		return true
	}
	if c.held == nil {
		c.held = make(map[string]int)
	}
	if why != "" {
		what += " (" + why + ")"
	}
	c.held[what]++
	return false
}

// flush ends the second and tells what it had no room for. Called by the
// timer, and once at the end by whoever owns the console.
func (c *console) flush() {
	c.mu.Lock()
	held := c.held
	if c.timer != nil {
		c.timer.Stop()
	}
	c.said, c.held, c.timer = 0, nil, nil
	c.mu.Unlock()

	var parts []string
	for _, what := range slices.Sorted(maps.Keys(held)) {
		parts = append(parts, fmt.Sprintf("%d more %s", held[what], what))
	}
	if len(parts) > 0 {
		c.log.Printf("subscribers: %s (%d now)", strings.Join(parts, ", "), c.count())
	}
}
