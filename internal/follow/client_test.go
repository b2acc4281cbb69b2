package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// clientTest is a client whose connections a test plays the server of, in a
// synctest bubble.
type clientTest struct {
	*testing.T
	*Client
	dials  chan net.Conn // the servers' ends
	events []string      // handled, in brief
	begins int           // calls of begun
	output *check.Buffer
	cancel context.CancelFunc
	done   chan error // the result of follow
}

func newClientTest(t *testing.T, once bool) *clientTest {
	c := &clientTest{T: t, dials: make(chan net.Conn), output: &check.Buffer{}, done: make(chan error, 1)}
	c.Client = &Client{
		Server: "there", Once: once, Log: log.New(c.output, "", 0),
		Dial: func(ctx context.Context) (net.Conn, error) {
			mine, theirs := net.Pipe()
			select {
			case c.dials <- theirs:
				return mine, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Begun: func() { c.begins++ },
		Handle: func(events []wire.Event) error {
			for _, e := range events {
				c.events = append(c.events, e.String()+" "+e.State)
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	go func() { c.done <- c.Client.Run(ctx) }()
	return c
}

// accept waits for the client to connect, and reads the word that it sends.
func (c *clientTest) accept() net.Conn {
	c.Helper()
	conn := <-c.dials
	word := make([]byte, 5)
	if _, err := io.ReadFull(conn, word); err != nil || string(word) != "json\n" {
		c.Errorf("the client sends %q, %v", word, err)
	}
	return conn
}

// send sends lines and waits until they are dealt with.
func (c *clientTest) send(conn net.Conn, lines ...string) {
	c.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(conn, line); err != nil {
			c.Errorf("sending %q: %v", line, err)
		}
	}
	synctest.Wait()
}

// expect checks what was handled, and what is on the console, since the last
// call.
func (c *clientTest) expect(events []string, console ...string) {
	c.Helper()
	synctest.Wait()
	check.Equal(c.T, "events", events, c.events)
	check.Equal(c.T, "console", console, c.output.Take())
	c.events = nil
}

func (c *clientTest) stop() {
	c.Helper()
	c.cancel()
	if err := <-c.done; err != nil {
		c.Errorf("follow: %v", err)
	}
}

// watching and modified are lines of a server of several targets.
func watchingLine(file, state string, targets int) string {
	return fmt.Sprintf(`{"type":"watching","file":%q,"protocol":1,"interval":1000,"targets":%d,"size":1,"state":%q}`+"\n", file, targets, state)
}

func modifiedLine(file, state string) string {
	return fmt.Sprintf(`{"type":"changed","timestamp":1,"file":%q,"change":"modified","size":1,"state":%q}`+"\n", file, state)
}

// What a client hears of one connection.
func TestClientReads(t *testing.T) {
	long := strings.Repeat("x", maxLine-len(`{"file":""}`))
	for _, test := range []struct {
		name string
		sent string
		want []string
		end  string // why it hangs up
	}{
		{name: "fields of other types", sent: watchingLine("a", "1", 1) + `{"type":"news","error":{"code":1}}` + "\n \t \n" + `{"type":"changed","file":"a","change":"modified","state":"2","mtime":1450694370094}` + "\n", want: []string{"modified a 2"}},
		{name: "what a terminal might act on", sent: watchingLine("a", "1", 1) + `{"type":"changed","file":"a","change":"modified a\n\u001b[31m","state":"2"}` + "\n", want: []string{`"modified a\n\x1b[31m" a 2`}},
		{name: "two targets of one name", sent: watchingLine("\ufffd", "1", 2) + watchingLine("\ufffd", "2", 2) + modifiedLine("\ufffd", "3"), want: []string{"modified \ufffd 3"}},
		{name: "events", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + modifiedLine("a", "3"), want: []string{"modified a 2", "modified a 3"}},
		{name: "CRLF and blank lines", sent: "\r\n\n" + strings.ReplaceAll(watchingLine("a", "1", 1)+"\n"+modifiedLine("a", "2"), "\n", "\r\n"), want: []string{"modified a 2"}},
		{name: "text first", sent: "2026-11-22T03:14:04.512+01:00 watching a\n2026-11-22T03:14:05.512+01:00 modified a\n" + watchingLine("a", "1", 1) + modifiedLine("a", "2"), want: []string{"modified a 2"}},
		{name: "what it does not know", sent: watchingLine("a", "1", 1) + `{"type":"weather","file":"a"}` + "\n" + `{"type":"changed","file":"a","change":"melted","state":"9","new":[{}]}` + "\n", want: []string{"melted a 9"}},
		{name: "an unfinished line", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + strings.TrimSpace(modifiedLine("a", "3")), want: []string{"modified a 2"}},
		{name: "UTF-8", sent: watchingLine("größe 😀", "1", 1) + modifiedLine("größe 😀", "2"), want: []string{"modified größe 😀 2"}},
		{name: "a greeting in mid-stream", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + watchingLine("a", "2", 1) + modifiedLine("a", "3"), want: []string{"modified a 2", "modified a 3"}},
		{name: "text after JSON", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + "Goodbye\n" + modifiedLine("a", "3"), want: []string{"modified a 2"}, end: "not a JSON line: invalid character 'G' looking for beginning of value"},
		{name: "broken JSON", sent: watchingLine("a", "1", 1) + `{"type":` + "\n", end: "not a JSON line: unexpected end of JSON input"},
		{name: "a long line", sent: watchingLine("a", "1", 1) + `{"file":"` + long + "\"}\r\n" + modifiedLine("a", "2"), want: []string{"modified a 2"}},
		{name: "too long a line", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + `{"file":"x` + long + "\"}\n" + modifiedLine("a", "3"), want: []string{"modified a 2"}, end: "the server sent a line of more than 1048576 bytes"},
		{name: "a line without end", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + strings.Repeat("x", 3<<20), want: []string{"modified a 2"}, end: "the server sent a line of more than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClientTest(t, false)
				conn := c.accept()
				io.WriteString(conn, test.sent) // fails where the client hangs up
				conn.Close()
				if test.end == "" {
					test.end = "the server closed the connection"
				}
				c.expect(test.want, "following there", "connection to there lost: "+test.end)
				c.stop()
			})
		})
	}
}

// What changed while there was no connection is a missed, for the targets that
// differ from when they were last told of, and for no other.
func TestClientMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClientTest(t, false)
		conn := c.accept()
		c.send(conn, watchingLine("a", "1", 3), watchingLine("b", "1", 3))
		if c.begins != 0 {
			t.Error("begun before the greeting is complete")
		}
		c.send(conn, watchingLine("d", "1", 3))
		c.send(conn, modifiedLine("a", "2"), `{"type":"changed","file":"d/x","target":"d","change":"created","state":"2"}`+"\n")
		c.expect([]string{"modified a 2", "created d/x 2"}, "following there")
		conn.Close()

		conn = c.accept()
		c.send(conn, watchingLine("a", "2", 3), watchingLine("b", "1", 3), watchingLine("d", "2", 3))
		c.expect(nil, "connection to there lost: the server closed the connection", "reconnected to there")
		conn.Close()

		// The second connection breaks in the middle of its greeting, what is
		// still to be compared is compared on the third.
		conn = c.accept()
		c.send(conn, watchingLine("a", "3", 3))
		conn.Close()
		conn = c.accept()
		c.send(conn, watchingLine("a", "3", 3), watchingLine("b", "2", 3), watchingLine("d", "3", 3))
		c.expect([]string{"missed a 3", "missed b 2", "missed d 3"},
			"connection to there lost: the server closed the connection", "reconnected to there",
			"connection to there lost: the server closed the connection", "reconnected to there")
		conn.Close()

		// Another set of targets, and back.
		conn = c.accept()
		c.send(conn, watchingLine("b", "2", 2), watchingLine("new", "1", 2))
		c.expect(nil, "connection to there lost: the server closed the connection", "reconnected to there",
			"there now watches new too", "there no longer watches a", "there no longer watches d")
		conn.Close()
		conn = c.accept()
		c.send(conn, watchingLine("a", "4", 2), watchingLine("new", "1", 2))
		c.expect([]string{"missed a 4"}, "connection to there lost: the server closed the connection", "reconnected to there",
			"there now watches a too", "there no longer watches b")
		if c.begins != 1 {
			t.Errorf("begun %d times", c.begins)
		}
		c.stop()
	})
}

// A connection that breaks in the middle of a batch leaves a tag that no whole
// look has: that ends in a missed, wherever it breaks.
func TestClientBreaksInBatch(t *testing.T) {
	batch := modifiedLine("d/x", "2") + modifiedLine("d/y", "3") + modifiedLine("d/z", "4")
	batch = strings.ReplaceAll(batch, `"change"`, `"target":"d","change"`)
	for cut := range len(batch) + 1 {
		synctest.Test(t, func(t *testing.T) {
			c := newClientTest(t, false)
			conn := c.accept()
			c.send(conn, watchingLine("d", "1", 1), batch[:cut])
			conn.Close()
			conn = c.accept()
			c.send(conn, watchingLine("d", "4", 1))
			missed := slices.Contains(c.events, "missed d 4")
			if whole := cut == len(batch); missed == whole {
				t.Errorf("cut after %d of %d bytes: %q", cut, len(batch), c.events)
			}
			c.stop()
		})
	}
}

// classic is the server of the tutorials, in a few lines: it may split what it
// sends, it has no states, and says no file with a change.
func classic(conn net.Conn, changes int) {
	io.WriteString(conn, `{"type":"watching","file":"target.txt"}`+"\n")
	for range changes {
		io.WriteString(conn, `{"type":"changed","timesta`)
		time.Sleep(100 * time.Millisecond)
		io.WriteString(conn, `mp":1450694370094}`+"\n")
	}
}

func TestClientClassic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClientTest(t, false)
		var text, json bytes.Buffer
		print := map[*bytes.Buffer]func([]wire.Event) error{&text: Printer(&text, wire.Text), &json: Printer(&json, wire.JSON)}
		c.Handle = func(events []wire.Event) error {
			for i := range events {
				if e := &events[i]; e.Change == wire.Missed {
					if e.Timestamp != time.Now().UnixMilli() {
						t.Errorf("missed at %d, and it is %d", e.Timestamp, time.Now().UnixMilli())
					}
					e.Timestamp = 1450694370094
				}
			}
			return errors.Join(print[&text](events), print[&json](events))
		}
		for range 2 {
			conn := c.accept()
			classic(conn, 2)
			conn.Close()
		}
		synctest.Wait()
		at := time.UnixMilli(1450694370094).Format(wire.TimeLayout)
		wantText := strings.Repeat(at+" changed target.txt\n", 2)
		wantText += at + " missed target.txt\n" + wantText
		check.Equal(t, "text", wantText, text.String())
		const changed = `{"type":"changed","timestamp":1450694370094,"file":"target.txt"}` + "\n"
		want := changed + changed + strings.Replace(changed, "}", `,"change":"missed"}`, 1) + changed + changed
		check.Equal(t, "JSON", want, json.String())
		c.stop()
	})
}

// A server that is no such server is named by what it says, and tried again.
func TestClientNoJSON(t *testing.T) {
	for _, test := range []struct {
		name string
		say  func(net.Conn)
		want string
	}{
		{"silence", func(net.Conn) {}, "not a net-watcher server? no JSON line within 5s; it sent nothing"},
		{"ssh", func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") }, `not a net-watcher server? no JSON line within 5s; it sent "SSH-2.0-OpenSSH_9.2"`},
		{"a prompt", func(c net.Conn) { io.WriteString(c, "login: ") }, `not a net-watcher server? no JSON line within 5s; it sent "login: "`},
		{"a long talk", func(c net.Conn) { io.WriteString(c, strings.Repeat(strings.Repeat("la", 25)+"\n", 1000)); c.Close() }, `not a net-watcher server? no JSON line before it closed the connection; it sent "` + strings.Repeat("la", 30) + `"`},
		{"the end", func(c net.Conn) { c.Close() }, "not a net-watcher server? no JSON line before it closed the connection; it sent nothing"},
		{"half of JSON", func(c net.Conn) { io.WriteString(c, `{"type":`); c.Close() }, `not a net-watcher server? no JSON line before it closed the connection; it sent "{\"type\":"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClientTest(t, false)
				for range 3 {
					test.say(c.accept())
				}
				conn := c.accept()
				// Said once, however often it is tried.
				c.expect(nil, "cannot connect to there, retrying: "+test.want)
				c.send(conn, watchingLine("a", "1", 1))
				time.Sleep(time.Hour) // there is no limit on silence after that
				c.send(conn, modifiedLine("a", "2"))
				c.expect([]string{"modified a 2"}, "following there")
				c.stop()
			})
		})
	}
}

// A reason that differs from try to try is still said once.
func TestClientSaysOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, all := range []bool{false, true} {
			c := newClientTest(t, false)
			c.cancel()
			<-c.done
			c.Verbose = all
			tries := 0
			ctx, cancel := context.WithCancel(t.Context())
			c.Dial = func(context.Context) (net.Conn, error) {
				if tries++; tries == 5 {
					cancel()
				}
				return nil, fmt.Errorf("reason %d", tries)
			}
			check.Must(t, c.Client.Run(ctx))
			want := []string{"cannot connect to there, retrying: reason 1"}
			if all {
				want = append(want, "cannot connect to there, retrying: reason 2", "cannot connect to there, retrying: reason 3", "cannot connect to there, retrying: reason 4")
			}
			c.expect(nil, want...)
		}
	})
}

// Targets that share a name are still two, and -initial begins with both.
func TestClientSharedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClientTest(t, false)
		for range 2 {
			conn := c.accept()
			c.send(conn, watchingLine("x", "1", 2), watchingLine("x", "2", 2))
			conn.Close()
		}
		c.send(c.accept(), watchingLine("x", "1", 2), watchingLine("x", "3", 2))
		c.expect([]string{"missed x 3"}, "following there", "connection to there lost: the server closed the connection", "reconnected to there",
			"connection to there lost: the server closed the connection", "reconnected to there")
		if c.begins != 1 {
			t.Errorf("begun %d times", c.begins)
		}
		c.stop()
	})
}

// A server that does not say how many targets it has gets no comparison.
func TestClientClassicTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClientTest(t, false)
		for range 2 {
			conn := c.accept()
			c.send(conn, `{"type":"watching","file":"a"}`+"\n", `{"type":"watching","file":"b"}`+"\n")
			c.send(conn, `{"type":"changed","timestamp":1}`+"\n")
			conn.Close()
		}
		c.expect([]string{"changed b ", "missed a ", "missed b ", "changed b "}, "following there",
			"connection to there lost: the server closed the connection", "reconnected to there", "connection to there lost: the server closed the connection")
		if c.begins != 1 || len(c.states) != 2 {
			t.Errorf("begun %d times; states %v", c.begins, c.states)
		}
		c.stop()
	})
}

// The pauses between tries grow, at random, from 100 ms to 5 s, and begin anew
// only after a connection has lasted.
func TestClientRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Time
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		connection := map[int]time.Duration{101: lasting - time.Second, 103: lasting + time.Second} // how long those tries last
		c := newClientTest(t, false)
		c.cancel()
		<-c.done
		c.output.Take()
		c.Dial = func(context.Context) (net.Conn, error) {
			tries = append(tries, time.Now())
			lasts, ok := connection[len(tries)]
			if !ok {
				return nil, refused
			}
			mine, theirs := net.Pipe()
			go func() {
				io.ReadFull(theirs, make([]byte, 5))
				io.WriteString(theirs, watchingLine("a", "1", 1))
				time.Sleep(lasts)
				theirs.Close()
			}()
			return mine, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.Client.Run(ctx); err != nil {
			t.Error(err)
		}
		pause := func(n int) time.Duration { // before try n, from 2 on
			return tries[n-1].Sub(tries[n-2]) - connection[n-1]
		}
		var longest time.Duration
		for n := 2; n <= 100; n++ {
			limit := min(leastRetry<<min(n-2, 10), mostRetry)
			if p := pause(n); p < leastRetry || p > limit {
				t.Errorf("pause %d: %v, want %v to %v", n-1, p, leastRetry, limit)
			}
			longest = max(longest, pause(n))
		}
		if longest < mostRetry/2 {
			t.Errorf("in 100 tries the longest pause was %v", longest)
		}
		if p := pause(104); p != leastRetry {
			t.Errorf("after a connection that lasted: %v, want %v", p, leastRetry)
		}
		// After the one that did not last the limit is still the highest; that
		// the least is drawn from there has a chance of 1 in 10^9.
		if p := pause(102); p == leastRetry {
			t.Errorf("after a connection that did not last: %v", p)
		}
		want := []string{
			"cannot connect to there, retrying: connection refused", "following there", "connection to there lost: the server closed the connection",
			"cannot connect to there, retrying: connection refused", "reconnected to there", "connection to there lost: the server closed the connection",
			"cannot connect to there, retrying: connection refused",
		}
		check.Equal(t, "console", want, c.output.Take())
	})
}

// With once, there is one connection, and it must come about.
func TestClientOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClientTest(t, true)
		conn := c.accept()
		c.send(conn, watchingLine("a", "1", 1), modifiedLine("a", "2"))
		conn.Close()
		if err := <-c.done; err != nil {
			t.Errorf("follow: %v", err)
		}
		c.expect([]string{"modified a 2"}, "following there")

		c = newClientTest(t, true)
		c.accept().Close()
		if err := <-c.done; check.Message(err) != "follow there: not a net-watcher server? no JSON line before it closed the connection; it sent nothing" {
			t.Errorf("follow: %v", err)
		}

		c = newClientTest(t, true)
		conn = c.accept()
		c.send(conn, watchingLine("a", "1", 1), "{\n")
		if err := <-c.done; check.Message(err) != "follow there: not a JSON line: unexpected end of JSON input" {
			t.Errorf("follow: %v", err)
		}
	})
}

// An error of handle ends it, and so does ctx, wherever it is.
func TestClientEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClientTest(t, false)
		full := errors.New("disk full")
		c.Handle = func([]wire.Event) error { return full }
		conn := c.accept()
		io.WriteString(conn, watchingLine("a", "1", 1)+modifiedLine("a", "2"))
		if err := <-c.done; err != full {
			t.Errorf("follow: %v, want %v", err, full)
		}

		c = newClientTest(t, false) // while it connects
		synctest.Wait()
		c.stop()
		c = newClientTest(t, false) // while it waits for JSON
		c.accept()
		c.stop()
		c = newClientTest(t, false) // while it reads
		c.send(c.accept(), watchingLine("a", "1", 1))
		c.stop()
		c = newClientTest(t, false) // while it pauses
		c.accept().Close()
		synctest.Wait()
		c.stop()
	})
}

// However a stream is cut into pieces, the events are the same.
func FuzzClient(f *testing.F) {
	f.Add([]byte(watchingLine("größe", "1", 1)+"\r\n"+modifiedLine("größe", "2")), uint16(1))
	f.Add([]byte("hello\n"+watchingLine("a", "1", 2)+modifiedLine("a", "2")+"{\n"), uint16(7))
	f.Add([]byte(`{"type":"watching","file":"t"}`+"\n"+`{"type":"changed","timestamp":1450694370094,"file":"target.txt"}`+"\n"), uint16(50))
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint16) {
		if chunk == 0 {
			return
		}
		read := func(chunk int) (events []wire.Event, states map[string]string, heard, failed string) {
			c := &Client{Server: "there", Log: log.New(io.Discard, "", 0), Begun: func() {}, states: make(map[string]string)}
			s := newSession(c, &chunks{stream, chunk})
			for failed == "" {
				got, err := s.read()
				for _, e := range got {
					if e.Change == wire.Missed {
						e.Timestamp = 0 // its own time
					}
					events = append(events, e)
				}
				if err != nil {
					failed = err.Error()
				}
			}
			return events, c.states, string(s.heard), failed
		}
		events1, states1, heard1, failed1 := read(len(stream) + 1)
		events2, states2, heard2, failed2 := read(int(chunk))
		if diff := cmp.Diff(events1, events2); diff != "" {
			t.Errorf("events (-one piece +pieces of %d):\n%s", chunk, diff)
		}
		if diff := cmp.Diff(states1, states2); diff != "" {
			t.Errorf("states (-one piece +pieces of %d):\n%s", chunk, diff)
		}
		if heard1 != heard2 || failed1 != failed2 {
			t.Errorf("heard %q, failed %q; in pieces of %d: %q, %q", heard1, failed1, chunk, heard2, failed2)
		}
	})
}
