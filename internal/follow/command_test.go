package follow

import (
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"testing"

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
	conn.Write([]byte{3})
	conn.Close()
	c.expect(commandRun{File: "d", Change: "modified", Events: []string{"modified c", "modified d"}}, 0)
	exe, err := os.Executable()
	check.Must(t, err)
	check.Equal(t, "log", []string{wire.Printable(exe) + " failed: exit status 3"}, c.log.Take())

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
	var out check.Buffer
	c := NewCommand([]string{"./no such command"}, io.Discard, io.Discard, log.New(&out, "", 0))
	events := []wire.Event{unreadable, unreadable}
	c.Add(events)
	c.Close()
	c.Run(t.Context())
	check.Equal(t, "events", []wire.Event{unreadable, unreadable}, events)
	check.Equal(t, "log", []string(nil), out.Take())
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
	conn.Close()
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
	conn.Close()
	r, conn = c.next()
	if len(r.Events) != 3 || r.Bytes > maxBatch {
		t.Errorf("%d events in %d bytes, want 3", len(r.Events), r.Bytes)
	}

	// Where every target has an event of its own, and these are more than 1 MiB,
	// the next events do not collapse one by one.
	var many []wire.Event
	for i := range 15_000 {
		many = append(many, change(fmt.Sprintf("f%d", i), 1))
	}
	c.cmd.Add(many)
	c.cmd.Add([]wire.Event{below})
	conn.Close()
	r, conn = c.next()
	defer conn.Close()
	if n := len(r.Events); n != 15_001 || r.Events[0] != "missed f0" || r.Events[n-1] != "created d/x" {
		t.Errorf("%d events, the first %q, the last %q", n, r.Events[0], r.Events[n-1])
	}
	c.cancel()
	<-c.done
}

func TestCollapse(t *testing.T) {
	at := func(e wire.Event, ms int64) wire.Event { e.Timestamp = ms; return e }
	got := collapse([]wire.Event{
		at(change("a", 1), 1),
		at(wire.Event{Type: wire.Changed, File: "d/x", Target: "d", Change: wire.Created, Size: new(int64(1)), Mtime: check.Day1, State: "1"}, 2),
		{Type: wire.Changed, Timestamp: 3, File: "classic"},
		at(change("a", 4), 4),
		at(wire.Event{Type: wire.Changed, File: "d/y/", Target: "d", Change: wire.Removed, State: "5"}, 5),
		at(wire.Event{Type: wire.Changed, File: "b", Change: wire.Removed, State: "0"}, 6),
	})
	want := []wire.Event{
		{Type: wire.Changed, Timestamp: 3, Change: wire.Missed, File: "classic"},
		{Type: wire.Changed, Timestamp: 4, File: "a", Change: wire.Missed, Size: new(int64(4)), State: "4"},
		{Type: wire.Changed, Timestamp: 5, File: "d", Change: wire.Missed, State: "5"},
		{Type: wire.Changed, Timestamp: 6, File: "b", Change: wire.Missed, State: "0"},
	}
	check.Equal(t, "events", want, got)
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

// A command that cannot be started is logged, and tried again with the next
// events.
func TestCommandCannotStart(t *testing.T) {
	var out check.Buffer
	c := NewCommand([]string{"./no such command"}, io.Discard, io.Discard, log.New(&out, "", 0))
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(t.Context())
	}()
	for range 2 {
		c.Add([]wire.Event{change("a", 1)})
		var lines []string
		check.Eventually(t, "a log line", func() bool { lines = out.Take(); return lines != nil })
		if len(lines) != 1 || !strings.HasPrefix(lines[0], "./no such command failed: ") {
			t.Errorf("log %q", lines)
		}
	}
	c.Close()
	<-done
}
