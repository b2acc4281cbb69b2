package follow

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// TestMain runs testCommand instead of the tests if NET_WATCHER_TEST_COMMAND has
// an address: the test binary is also the command that the tests run.
func TestMain(m *testing.M) {
	if address := os.Getenv("NET_WATCHER_TEST_COMMAND"); address != "" {
		if os.Getenv("NET_WATCHER_TEST_CHILD") != "" {
			startChild()
		}
		os.Exit(testCommand(address))
	}
	os.Exit(m.Run())
}

// clientTest is a Client in a synctest bubble; the test is the server of its
// connections.
type clientTest struct {
	t      *testing.T
	dials  chan net.Conn // the servers' ends
	mu     sync.Mutex
	sent   string   // by the client; guarded by mu
	events []string // handled, in brief, with their states
	begins int      // calls of Begun
	log    *check.Buffer
	cancel context.CancelFunc
	done   chan error // the result of Run
}

// startClient runs a Client of the server "there", with the fields that set
// changes; set may be nil.
func startClient(t *testing.T, set func(*Client)) *clientTest {
	ct := &clientTest{t: t, dials: make(chan net.Conn), log: &check.Buffer{}, done: make(chan error, 1)}
	c := &Client{
		Server: "there",
		Log:    log.New(ct.log, "", 0),
		Dial: func(ctx context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			select {
			case ct.dials <- theirs:
				return ours, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Begun: func() { ct.begins++ },
		Handle: func(events []wire.Event) error {
			for _, e := range events {
				ct.events = append(ct.events, e.String()+" "+e.State)
			}
			return nil
		},
	}
	if set != nil {
		set(c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ct.cancel = cancel
	go func() { ct.done <- c.Run(ctx) }()
	return ct
}

// accept waits until the client connects. What the client sends is read at once.
func (ct *clientTest) accept() net.Conn {
	conn := <-ct.dials
	go func() {
		var b [100]byte
		for n, err := conn.Read(b[:]); err == nil; n, err = conn.Read(b[:]) {
			ct.mu.Lock()
			ct.sent += string(b[:n])
			ct.mu.Unlock()
		}
	}()
	return conn
}

// expectSent checks what the client has sent since the last call.
func (ct *clientTest) expectSent(want string) {
	ct.t.Helper()
	synctest.Wait()
	ct.mu.Lock()
	defer ct.mu.Unlock()
	check.Equal(ct.t, "sent", want, ct.sent)
	ct.sent = ""
}

// send sends lines, each in a write of its own, and waits until the client waits
// for more.
func (ct *clientTest) send(conn net.Conn, lines ...string) {
	ct.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(conn, line); err != nil {
			ct.t.Errorf("sending %q: %v", line, err)
		}
	}
	synctest.Wait()
}

// expect checks the events and the log lines since the last call.
func (ct *clientTest) expect(events []string, lines ...string) {
	ct.t.Helper()
	synctest.Wait()
	check.Equal(ct.t, "events", events, ct.events)
	check.Equal(ct.t, "log", lines, ct.log.Take())
	ct.events = nil
}

// end waits until Run returns, and checks its error.
func (ct *clientTest) end(want string) {
	ct.t.Helper()
	if err := <-ct.done; check.Message(err) != want {
		ct.t.Errorf("Run returned %q, want %q", check.Message(err), want)
	}
}

func (ct *clientTest) stop() {
	ct.t.Helper()
	ct.cancel()
	ct.end("")
}

// Log lines of a client that startClient runs.
const (
	following   = "following there"
	reconnected = "reconnected to there"
	lost        = "connection to there lost: "
	closed      = lost + "the server closed the connection"
	retrying    = "cannot connect to there, retrying: "
)

// textLine is the greeting of a net-watcher in text.
const textLine = "2026-11-22T03:14:04.512+01:00 watching a\n"

// unknown returns the log line about a line of an unknown type.
func unknown(name string) string {
	return fmt.Sprintf("the server sent a line of type %q, which this client does not know; taken as missed", name)
}

// watchingLine returns a line of the greeting of a server of several targets.
func watchingLine(file, state string, targets int) string {
	return fmt.Sprintf(`{"type":"watching","file":%q,"protocol":1,"interval":1000,"targets":%d,"size":1,"state":%q}`+"\n", file, targets, state)
}

// modifiedLine returns the line of a change of a target.
func modifiedLine(file, state string) string {
	return fmt.Sprintf(`{"type":"changed","timestamp":1,"file":%q,"change":"modified","size":1,"state":%q}`+"\n", file, state)
}

// createdLine returns the line of a change below a target.
func createdLine(file, target, state string) string {
	return fmt.Sprintf(`{"type":"changed","file":%q,"target":%q,"change":"created","state":%q}`+"\n", file, target, state)
}

// change returns a Modified event of a target whose size and state are n.
func change(file string, n int64) wire.Event {
	return wire.Event{Type: wire.Changed, Timestamp: n, File: file, Change: wire.Modified, Size: &n, State: fmt.Sprint(n)}
}

// chunks is a connection that delivers b, at most n bytes at a time, and then ends.
type chunks struct {
	net.Conn // nil: for the methods that a client does not call
	b        []byte
	n        int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p, c.b[:min(c.n, len(c.b))])
	c.b = c.b[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (*chunks) Write(p []byte) (int, error)      { return len(p), nil }
func (*chunks) SetReadDeadline(time.Time) error  { return nil }
func (*chunks) SetWriteDeadline(time.Time) error { return nil }
func (*chunks) Close() error                     { return nil }

// commandRun is what a run of testCommand got.
type commandRun struct {
	File, Change string   // of the environment
	Events       []string // of the standard input, in brief
	Bytes        int      // of the standard input
}

// testCommand sends a commandRun to address. It returns the exit status, which is
// the byte that comes back, or a high one when the connection ends.
func testCommand(address string) int {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 100
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 101
	}
	r := commandRun{File: os.Getenv("NET_WATCHER_FILE"), Change: os.Getenv("NET_WATCHER_CHANGE"), Bytes: len(stdin)}
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

// startChild starts another process that runs testCommand.
func startChild() {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "NET_WATCHER_TEST_CHILD=")
	if err := child.Start(); err != nil {
		panic(err)
	}
}

// commandTest is a Command that runs testCommand, and the server of its runs.
type commandTest struct {
	t        *testing.T
	cmd      *Command
	listener *net.TCPListener
	log      *check.Buffer
	cancel   context.CancelFunc
	done     chan struct{} // closed when Run has returned
}

// newCommand returns a Command that prints to out, and logs to logged.
func newCommand(t *testing.T, out, logged io.Writer, args ...string) *Command {
	t.Helper()
	c, err := NewCommand(args, out, os.Stderr, log.New(logged, "", 0))
	check.Must(t, err)
	return c
}

// runPiped has a Command run args on one event. It returns what its processes print, and a
// channel that is closed when Run has returned.
func runPiped(t *testing.T, ctx context.Context, killDelay time.Duration, restart bool, args ...string) (*Command, *bufio.Reader, <-chan struct{}) {
	t.Helper()
	r, w, err := os.Pipe()
	check.Must(t, err)
	t.Cleanup(func() { r.Close() })
	c := newCommand(t, w, t.Output(), args...)
	c.killDelay = killDelay
	c.Restart = restart
	c.Add([]wire.Event{change("a", 1)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		c.Run(ctx)
	}()
	return c, bufio.NewReader(r), done
}

func startCommand(t *testing.T) *commandTest {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.Must(t, err)
	t.Cleanup(func() { l.Close() })
	t.Setenv("NET_WATCHER_TEST_COMMAND", l.Addr().String())
	exe, err := os.Executable()
	check.Must(t, err)
	output := &check.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	ct := &commandTest{
		t: t, cmd: newCommand(t, os.Stderr, output, exe),
		listener: l.(*net.TCPListener), log: output, cancel: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(ct.done)
		ct.cmd.Run(ctx)
	}()
	return ct
}

// next waits for the next run. It returns what the run got, and the connection
// that ends it.
func (ct *commandTest) next() (commandRun, net.Conn) {
	ct.t.Helper()
	ct.listener.SetDeadline(time.Now().Add(30 * time.Second))
	conn, err := ct.listener.Accept()
	check.Must(ct.t, err)
	var r commandRun
	check.Must(ct.t, json.NewDecoder(conn).Decode(&r))
	return r, conn
}

// expect waits for the next run, checks what it got but for Bytes, and ends it
// with status.
func (ct *commandTest) expect(want commandRun, status byte) {
	ct.t.Helper()
	got, conn := ct.next()
	got.Bytes = 0
	check.Equal(ct.t, "run", want, got)
	end(conn, status)
}

// end ends the run of a connection that next has returned.
func end(conn net.Conn, status byte) {
	conn.Write([]byte{status})
	conn.Close()
}

// close closes the command, waits until Run returns, and checks the log lines
// since the last call of logged or Take.
func (ct *commandTest) close(lines ...string) {
	ct.t.Helper()
	ct.cmd.Close()
	<-ct.done
	check.Equal(ct.t, "log", lines, inBrief(ct.log.Take(), ct.cmd.args[0]))
}

// logged waits for the log lines since the last call of logged or Take.
func (ct *commandTest) logged(lines ...string) {
	ct.t.Helper()
	awaitLog(ct.t, ct.log, ct.cmd.args[0], lines...)
}

// awaitLog waits until as many lines are logged, and checks them in brief.
func awaitLog(t *testing.T, b *check.Buffer, command string, want ...string) {
	t.Helper()
	var got []string
	check.Eventually(t, "log lines", func() bool {
		got = append(got, b.Take()...)
		return len(got) >= len(want)
	})
	check.Equal(t, "log", want, inBrief(got, command))
}

// inBrief replaces what differs from run to run in log lines of a command.
func inBrief(lines []string, command string) []string {
	for i, line := range lines {
		line = strings.ReplaceAll(line, wire.Printable(command), "COMMAND")
		line = regexp.MustCompile(`after [0-9.]+m?s\b`).ReplaceAllString(line, "after TIME")
		lines[i] = regexp.MustCompile(`process \d+`).ReplaceAllString(line, "process PID")
	}
	return lines
}
