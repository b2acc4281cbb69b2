package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

func TestCommand(t *testing.T) {
	c := startCommand(t)
	c.cmd.Trigger()
	c.expect(commandRun{}, 0)

	c.cmd.Add([]wire.Event{change("a", 1), {Type: wire.Changed, File: "b", Change: wire.Removed}})
	got, conn := c.next()
	got.Bytes = 0
	want := commandRun{File: "b", Change: "removed", Events: []string{"modified a", "removed b"}}
	check.Equal(t, "run", want, got)

	// Events that come during a run lead to one more run, with all of them.
	c.cmd.Add([]wire.Event{change("c", 1)})
	c.cmd.Trigger()
	c.cmd.Add([]wire.Event{change("d", 1), unreadable})
	end(conn, 0)
	c.expect(commandRun{File: "d", Change: "modified", Events: []string{"modified c", "modified d"}}, 0)

	// Close leaves what is pending to a last run.
	c.cmd.Add([]wire.Event{change("g", 1)})
	c.cmd.Close()
	c.expect(commandRun{File: "g", Change: "modified", Events: []string{"modified g"}}, 0)
	<-c.done
	check.Equal(t, "log", []string(nil), c.log.Take())
}

var unreadable = wire.Event{Type: wire.Changed, File: "e", Change: wire.Unreadable, Error: "x"}

// An unreadable path is no reason for a run. Add leaves its argument as it is.
func TestCommandUnreadable(t *testing.T) {
	c := startCommand(t)
	events := []wire.Event{unreadable, unreadable}
	c.cmd.Add(events)
	c.close()
	check.Equal(t, "events", []wire.Event{unreadable, unreadable}, events)
}

// The events of runs that failed come first in the next run, which a change causes.
func TestCommandKeepsFailed(t *testing.T) {
	c := startCommand(t)
	c.cmd.Add([]wire.Event{change("a", 1)})
	c.expect(commandRun{File: "a", Change: "modified", Events: []string{"modified a"}}, 1)
	c.logged("COMMAND failed after TIME: exit status 1")
	c.cmd.Add([]wire.Event{change("b", 1)})
	_, conn := c.next()
	c.cmd.Add([]wire.Event{change("c", 1)})
	conn.Close()
	c.expect(commandRun{File: "c", Change: "modified", Events: []string{"modified a", "modified b", "modified c"}}, 0)
	c.cmd.Add([]wire.Event{change("d", 1)})
	c.expect(commandRun{File: "d", Change: "modified", Events: []string{"modified d"}}, 0)

	// They are bounded with those that come after them.
	for i := range 3 {
		c.cmd.Add([]wire.Event{change(strings.Repeat("x", 500<<10), int64(i))})
		r, conn := c.next()
		if want := []int{1, 2, 1}; len(r.Events) != want[i] || r.Bytes > maxBatch {
			t.Errorf("run %d: %d events in %d bytes", i, len(r.Events), r.Bytes)
		}
		end(conn, 1)
	}

	// Without a change there is no other run.
	const failed = "COMMAND failed after TIME: exit status 1"
	c.close("COMMAND failed after TIME: exit status 104", failed, failed, failed)
}

// With Verbose, each run and its end are logged.
func TestCommandVerbose(t *testing.T) {
	c := startCommand(t)
	c.cmd.Verbose = true // nothing has been added yet
	c.cmd.Add([]wire.Event{change("a", 1), change("b", 1)})
	c.expect(commandRun{File: "b", Change: "modified", Events: []string{"modified a", "modified b"}}, 0)
	c.logged("COMMAND started (process PID, events: 2)", "COMMAND ended after TIME: exit status 0")
	c.cmd.Trigger()
	c.expect(commandRun{}, 2)
	c.close("COMMAND started (process PID, events: 0)", "COMMAND failed after TIME: exit status 2")
}

// A run that takes a minute is named once changes wait for its end, and not before.
func TestCommandTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out check.Buffer
		c := &Command{args: []string{"c"}, log: log.New(&out, "", 0), next: make(chan pending, 1)}
		end, ended := make(chan error), make(chan bool)
		r := &run{process: execution{cmd: &exec.Cmd{Process: &os.Process{Pid: 7}}}, begin: time.Now()}
		go func() {
			named, _, err := c.await(t.Context(), end, r)
			ended <- named && err == io.EOF
		}()
		time.Sleep(10*longRun + longRun/2)
		synctest.Wait()
		check.Equal(t, "log", []string(nil), out.Take())
		c.Add([]wire.Event{change("a", 1)})
		time.Sleep(10 * longRun)
		end <- io.EOF
		if !<-ended {
			t.Error("await returns something else")
		}
		check.Equal(t, "log", []string{"c has run for 11m0s, and changes wait for its end (process 7)"}, out.Take())
	})
}

// With Once, Run returns after the first run, whatever is pending, with its status.
func TestCommandOnce(t *testing.T) {
	c := startCommand(t)
	c.cmd.Once = true // nothing has been added yet
	c.cmd.Add([]wire.Event{unreadable})
	c.cmd.Add([]wire.Event{change("a", 1)})
	_, conn := c.next()
	c.cmd.Add([]wire.Event{change("b", 1)})
	end(conn, 7)
	<-c.done
	check.Equal(t, "status", 7, c.cmd.Status())
	c.logged("COMMAND failed after TIME: exit status 7")

	c = startCommand(t)
	c.cmd.Once = true
	c.cmd.Trigger()
	_, conn = c.next()
	end(conn, 0)
	<-c.done
	check.Equal(t, "status", 0, c.cmd.Status())
}

// With Restart, a change ends a run, and the next one gets its events again, with all
// that came meanwhile. A run that has ended by itself is started as ever.
func TestCommandRestart(t *testing.T) {
	c := startCommand(t)
	c.cmd.Restart, c.cmd.Verbose = true, true // nothing has been added yet
	c.cmd.Trigger()
	_, first := c.next()
	c.logged("COMMAND started (process PID, events: 0)")
	c.cmd.Add([]wire.Event{change("a", 1)})
	r, second := c.next()
	check.Equal(t, "events", []string{"modified a"}, r.Events)
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the first run goes on")
	}
	c.cmd.Add([]wire.Event{change("b", 1)})
	r, third := c.next()
	second.Close()
	check.Equal(t, "events", []string{"modified a", "modified b"}, r.Events)
	end(third, 0)
	check.Eventually(t, "the third run has ended", func() bool {
		return strings.Contains(strings.Join(c.log.Take(), "\n"), "exit status 0")
	})
	c.cmd.Add([]wire.Event{change("c", 1)})
	c.expect(commandRun{File: "c", Change: "modified", Events: []string{"modified c"}}, 0)
	c.cmd.Close()
	<-c.done
}

// With Once and Restart, the first run that no change ends is the last, and its status
// counts.
func TestCommandOnceRestart(t *testing.T) {
	c := startCommand(t)
	c.cmd.Once, c.cmd.Restart = true, true // nothing has been added yet
	c.cmd.Add([]wire.Event{change("a", 1)})
	c.next()
	c.cmd.Add([]wire.Event{change("b", 1)})
	r, conn := c.next()
	check.Equal(t, "events", []string{"modified a", "modified b"}, r.Events)
	end(conn, 7)
	<-c.done
	check.Equal(t, "status", 7, c.cmd.Status())
	c.logged("COMMAND failed after TIME: exit status 7")
}

// A run that fails while the changes that would end it settle has failed by itself, and
// the log has that at once.
func TestCommandFailsWhileSettling(t *testing.T) {
	c := startCommand(t)
	c.cmd.Restart, c.cmd.Settle = true, time.Hour // nothing has been added yet
	c.cmd.Trigger()
	_, conn := c.next()
	c.cmd.Add([]wire.Event{change("a", 1)})
	check.Eventually(t, "the change settles", func() bool { return len(c.cmd.next) == 0 })
	end(conn, 7)
	c.logged("COMMAND failed after TIME: exit status 7")
	c.cancel()
	<-c.done
	check.Equal(t, "log", []string(nil), c.log.Take())
}

// What a command has started ends with it: when it is started anew, and when ctx is done.
func TestCommandTree(t *testing.T) {
	t.Setenv("NET_WATCHER_TEST_CHILD", "1")
	c := startCommand(t)
	c.cmd.Restart = true // nothing has been added yet
	for n := range 3 {
		c.cmd.Add([]wire.Event{change("a", int64(n))})
		_, one := c.next()
		_, other := c.next()
		if n == 2 {
			c.cancel()
			<-c.done
		} else {
			c.cmd.Add([]wire.Event{change("b", int64(n))})
		}
		for i, conn := range []net.Conn{one, other} {
			conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after change %d process %d goes on: %v", n, i, err)
			}
		}
		if n < 2 { // the run after b
			c.next()
			c.next()
		}
	}
}

// With Settle, events wait until there were none for so long, but no longer than ten
// times that. Without an event a run begins at once.
func TestCommandSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Command{Settle: time.Second, next: make(chan pending, 1)}
		var got []string
		ctx, cancel := context.WithCancel(t.Context())
		receive := func() {
			began := time.Now()
			p, ok := c.receive(ctx)
			got = append(got, fmt.Sprintf("%d after %v, %v", len(p.events), time.Since(began), ok))
		}
		add := func(n int, each time.Duration) {
			for range n {
				c.Add([]wire.Event{change("a", 1)})
				time.Sleep(each)
			}
		}
		c.Trigger()
		receive()
		go add(1, 0)
		receive()
		go add(5, 900*time.Millisecond)
		receive()
		go add(20, 900*time.Millisecond)
		receive() // while events still come
		receive()
		go func() { add(1, 0); c.Trigger(); time.Sleep(500 * time.Millisecond); cancel() }()
		receive() // ctx is done
		check.Equal(t, "settled", []string{
			"0 after 0s, true", "1 after 1s, true", "5 after 4.6s, true",
			"12 after 10s, true", "8 after 8.1s, true", "1 after 500ms, false",
		}, got)
	})
}

// Close does not wait until events have settled.
func TestCommandSettleClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Command{Settle: time.Hour, next: make(chan pending, 1)}
		c.Add([]wire.Event{change("a", 1)})
		began := time.Now()
		time.AfterFunc(time.Minute, c.Close)
		p, ok := c.receive(t.Context())
		if len(p.events) != 1 || !ok || time.Since(began) != time.Minute {
			t.Errorf("%d events after %v, %v", len(p.events), time.Since(began), ok)
		}
	})
}

// A command that runs when ctx is done is ended, and does not run again.
func TestCommandIsEnded(t *testing.T) {
	c := startCommand(t)
	c.cmd.Add([]wire.Event{change("a", 1)})
	_, conn := c.next()
	c.cmd.Add([]wire.Event{change("b", 1)})
	c.cancel()
	<-c.done
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the command still runs")
	}
	check.Equal(t, "log", []string(nil), c.log.Take())
}

// More than 1 MiB of events becomes a missed for each target.
func TestCommandCollapses(t *testing.T) {
	c := startCommand(t)
	c.cmd.Add([]wire.Event{change("first", 1)})
	_, conn := c.next()
	for i := range 20_000 {
		c.cmd.Add([]wire.Event{change(fmt.Sprintf("f%d", i%3), int64(i))})
	}
	below := wire.Event{Type: wire.Changed, File: "d/x", Target: "d", Change: wire.Created, State: "1"}
	c.cmd.Add([]wire.Event{below})
	end(conn, 0)
	r, conn := c.next()
	missed := map[string]int{}
	for _, line := range r.Events {
		if change, file, _ := strings.Cut(line, " "); change == string(wire.Missed) {
			missed[file]++
		}
	}
	check.Equal(t, "missed", map[string]int{"f0": 1, "f1": 1, "f2": 1}, missed)
	if len(r.Events) > 15_000 || r.Bytes > maxBatch || r.File != "d/x" {
		t.Errorf("%d events in %d bytes, the last of %s", len(r.Events), r.Bytes, r.File)
	}

	// Collapsed events count for the limit too: here 300 KiB, and 800 KiB come
	// after it.
	for i := range 19 {
		c.cmd.Add([]wire.Event{change(fmt.Sprint(strings.Repeat("x", 100<<10), i%3), int64(i))})
	}
	end(conn, 0)
	r, conn = c.next()
	if len(r.Events) != 3 || r.Bytes > maxBatch {
		t.Errorf("%d events in %d bytes, want 3", len(r.Events), r.Bytes)
	}

	// Where every target has an event of its own, they may be more than 1 MiB.
	var many []wire.Event
	for i := range 15_000 {
		many = append(many, change(fmt.Sprintf("f%d", i), 1))
	}
	c.cmd.Add(many)
	c.cmd.Add([]wire.Event{below})
	end(conn, 0)
	r, conn = c.next()
	defer conn.Close()
	if n := len(r.Events); n != 15_001 || r.Events[0] != "missed f0" || r.Events[n-1] != "missed d" {
		t.Errorf("%d events, the first %q, the last %q", n, r.Events[0], r.Events[n-1])
	}
	c.cancel()
	<-c.done
}

// Where every target has an event of its own, and these are more than 1 MiB, Add does
// not collapse them anew each time.
func TestCommandManyTargets(t *testing.T) {
	c := &Command{next: make(chan pending, 1)}
	var many []wire.Event
	for i := range 15_000 {
		many = append(many, change(fmt.Sprintf("f%d", i), 1))
	}
	c.Add(many)
	c.Add(many[:1])
	p := <-c.next
	if n := len(p.events); n != 15_001 || p.bytes < maxBatch || p.events[0].Change != wire.Missed || p.events[n-1].Change != wire.Modified {
		t.Errorf("%d events in %d bytes, the first %v, the last %v", n, p.bytes, &p.events[0], &p.events[n-1])
	}
}

func TestCollapse(t *testing.T) {
	at := func(e wire.Event, ms int64) wire.Event { e.Timestamp = ms; return e }
	var p pending
	p.add([]wire.Event{
		at(change("z", 0), 0),
		at(change("a", 1), 1),
		at(wire.Event{Type: wire.Changed, File: "d/x", Target: "d", Change: wire.Created, Size: new(int64(1)), Mtime: check.Day1, State: "1"}, 2),
		{Type: wire.Changed, Timestamp: 3, File: "classic"},
		at(change("a", 4), 4),
		at(wire.Event{Type: wire.Changed, File: "d/y/", Target: "d", Change: wire.Removed, State: "5"}, 5),
		at(wire.Event{Type: wire.Changed, File: "b", Change: wire.Removed, State: "0"}, 6),
	})
	p.collapse()
	want := []wire.Event{
		{Type: wire.Changed, Timestamp: 0, File: "z", Change: wire.Missed, Size: new(int64(0)), State: "0"},
		{Type: wire.Changed, Timestamp: 3, Change: wire.Missed, File: "classic"},
		{Type: wire.Changed, Timestamp: 4, File: "a", Change: wire.Missed, Size: new(int64(4)), State: "4"},
		{Type: wire.Changed, Timestamp: 5, File: "d", Change: wire.Missed, State: "5"},
		{Type: wire.Changed, Timestamp: 6, File: "b", Change: wire.Missed, State: "0"},
	}
	check.Equal(t, "events", want, p.events)
}

// A name that no environment can hold is on standard input only.
func TestCommandNames(t *testing.T) {
	c := startCommand(t)
	for _, name := range []string{strings.Repeat("x", 200<<10), "a\x00b"} {
		e := change(name, 1)
		c.cmd.Add([]wire.Event{e})
		c.expect(commandRun{Change: "modified", Events: []string{e.String()}}, 0)
	}
	odd := wire.Event{Type: wire.Changed, File: "a", Change: "b\x00c"}
	c.cmd.Add([]wire.Event{odd})
	c.expect(commandRun{File: "a", Events: []string{odd.String()}}, 0)
	// The change of a classic server has no kind.
	c.cmd.Add([]wire.Event{{Type: wire.Changed, Timestamp: 1, File: "target.txt"}})
	c.expect(commandRun{File: "target.txt", Events: []string{"changed target.txt"}}, 0)
	c.close()
}

// What comes while a run is being ended is part of the next.
func TestCommandAddPending(t *testing.T) {
	c := &Command{next: make(chan pending, 1)}
	var p pending
	p.add([]wire.Event{change("a", 1)})
	c.addPending(&p)
	c.Add([]wire.Event{change("b", 1)})
	c.addPending(&p)
	want := []wire.Event{change("a", 1), change("b", 1)}
	check.Equal(t, "events", want, p.events)
	c.Close()
	c.addPending(&p)
	check.Equal(t, "events after the end", want, p.events)

	p.join(pending{events: want[:1], ahead: time.Second})
	p.join(pending{})
	check.Equal(t, "the clock's lead, as of the last event", time.Second, p.ahead)
}
