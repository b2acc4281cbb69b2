package console

import (
	"fmt"
	"log"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
)

// A crowd gets ten lines a second, and one for the rest.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out check.Buffer
		summary := func(counts string) string { return "targets: " + counts }
		l := NewLimiter(log.New(&out, "", 0), false, summary)
		var want []string
		for i := range 30 {
			l.Print("hung", fmt.Sprint("hung: ", i))
			if i < maxLinesPerSecond {
				want = append(want, fmt.Sprint("hung: ", i))
			}
		}
		l.Print("back", "back: 0")
		l.Print("back", "back: 1")
		check.Equal(t, "at once", want, out.Take())
		time.Sleep(time.Second)
		synctest.Wait()
		check.Equal(t, "a second later", []string{"targets: 2 more back, 20 more hung"}, out.Take())
		l.Print("back", "back: 2")
		check.Equal(t, "then", []string{"back: 2"}, out.Take())
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := out.Take(); got != nil {
			t.Errorf("nothing happened, and it logs %q", got)
		}

		for range maxLinesPerSecond + 1 {
			l.Print("hung", "hung")
		}
		out.Take()
		l.Flush()
		check.Equal(t, "at the end", []string{"targets: 1 more hung"}, out.Take())

		l = NewLimiter(log.New(&out, "", 0), true, nil)
		for range 50 {
			l.Print("hung", "hung")
		}
		if got := len(out.Take()); got != 50 {
			t.Errorf("%d lines with all, want 50", got)
		}
	})
}

// A log.Logger can write to it. Its lines are all of one kind.
func TestLimiterWrites(t *testing.T) {
	var out check.Buffer
	l := NewLimiter(log.New(&out, "", 0), false, func(counts string) string { return counts })
	log := log.New(l, "", 0)
	var want []string
	for i := range 30 {
		log.Print(i)
		if i < maxLinesPerSecond {
			want = append(want, fmt.Sprint(i))
		}
	}
	l.Flush()
	check.Equal(t, "lines", append(want, "20 more lines"), out.Take())
}
