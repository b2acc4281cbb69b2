package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// report is what a command that a test runs tells the test.
type report struct {
	File, Change string
	Events       []string // of its standard input, in brief
}

// testCommand is such a command: it reports to the address, and ends with the
// status that it is told, or when the connection ends.
func testCommand(address string) int {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 100
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 101
	}
	r := report{File: os.Getenv("NET_WATCHER_FILE"), Change: os.Getenv("NET_WATCHER_CHANGE")}
	for line := range strings.Lines(string(stdin)) {
		e, err := wire.Decode([]byte(line))
		if err != nil {
			return 102
		}
		r.Events = append(r.Events, e.String())
	}
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return 103
	}
	var status [1]byte
	if _, err := conn.Read(status[:]); err != nil {
		return 104
	}
	return int(status[0])
}

// commandTest is a command, and where its runs report.
type commandTest struct {
	*testing.T
	*Command
	listener net.Listener
	output   *check.Buffer
	cancel   context.CancelFunc
	done     chan struct{} // closed when run has returned
}

func newCommandTest(t *testing.T) *commandTest {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.Must(t, err)
	t.Cleanup(func() { l.Close() })
	t.Setenv("NET_WATCHER_TEST_COMMAND", l.Addr().String())
	exe, err := os.Executable()
	check.Must(t, err)
	output := &check.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	c := &commandTest{
		T: t, Command: NewCommand([]string{exe}, os.Stderr, os.Stderr, log.New(output, "", 0)),
		listener: l, output: output, cancel: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		c.Command.Run(ctx)
	}()
	return c
}

// next waits for the next run and returns what it reports, and the connection
// by which it is ended.
func (c *commandTest) next() (report, net.Conn) {
	c.Helper()
	c.listener.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
	conn, err := c.listener.Accept()
	check.Must(c.T, err)
	var r report
	check.Must(c.T, json.NewDecoder(conn).Decode(&r))
	return r, conn
}

// expect waits for the next run, checks what it reports, and ends it.
func (c *commandTest) expect(want report, status byte) {
	c.Helper()
	got, conn := c.next()
	defer conn.Close()
	check.Equal(c.T, "events", want, got)
	_, err := conn.Write([]byte{status})
	check.Must(c.T, err)
}

func TestCommand(t *testing.T) {
	c := newCommandTest(t)
	c.Trigger()
	c.expect(report{}, 0)

	c.Add([]wire.Event{change("a", 1), {Type: wire.Changed, File: "b", Change: wire.Removed}})
	got, conn := c.next()
	want := report{File: "b", Change: "removed", Events: []string{"modified a", "removed b"}}
	check.Equal(t, "events", want, got)

	// What comes while it runs leads to one more run, with all of it.
	c.Add([]wire.Event{change("c", 1)})
	c.Add([]wire.Event{change("d", 1)})
	c.Add([]wire.Event{{Type: wire.Changed, File: "e", Change: wire.Unreadable, Error: "x"}})
	conn.Write([]byte{3})
	conn.Close()
	c.expect(report{File: "d", Change: "modified", Events: []string{"modified c", "modified d"}}, 0)
	if said := strings.Join(c.output.Take(), "\n"); !strings.HasSuffix(said, " failed: exit status 3") {
		t.Errorf("of a run that failed the console says %q", said)
	}

	// What cannot be looked at is no reason for a run.
	c.Add([]wire.Event{{Type: wire.Changed, File: "e", Change: wire.Unreadable, Error: "x"}})
	c.Add([]wire.Event{change("f", 1)})
	c.expect(report{File: "f", Change: "modified", Events: []string{"modified f"}}, 0)

	// At the end, what is left is still done.
	c.Add([]wire.Event{change("g", 1)})
	c.Close()
	c.expect(report{File: "g", Change: "modified", Events: []string{"modified g"}}, 0)
	<-c.done
	if said := c.output.Take(); said != nil {
		t.Errorf("the console says %q", said)
	}
}

// A command that is running at the end is ended.
func TestCommandIsEnded(t *testing.T) {
	c := newCommandTest(t)
	c.Add([]wire.Event{change("a", 1)})
	_, conn := c.next()
	c.Add([]wire.Event{change("b", 1)})
	c.cancel()
	<-c.done
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("it is still there")
	}
	if said := c.output.Take(); said != nil {
		t.Errorf("the console says %q", said)
	}
}

// More than a MiB is not told one by one.
func TestCommandCollapses(t *testing.T) {
	c := newCommandTest(t)
	c.Add([]wire.Event{change("first", 1)})
	_, conn := c.next()
	for i := range 20_000 {
		c.Add([]wire.Event{change(fmt.Sprintf("f%d", i%3), int64(i))})
	}
	c.Add([]wire.Event{{Type: wire.Changed, File: "d/x", Target: "d", Change: wire.Created, State: "1"}})
	conn.Close()
	r, conn := c.next()
	conn.Close()
	missed := map[string]bool{}
	for _, line := range r.Events {
		if change, file, _ := strings.Cut(line, " "); change == string(wire.Missed) {
			if missed[file] {
				t.Errorf("%s missed twice", file)
			}
			missed[file] = true
		}
	}
	if len(missed) != 3 || len(r.Events) > 15_000 || r.File != "d/x" {
		t.Errorf("missed: %v; %d events, the last of %s", missed, len(r.Events), r.File)
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
	c := newCommandTest(t)
	for _, name := range []string{strings.Repeat("x", 200<<10), "a\x00b"} {
		e := change(name, 1)
		c.Add([]wire.Event{e})
		c.expect(report{Change: "modified", Events: []string{e.String()}}, 0)
	}
	odd := wire.Event{Type: wire.Changed, File: "a", Change: "b\x00c"}
	c.Add([]wire.Event{odd})
	c.expect(report{File: "a", Events: []string{odd.String()}}, 0)
	// A classic server's change has the name of its greeting, and is no more
	// than a change.
	c.Add([]wire.Event{{Type: wire.Changed, Timestamp: 1, File: "target.txt"}})
	c.expect(report{File: "target.txt", Events: []string{"changed target.txt"}}, 0)
	c.Close()
	<-c.done
	if said := c.output.Take(); said != nil {
		t.Errorf("the console says %q", said)
	}
}

// A command that cannot be started is told, and the next one is tried.
func TestCommandCannotStart(t *testing.T) {
	var out check.Buffer
	c := NewCommand([]string{"./no such command"}, io.Discard, io.Discard, log.New(&out, "", 0))
	c.Add([]wire.Event{change("a", 1)})
	c.Close()
	c.Run(t.Context())
	if said := out.Take(); len(said) != 1 || !strings.HasPrefix(said[0], "./no such command failed: ") {
		t.Errorf("the console says %q", said)
	}
}
