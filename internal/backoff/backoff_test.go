package backoff

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const least, most = 100 * time.Millisecond, 350 * time.Millisecond
		b := Backoff{Min: least, Max: most}
		for range 100 {
			for i, limit := range []time.Duration{least, 2 * least, most, most} {
				begin := time.Now()
				if !b.Wait(t.Context()) {
					t.Fatal("the context is not done")
				}
				if took := time.Since(begin); took < least || took > limit {
					t.Errorf("wait %d took %v, want %v to %v", i, took, least, limit)
				}
			}
			b.Reset()
		}

		// Later waits are longer, not only allowed to be.
		longest := time.Duration(0)
		for range 1000 {
			begin := time.Now()
			b.Wait(t.Context())
			longest = max(longest, time.Since(begin))
		}
		if longest < most*9/10 {
			t.Errorf("the longest wait is %v, want nearly %v", longest, most)
		}

		ctx, cancel := context.WithTimeout(t.Context(), least/2)
		defer cancel()
		begin := time.Now()
		if b.Wait(ctx) || time.Since(begin) != least/2 {
			t.Errorf("with a context that ended after %v, it waited %v", least/2, time.Since(begin))
		}
	})
}
