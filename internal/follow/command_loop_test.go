package follow

import (
	"cmp"
	"context"
	"log"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// play is an hour of a server that scans each interval, of a command, and of another
// program. The command takes some time, and in it writes at the times own. The other
// program writes at the times that other says.
type play struct {
	interval, takes time.Duration
	own             []time.Duration
	other           func(time.Duration) bool
	stops           time.Duration // how long it does not write, from minute 5 on
	restart         bool          // changes end the command
}

// told returns after how many runs the feedback is told of, each time. The mtimes of
// what is written are kept only if timed.
func (p play) told(timed bool) (told []int) {
	const ahead = time.Hour // the client's clock
	begin := check.Day1
	var f feedback
	var last, reported [2]time.Duration // mtimes of the command's file and the other one
	var waiting []wire.Event
	var running, held bool
	var since, until time.Duration // the run began; it is held back until
	runs := 0
	for now := 10 * time.Millisecond; now < time.Hour; now += 10 * time.Millisecond {
		if running && slices.Contains(p.own, now-since) && (now < 5*time.Minute || now > 5*time.Minute+p.stops) {
			last[0] = now
		}
		if p.other(now) {
			last[1] = now
		}
		if now%p.interval == 0 {
			for i := range last {
				if last[i] != reported[i] {
					e := wire.Event{Timestamp: begin.Add(now).UnixMilli()}
					if timed {
						e.Mtime = begin.Add(last[i])
					}
					waiting = append(waiting, e)
				}
			}
			reported = last
		}
		if running && (now >= since+p.takes || p.restart && len(waiting) > 0) {
			f.ran(begin.Add(ahead+since), begin.Add(ahead+now), p.restart)
			running = false
		}
		if !running && !held && len(waiting) > 0 {
			until, held = now, true
			switch f.judge(waiting, ahead, begin.Add(ahead+now)) {
			case manyRuns - 1:
				until += probe
			case manyRuns:
				told = append(told, runs)
			}
			waiting = nil
		}
		if held && now >= until {
			running, held, since = true, false, now
			runs++
		}
	}
	return told
}

// A command that writes below what is watched is told of once, after ten runs, and
// again after a calm; another writer is not mistaken for it. That is so whether mtimes
// tell when something was written or only the events do.
func TestFeedback(t *testing.T) {
	const ms = time.Millisecond
	times := func(t ...time.Duration) []time.Duration { return t }
	at := func(times ...time.Duration) func(time.Duration) bool {
		return func(now time.Duration) bool { return slices.Contains(times, now) }
	}
	each := func(period time.Duration) func(time.Duration) bool {
		return func(now time.Duration) bool { return now%period == 0 }
	}
	edit := at(30 * ms)
	later := at(30*ms, 10*time.Minute)
	for name, test := range map[string]struct {
		play
		want []int
	}{
		"it writes":                           {play{time.Second, 50 * ms, times(20 * ms), edit, 0, false}, []int{10}},
		"it writes at its end":                {play{time.Second, 50 * ms, times(40 * ms), edit, 0, false}, []int{10}},
		"it writes, and scans are fast":       {play{10 * ms, 50 * ms, times(20 * ms), edit, 0, false}, []int{10}},
		"it writes for long":                  {play{time.Second, 4700 * ms, times(10*ms, 2000*ms, 4690*ms), edit, 0, false}, []int{10}},
		"it writes at the end of a long run":  {play{time.Second, 5000 * ms, times(4990 * ms), edit, 0, false}, []int{10}},
		"it writes again after a calm":        {play{time.Second, 50 * ms, times(20 * ms), later, 2 * time.Minute, false}, []int{10, 306}},
		"another writes too, while it writes": {play{time.Second, 50 * ms, times(20 * ms), at(30*ms, 200*time.Second+500*ms), 0, false}, []int{10}},
		"another writes once, in the probe":   {play{time.Second, 50 * ms, times(20 * ms), at(30*ms, 12700*ms), 0, false}, []int{120}},

		"it writes nothing":                          {play{time.Second, 50 * ms, nil, edit, 0, false}, nil},
		"another writes often":                       {play{time.Second, 50 * ms, nil, each(100 * ms), 0, false}, nil},
		"another writes often, runs are long":        {play{time.Second, 5000 * ms, nil, each(100 * ms), 0, false}, nil},
		"another writes each second, runs are long":  {play{time.Second, 5000 * ms, nil, each(time.Second), 0, false}, nil},
		"another writes often, and scans are fast":   {play{10 * ms, 50 * ms, nil, each(10 * ms), 0, false}, nil},
		"another writes each 1.5 s, runs are short":  {play{time.Second, 50 * ms, nil, each(1500 * ms), 0, false}, nil},
		"another writes each 2 s, runs are short":    {play{time.Second, 50 * ms, nil, each(2 * time.Second), 0, false}, nil},
		"another writes each 3 s, runs are short":    {play{time.Second, 50 * ms, nil, each(3 * time.Second), 0, false}, nil},
		"another writes each minute, runs are short": {play{time.Second, 50 * ms, nil, each(time.Minute), 0, false}, nil},

		"a server that writes at its start":         {play{time.Second, time.Hour, times(20 * ms), edit, 0, true}, []int{10}},
		"a server that writes when it has compiled": {play{time.Second, time.Hour, times(4 * time.Second), edit, 0, true}, []int{10}},
		"a server that is edited each 20 s":         {play{time.Second, time.Hour, nil, each(20 * time.Second), 0, true}, nil},
		"a server that is edited each minute":       {play{time.Second, time.Hour, nil, each(time.Minute), 0, true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			check.Equal(t, "told after runs", test.want, test.told(true))
			check.Equal(t, "told after runs, without mtimes", test.want, test.told(false))
		})
	}
}

// The times of changes, against those of two runs, say how many runs in a row the
// command has caused.
func TestJudge(t *testing.T) {
	begin := check.Day1 // no time below is one of whole seconds
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	for name, test := range map[string]struct {
		changes     []int // when, in ms
		runs, after int   // in a row
		now         int   // in ms, 0 for soon
	}{
		"none":                                  {nil, 5, 0, 0},
		"in the last run":                       {[]int{10_500}, 5, 6, 0},
		"in the run before":                     {[]int{500}, 5, 6, 0},
		"in both":                               {[]int{500, 10_500}, 5, 6, 0},
		"just before the last run":              {[]int{9_900}, 5, 6, 0},
		"before the last run":                   {[]int{9_899}, 5, 0, 0},
		"just after the last run":               {[]int{11_100}, 5, 6, 0},
		"after the last run":                    {[]int{11_101}, 5, 0, 0},
		"just after the run before":             {[]int{1_100}, 5, 6, 0},
		"after the run before":                  {[]int{1_101}, 5, 0, 0},
		"just before the run before":            {[]int{-100}, 5, 6, 0},
		"before both, seen in time":             {[]int{-101}, 5, 6, 13_000},
		"before both, seen late":                {[]int{-101}, 5, 0, 13_001},
		"before both, and in a run":             {[]int{-101, 10_500}, 5, 6, 0},
		"in a run, and in none":                 {[]int{10_500, 5_000}, 5, 0, 0},
		"in none, and in a run":                 {[]int{5_000, 10_500}, 5, 0, 0},
		"in none, before a probe":               {[]int{5_000}, 8, 0, 0},
		"in none, after a probe":                {[]int{5_000}, 9, -100, 0},
		"in none, when it was named":            {[]int{5_000}, -7, -7, 0},
		"in a run, the first":                   {[]int{10_500}, 0, 1, 0},
		"in a run, before a probe":              {[]int{10_500}, 8, 9, 0},
		"in a run, after a probe":               {[]int{10_500}, 9, 10, 0},
		"in a run, which another program hides": {[]int{10_500}, -100, -99, 0},
		"in a run, a minute ago":                {[]int{10_500}, 5, 6, 71_000},
		"in a run, and then it was calm":        {[]int{10_500}, 5, 0, 71_001},
	} {
		f := feedback{runs: test.runs}
		f.ran(at(0), at(1_000), false)
		f.ran(at(10_000), at(11_000), false)
		now := cmp.Or(test.now, 12_000)
		var events []wire.Event
		for _, ms := range test.changes {
			events = append(events, wire.Event{Timestamp: at(now).UnixMilli(), Mtime: at(ms)})
		}
		check.Equal(t, name, test.after, f.judge(events, 0, at(now)))
	}
}

// An mtime that does not tell when a change was made counts for nothing: it may have
// been made in a run if it was seen soon after.
func TestJudgeUntold(t *testing.T) {
	begin := check.Day1.Truncate(time.Second)
	for name, mtime := range map[string]time.Time{
		"none":                  {},
		"of whole seconds":      begin.Add(5 * time.Second),
		"from before both runs": begin.Add(-time.Hour + 1),
	} {
		for seen, want := range map[time.Duration]int{
			2 * time.Second: 0, 3999 * time.Millisecond: 0, // from after the first run
			4 * time.Second: 6, 7 * time.Second: 6, 7001 * time.Millisecond: 0,
		} {
			f := feedback{runs: 5}
			f.ran(begin.Add(-2*time.Second), begin.Add(-time.Second), false)
			f.ran(begin.Add(4*time.Second+clockError), begin.Add(5*time.Second), false)
			e := wire.Event{Timestamp: begin.Add(seen).UnixMilli(), Mtime: mtime}
			check.Equal(t, name+", seen after "+seen.String(), want, f.judge([]wire.Event{e}, 0, begin.Add(7*time.Second)))
		}
	}
}

// Of a run that changes may end, what is written later than ten seconds after its
// begin is due to others; of another run, all is due to it.
func TestRan(t *testing.T) {
	at := func(s int) time.Time { return check.Day1.Add(time.Duration(s) * time.Second) }
	var f feedback
	times := func() []time.Time { return []time.Time{f.begin[1], f.end[1], f.begin[0], f.end[0]} }
	f.ran(at(0), at(5), true)
	f.ran(at(10), at(30), true)
	check.Equal(t, "two runs", []time.Time{at(0), at(5), at(10), at(20)}, times())
	f.ran(at(40), at(60), false)
	check.Equal(t, "the last two runs", []time.Time{at(10), at(20), at(40), at(60)}, times())
}

// How far the server's clock is behind is known from the last event.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Command{next: make(chan pending, 1)}
		c.Add([]wire.Event{change("a", time.Now().Add(-time.Hour).UnixMilli())})
		c.Trigger()
		if p := <-c.next; p.ahead != time.Hour {
			t.Errorf("ahead by %v", p.ahead)
		}
	})
}

// A real command whose every run causes the next one is named after ten.
func TestCommandCausesRuns(t *testing.T) {
	c := startCommand(t)
	c.cmd.Trigger()
	for range manyRuns + 2 {
		_, conn := c.next()
		now := time.Now()
		e := change("a", now.UnixMilli())
		e.Mtime = now
		c.cmd.Add([]wire.Event{e})
		end(conn, 0)
	}
	_, conn := c.next()
	end(conn, 0)
	c.close("COMMAND has run 10 times in a row, each time after changes made while it ran: does it write below what is watched? -ignore leaves that out (the last: modified a)")
}

// Before the run that would be the last to be named, the command is held back once.
func TestCommandHoldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out check.Buffer
		c := &Command{args: []string{"c"}, log: log.New(&out, "", 0)}
		p := &pending{events: []wire.Event{change("a", 1), change("b", 1)}}
		ctx, cancel := context.WithCancel(t.Context())
		holdBack := func(runs int, want bool, takes time.Duration, lines ...string) {
			t.Helper()
			begin := time.Now()
			if got := c.holdBack(ctx, runs, p); got != want || time.Since(begin) != takes {
				t.Errorf("before run %d: %v after %v", runs, got, time.Since(begin))
			}
			check.Equal(t, "log", lines, out.Take())
		}
		holdBack(8, true, 0)
		holdBack(9, true, 4*time.Second)
		holdBack(10, true, 0, "c has run 10 times in a row, each time after changes made while it ran: does it write below what is watched? -ignore leaves that out (the last: modified b)")
		holdBack(11, true, 0)
		cancel()
		holdBack(9, false, 0)
	})
}
