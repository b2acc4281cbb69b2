// Package backoff is the wait between the tries of something that fails for now:
// connecting to a server, accepting a connection.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff waits longer after each try. Min and Max are to be set before the first
// Wait. It is not for concurrent use.
type Backoff struct {
	Min, Max time.Duration

	limit time.Duration // of the last wait; 0 before the first
}

// Wait waits for a random time between Min and a limit, which is Min at first and
// doubles with each call until it is Max: many clients of one server that comes
// back do not all connect at the same time. It returns false, at once, when ctx
// is done.
func (b *Backoff) Wait(ctx context.Context) bool {
	b.limit = min(max(2*b.limit, b.Min), b.Max)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(b.Min + rand.N(b.limit-b.Min+1)):
		return true
	}
}

// Reset makes the next Wait as short as the first. Call it when a try has
// succeeded.
func (b *Backoff) Reset() { b.limit = 0 }
