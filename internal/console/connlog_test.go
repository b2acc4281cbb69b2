package console

import (
	"fmt"
	"log"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
)

// A crowd gets ten lines a second, and one for the rest.
func TestConnLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out check.Buffer
		var now atomic.Int64
		c := NewConnLog(log.New(&out, "", 0), false, func() int { return int(now.Load()) })
		for i := range 30 {
			c.Report("connected", fmt.Sprint("c", i), "", i+1)
		}
		c.Report("disconnected", "c0", "", 29)
		c.Report("disconnected", "c1", "connection reset by peer", 28)
		c.Report("disconnected", "c2", "connection reset by peer", 27)
		now.Store(27)
		var want []string
		for i := range maxLinesPerSecond {
			want = append(want, fmt.Sprintf("subscriber connected: c%d (%d now)", i, i+1))
		}
		check.Equal(t, "at once", want, out.Take())
		time.Sleep(time.Second)
		synctest.Wait()
		want = []string{"subscribers: 20 more connected, 1 more disconnected, 2 more disconnected (connection reset by peer) (27 now)"}
		check.Equal(t, "a second later", want, out.Take())
		c.Report("disconnected", "c3", "", 26)
		check.Equal(t, "then", []string{"subscriber disconnected: c3 (26 now)"}, out.Take())
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := out.Take(); got != nil {
			t.Errorf("nothing happened, and it logs %q", got)
		}

		now.Store(1)
		for range 11 {
			c.Report("connected", "d", "", 1)
		}
		out.Take()
		c.Flush()
		check.Equal(t, "at the end", []string{"subscribers: 1 more connected (1 now)"}, out.Take())

		c = NewConnLog(log.New(&out, "", 0), true, nil)
		for range 50 {
			c.Report("connected", "e", "", 1)
		}
		if got := len(out.Take()); got != 50 {
			t.Errorf("%d lines with -v, want 50", got)
		}
	})
}
