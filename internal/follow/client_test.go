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

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// One connection, from its greeting to its end.
func TestClientReads(t *testing.T) {
	long := strings.Repeat("x", maxLine-len(`{"type":"changed","file":"a","x":""}`))
	for _, test := range []struct {
		name string
		sent string
		want []string
		end  string // why the client closes the connection
	}{
		{name: "fields of other types", sent: watchingLine("a", "1", 1) + `{"type":"changed","error":{"code":1},"change":["removed"]}` + "\n \t \n" + `{"type":"changed","file":"a","change":"modified","state":"2","mtime":1450694370094}` + "\n", want: []string{"modified a ", "modified a 2"}},
		{name: "control characters", sent: watchingLine("a", "1", 1) + `{"type":"changed","file":"a\n\u001b[31m","change":"modified","state":"2"}` + "\n", want: []string{`modified "a\n\x1b[31m" 2`}},
		{name: "two targets of one name", sent: watchingLine("\ufffd", "1", 2) + watchingLine("\ufffd", "2", 2) + modifiedLine("\ufffd", "3"), want: []string{"modified \ufffd 3"}},
		{name: "events", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + modifiedLine("a", "3"), want: []string{"modified a 2", "modified a 3"}},
		{name: "CRLF and blank lines", sent: "\r\n\n" + strings.ReplaceAll(watchingLine("a", "1", 1)+"\n"+modifiedLine("a", "2"), "\n", "\r\n"), want: []string{"modified a 2"}},
		{name: "text first", sent: "2026-11-22T03:14:04.512+01:00 watching a\n2026-11-22T03:14:05.512+01:00 modified a\n" + watchingLine("a", "1", 1) + modifiedLine("a", "2"), want: []string{"modified a 2"}},
		{name: "unknown change and field", sent: watchingLine("a", "1", 1) + `{"type":"changed","file":"a","change":"melted","state":"9","new":[{}]}` + "\n", want: []string{"modified a 9"}},
		{name: "no file", sent: `{"type":"changed"}` + "\n", want: []string{"modified "}},
		{name: "an unfinished line", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + strings.TrimSpace(modifiedLine("a", "3")), want: []string{"modified a 2"}},
		{name: "UTF-8", sent: watchingLine("größe 😀", "1", 1) + modifiedLine("größe 😀", "2"), want: []string{"modified größe 😀 2"}},
		{name: "a greeting in mid-stream", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + watchingLine("a", "2", 1) + modifiedLine("a", "3"), want: []string{"modified a 2", "modified a 3"}},
		{name: "text after JSON", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + "Goodbye\n" + modifiedLine("a", "3"), want: []string{"modified a 2"}, end: "not a JSON line: invalid character 'G' looking for beginning of value"},
		{name: "broken JSON", sent: watchingLine("a", "1", 1) + `{"type":` + "\n", end: "not a JSON line: unexpected end of JSON input"},
		{name: "a long line", sent: watchingLine("a", "1", 1) + `{"type":"changed","file":"a","x":"` + long + "\"}\r\n" + modifiedLine("a", "2"), want: []string{"modified a ", "modified a 2"}},
		{name: "too long a line", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + `{"type":"changed","file":"a","x":"x` + long + "\"}\n" + modifiedLine("a", "3"), want: []string{"modified a 2"}, end: "the server sent a line of more than 1048576 bytes"},
		{name: "a line without end", sent: watchingLine("a", "1", 1) + modifiedLine("a", "2") + strings.Repeat("x", 3<<20), want: []string{"modified a 2"}, end: "the server sent a line of more than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startClient(t, nil)
				conn := c.accept()
				io.WriteString(conn, test.sent) // fails where the client closes the connection
				conn.Close()
				if test.end == "" {
					test.end = "the server closed the connection"
				}
				c.expect(test.want, following, lost+test.end)
				c.stop()
			})
		})
	}
}

// A line of an unknown type is a missed: of the target that it names, or else of
// that of the last watching line. The log has the first of each connection.
func TestClientUnknownType(t *testing.T) {
	const a, b = `{"type":"watching","file":"a"}` + "\n", `{"type":"watching","file":"b"}` + "\n"
	for _, test := range []struct {
		sent string
		want []string
		name string
	}{
		{a + b + `{"type":"rename","file":"a"}` + "\n" + `{"type":"change"}` + "\n", []string{"missed a ", "missed b "}, "rename"},
		{a + b + `{"type":"change","file":"new"}` + "\n", []string{"missed b "}, "change"},
		{a + b + `{"type":"change","file":"a/x","target":"a"}` + "\n", []string{"missed a "}, "change"},
		{`{"type":"watch","file":"a"}` + "\n" + `{"type":"change","timestamp":"now"}` + "\n", []string{"missed a ", "missed a "}, "watch"},
		{`{"type":"change"}` + "\n", []string{"missed "}, "change"},
		{a + `{"error":"x"}` + "\n", []string{"missed a "}, ""},
		{a + `{"type":7}` + "\n", []string{"missed a "}, ""},
		{a + `{"type":"` + strings.Repeat(`\u001b`, 100) + `"}` + "\n", []string{"missed a "}, strings.Repeat("\x1b", maxQuoted)},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := startClient(t, nil)
			conn := c.accept()
			c.send(conn, test.sent)
			c.expect(test.want, following, unknown(test.name))
			conn.Close()
			c.accept()
			c.expect(nil, closed)
			c.stop()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, nil)
		for _, first := range []string{following, reconnected} {
			conn := c.accept()
			c.send(conn, `{"type":"watch"}`+"\n")
			c.expect([]string{"missed "}, first, unknown("watch"))
			conn.Close()
			c.expect(nil, closed)
		}
		c.stop()
	})
}

// A change without an integer as its time has the time when it came.
func TestClientTimestamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int64
		c := startClient(t, func(c *Client) {
			c.Handle = func(events []wire.Event) error {
				for _, e := range events {
					got = append(got, e.Timestamp)
				}
				return nil
			}
		})
		conn := c.accept()
		c.send(conn, `{"type":"watching","file":"a"}`+"\n")
		for _, timestamp := range []string{"7", "7.5", `"7"`, `"2015-12-21T10:39:30Z"`, "null", "1.5e12", "{}"} {
			c.send(conn, `{"type":"changed","timestamp":`+timestamp+"}\n")
		}
		c.send(conn, `{"type":"changed"}`+"\n", `{"type":"change"}`+"\n")
		now := time.Now().UnixMilli()
		check.Equal(t, "times", []int64{7, now, now, now, now, now, now, now, now}, got)
		c.stop()
	})
}

// The client speaks as little as it can: the word json to a server that begins with
// text, once more if that is not obeyed, and blank lines to one that has states.
func TestClientSpeaks(t *testing.T) {
	silence := func(c *clientTest, want string) {
		t.Helper()
		time.Sleep(time.Hour)
		c.expectSent(want)
	}
	for name, test := range map[string]func(*clientTest, net.Conn){
		"JSON without states": func(c *clientTest, conn net.Conn) {
			sendClassic(conn, 2)
			silence(c, "")
		},
		"JSON": func(c *clientTest, conn net.Conn) {
			c.send(conn, watchingLine("a", "1", 1))
			time.Sleep(30*time.Second - time.Millisecond)
			c.expectSent("")
			time.Sleep(time.Millisecond)
			c.expectSent("\n")
			for range 9 { // whatever comes in between
				time.Sleep(10 * time.Second)
				c.send(conn, modifiedLine("a", "2"))
			}
			c.expectSent("\n\n\n")
		},
		"text": func(c *clientTest, conn net.Conn) {
			c.send(conn, textLine[:1])
			c.expectSent("")
			c.send(conn, textLine[1:])
			c.expectSent("json\n")
			c.send(conn, textLine)
			time.Sleep(repeatWord - time.Millisecond)
			c.send(conn, watchingLine("a", "1", 1))
			time.Sleep(repeatWord)
			c.expectSent("")
			time.Sleep(time.Hour)
			c.expectSent(strings.Repeat("\n", int(time.Hour/blankInterval)))
		},
		"the first word is lost": func(c *clientTest, conn net.Conn) {
			for range 10 { // with text in between
				c.send(conn, textLine)
				time.Sleep(repeatWord / 4)
			}
			c.expectSent("json\njson\n")
			c.send(conn, watchingLine("a", "1", 1))
		},
		"both words are lost": func(c *clientTest, conn net.Conn) {
			c.send(conn, textLine)
			time.Sleep(greetingTimeout - time.Millisecond)
			c.expectSent("json\njson\n")
			c.send(conn, watchingLine("a", "1", 1))
		},
		"no net-watcher": func(c *clientTest, conn net.Conn) {
			c.send(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			c.expectSent("")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startClient(t, nil)
				test(c, c.accept())
				c.stop()
			})
		})
	}
}

// A server that does not read what the client sends is read all the same.
func TestClientUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, nil)
		conn := <-c.dials
		c.send(conn, textLine, watchingLine("a", "1", 1))
		time.Sleep(time.Hour)
		c.send(conn, modifiedLine("a", "2"))
		c.expect([]string{"modified a 2"}, following)
		c.stop()
	})
}

// Events that come together are handled together, after Begun, and at once,
// whatever comes behind them.
func TestClientHandlesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		c := startClient(t, func(c *Client) {
			c.Begun = func() { calls = append(calls, "begun") }
			c.Handle = func(events []wire.Event) error {
				var files []string
				for _, e := range events {
					files = append(files, e.File)
				}
				calls = append(calls, strings.Join(files, " "))
				return nil
			}
		})
		conn := c.accept()
		expect := func(want ...string) {
			t.Helper()
			check.Equal(t, "calls", want, calls)
			calls = nil
		}
		c.send(conn, watchingLine("a", "1", 1)+modifiedLine("a", "2")+modifiedLine("b", "2"))
		expect("begun", "a b")
		c.send(conn, "\n", watchingLine("a", "2", 2)) // without an event there is no call
		expect()
		c.send(conn, modifiedLine("c", "3")+"\n"+modifiedLine("a", "5"))
		expect("c a")
		for _, more := range []string{"\n", " \r\n", watchingLine("a", "5", 2), `{"type":"chan`} {
			c.send(conn, modifiedLine("c", "3")+modifiedLine("a", "5")+more)
			expect("c a")
		}
		c.stop()
	})
}

// After a connection was lost there is a missed for each target that differs from
// its last line, and for no other.
func TestClientMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, nil)
		conn := c.accept()
		c.send(conn, watchingLine("a", "1", 3), watchingLine("b", "1", 3))
		if c.begins != 0 {
			t.Error("begun before the greeting is complete")
		}
		c.send(conn, watchingLine("d", "1", 3))
		c.send(conn, modifiedLine("a", "2"), createdLine("d/x", "d", "2"), modifiedLine("new", "0"))
		c.expect([]string{"modified a 2", "created d/x 2", "modified new 0"}, following)
		conn.Close()

		conn = c.accept()
		c.send(conn, watchingLine("a", "2", 3), watchingLine("b", "1", 3), watchingLine("d", "2", 3))
		c.expect(nil, closed, reconnected)
		conn.Close()

		// The next connection breaks in the middle of its greeting: the one after
		// it compares the rest.
		conn = c.accept()
		c.send(conn, watchingLine("a", "3", 3))
		conn.Close()
		conn = c.accept()
		c.send(conn, watchingLine("a", "3", 3), watchingLine("b", "2", 3), watchingLine("d", "3", 3))
		c.expect([]string{"missed a 3", "missed b 2", "missed d 3"}, closed, reconnected, closed, reconnected)
		conn.Close()

		// The server has other targets, and then the first ones again. The target
		// new was in no greeting before, so nothing of it was missed.
		conn = c.accept()
		c.send(conn, watchingLine("b", "2", 2), watchingLine("new", "1", 2))
		c.expect(nil, closed, reconnected, "there now watches new too", "there no longer watches a", "there no longer watches d")
		conn.Close()
		conn = c.accept()
		c.send(conn, watchingLine("a", "4", 2), watchingLine("new", "1", 2))
		c.expect([]string{"missed a 4"}, closed, reconnected, "there now watches a too", "there no longer watches b")
		if c.begins != 1 {
			t.Errorf("begun %d times", c.begins)
		}
		c.stop()
	})
}

// A connection that breaks in the middle of a batch leaves a state that no scan
// ends with: there is a missed, wherever it breaks.
func TestClientBreaksInBatch(t *testing.T) {
	batch := createdLine("d/x", "d", "2") + createdLine("d/y", "d", "3") + createdLine("d/z", "d", "4")
	for cut := range len(batch) + 1 {
		synctest.Test(t, func(t *testing.T) {
			c := startClient(t, nil)
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

// sendClassic sends what the server of the tutorials does: it may split a line, it
// has no states, and its changes name no file.
func sendClassic(conn net.Conn, changes int) {
	io.WriteString(conn, `{"type":"watching","file":"target.txt"}`+"\n")
	for range changes {
		io.WriteString(conn, `{"type":"changed","timesta`)
		time.Sleep(100 * time.Millisecond)
		io.WriteString(conn, `mp":1450694370094}`+"\n")
	}
}

func TestClientClassic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text, json bytes.Buffer
		c := startClient(t, func(c *Client) {
			c.Handle = func(events []wire.Event) error {
				for i := range events {
					if e := &events[i]; e.Change == wire.Missed {
						if e.Timestamp != time.Now().UnixMilli() {
							t.Errorf("missed at %d, want %d", e.Timestamp, time.Now().UnixMilli())
						}
						e.Timestamp = 1450694370094
					}
				}
				text.Write(wire.Encode(wire.Text, events))
				json.Write(wire.Encode(wire.JSON, events))
				return nil
			}
		})
		for range 2 {
			conn := c.accept()
			sendClassic(conn, 2)
			conn.Close()
		}
		synctest.Wait()
		at := time.UnixMilli(1450694370094).Format(wire.TimeLayout)
		wantText := strings.Repeat(at+" modified target.txt\n", 2)
		wantText += at + " missed target.txt\n" + wantText
		check.Equal(t, "text", wantText, text.String())
		const changed = `{"type":"changed","timestamp":1450694370094,"file":"target.txt","change":"modified"}` + "\n"
		want := changed + changed + strings.Replace(changed, "modified", "missed", 1) + changed + changed
		check.Equal(t, "JSON", want, json.String())
		c.stop()
	})
}

// A server that does not say how many targets it has gets no comparison, until it
// says so.
func TestClientClassicTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, nil)
		for range 2 {
			conn := c.accept()
			c.send(conn, `{"type":"watching","file":"a"}`+"\n", `{"type":"watching","file":"b"}`+"\n")
			c.send(conn, `{"type":"changed","timestamp":1}`+"\n")
			conn.Close()
		}
		c.expect([]string{"modified b ", "missed a ", "missed b ", "modified b "}, following, closed, reconnected, closed)
		// Its lines may come again on one connection: that is no new connection.
		conn := c.accept()
		c.send(conn, strings.Repeat(`{"type":"watching","file":"a"}`+"\n", 3))
		conn.Close()
		c.expect([]string{"missed a "}, reconnected, closed)
		// With a state they show what was missed in between.
		conn = c.accept()
		for _, state := range []string{"1", "1", "2", "3"} {
			c.send(conn, watchingLine("a", state, 0))
		}
		conn.Close()
		c.expect([]string{"missed a 1", "missed a 2", "missed a 3"}, reconnected, closed)

		c.send(c.accept(), watchingLine("b", "1", 2), watchingLine("c", "1", 2))
		c.expect([]string{"missed b 1"}, reconnected, "there now watches c too", "there no longer watches a")
		if c.begins != 1 {
			t.Errorf("begun %d times", c.begins)
		}
		c.stop()
	})
}

// A later greeting on one connection is compared as the first one on a new
// connection is.
func TestClientGreetedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, nil)
		conn := c.accept()
		c.send(conn, watchingLine("a", "1", 2), watchingLine("b", "1", 2))
		c.expect(nil, following)
		c.send(conn, watchingLine("a", "1", 2), watchingLine("b", "2", 2))
		c.expect([]string{"missed b 2"})
		c.send(conn, watchingLine("b", "2", 1))
		c.expect(nil, "there no longer watches a")
		c.send(conn, watchingLine("a", "1", 2), watchingLine("b", "2", 2))
		c.expect(nil, "there now watches a too")
		if c.begins != 1 {
			t.Errorf("begun %d times", c.begins)
		}
		c.stop()
	})
}

// Two targets that have one name in JSON are compared each with itself, and the
// greeting is complete with the second.
func TestClientSharedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, nil)
		for range 2 {
			conn := c.accept()
			c.send(conn, watchingLine("x", "1", 2), watchingLine("x", "2", 2))
			conn.Close()
		}
		c.send(c.accept(), watchingLine("x", "1", 2), watchingLine("x", "3", 2))
		c.expect([]string{"missed x 3"}, following, closed, reconnected, closed, reconnected)
		if c.begins != 1 {
			t.Errorf("begun %d times", c.begins)
		}
		c.stop()
	})
}

// A server that is no net-watcher is described by what it sends, once, and the
// client connects again.
func TestClientNoJSON(t *testing.T) {
	const not = "not a net-watcher server? it sent "
	const gone = "it closed the connection before sending anything: is the server behind it running? (ssh -L, kubectl port-forward and full servers do that)"
	for _, test := range []struct {
		name string
		send func(net.Conn)
		want string
	}{
		{"silence", func(net.Conn) {}, not + "nothing for 10s (if it wants TLS: tls://HOST:PORT; if it is for HTTP: give an address without http://)"},
		{"blanks", func(c net.Conn) { io.WriteString(c, "\r\n \n") }, not + "nothing for 10s (if it wants TLS: tls://HOST:PORT; if it is for HTTP: give an address without http://)"},
		{"ssh", func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") }, not + `"SSH-2.0-OpenSSH_9.2"`},
		{"smtp", func(c net.Conn) { io.WriteString(c, "220 mx ESMTP\r\n500 unknown command\r\n") }, not + `"220 mx ESMTP500 unknown command", and no JSON line within 10s`},
		{"a line with 0", func(c net.Conn) { io.WriteString(c, "0\n") }, not + `"0", and no JSON line within 10s`},
		{"a line with 9", func(c net.Conn) { io.WriteString(c, "9\n") }, not + `"9", and no JSON line within 10s`},
		{"text, then a word", func(c net.Conn) { io.WriteString(c, "1\r\nwhat?\r\n") }, not + `"1what?"`},
		{"a prompt", func(c net.Conn) { io.WriteString(c, "login: ") }, not + `"login: "`},
		{"long text", func(c net.Conn) { io.WriteString(c, strings.Repeat(strings.Repeat("12", 25)+"\n", 1000)); c.Close() }, not + `"` + strings.Repeat("12", 30) + `" and closed the connection`},
		{"the end", func(c net.Conn) { c.Close() }, gone},
		{"half of JSON", func(c net.Conn) { io.WriteString(c, `{"type":`); c.Close() }, not + `"{\"type\":" and closed the connection`},
		{"broken JSON", func(c net.Conn) { io.WriteString(c, "{\n") }, "not a JSON line: unexpected end of JSON input"},
		{"other JSON", func(c net.Conn) { io.WriteString(c, "[1]\n") }, not + `"[1]"`},
		{"one long line", func(c net.Conn) { io.WriteString(c, strings.Repeat("12", 1<<20)) }, not + `"` + strings.Repeat("12", 30) + `": the server sent a line of more than 1048576 bytes`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startClient(t, nil)
				for range 3 {
					test.send(c.accept())
				}
				conn := c.accept()
				c.expect(nil, retrying+test.want)
				c.send(conn, watchingLine("a", "1", 1))
				time.Sleep(time.Hour) // after the first JSON line a server may be silent
				c.send(conn, modifiedLine("a", "2"))
				c.expect([]string{"modified a 2"}, following)
				c.stop()
			})
		})
	}
}

// The first JSON line may take as long as the first scan of a server that hangs,
// 5 s, and some time for the way.
func TestClientGreetingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClient(t, nil)
		conn := c.accept()
		c.send(conn, textLine)
		time.Sleep(greetingTimeout - time.Millisecond)
		c.send(conn, watchingLine("a", "1", 1))
		c.expect(nil, following)
		conn.Close()

		c.accept()
		time.Sleep(greetingTimeout - time.Millisecond)
		c.expect(nil, closed)
		time.Sleep(time.Millisecond)
		c.expect(nil, retrying+"not a net-watcher server? it sent nothing for 10s (if it wants TLS: tls://HOST:PORT; if it is for HTTP: give an address without http://)")
		c.stop()

		// One of another kind is named as soon as its line ends, or a second after
		// its first bytes.
		c = startClient(t, nil)
		c.send(c.accept(), "SSH-2.0-OpenSSH_9.2\r\n")
		c.expect(nil, retrying+`not a net-watcher server? it sent "SSH-2.0-OpenSSH_9.2"`)
		c.stop()
		c = startClient(t, nil)
		c.send(c.accept(), "login: ")
		time.Sleep(quoteTimeout)
		c.expect(nil, retrying+`not a net-watcher server? it sent "login: "`)
		c.stop()
	})
}

// Failed attempts to connect are logged once, or each with Verbose, even if their
// reasons differ.
func TestClientLogsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, verbose := range []bool{false, true} {
			attempts := 0
			c := startClient(t, func(c *Client) {
				c.Verbose = verbose
				c.Dial = func(ctx context.Context) (net.Conn, error) {
					if attempts++; attempts == 5 {
						<-ctx.Done()
					}
					return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("reason %d", attempts)}
				}
			})
			time.Sleep(time.Hour)
			c.stop()
			want := []string{retrying + "reason 1"}
			if verbose {
				want = append(want, retrying+"reason 2", retrying+"reason 3", retrying+"reason 4")
			}
			c.expect(nil, want...)
		}
	})
}

// Where there was nothing to connect to, there may come a server of another kind: that is
// logged too, once, and once more after a connection.
func TestClientLogsOtherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		c := startClient(t, func(c *Client) {
			c.Dial = func(context.Context) (net.Conn, error) {
				if attempts++; attempts%2 == 1 {
					return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("reason %d", attempts)}
				}
				line := "hello\n"
				if attempts == 10 {
					line = watchingLine("a", "1", 1)
				}
				ours, theirs := net.Pipe()
				go func() {
					io.WriteString(theirs, line)
					theirs.Close()
				}()
				return ours, nil
			}
		})
		time.Sleep(time.Hour)
		c.stop()
		const other = retrying + `not a net-watcher server? it sent "hello"`
		c.expect(nil, retrying+"reason 1", other, following, closed, retrying+"reason 11", other)
	})
}

// The waits between attempts grow, at random, from 100 ms to 5 s, and are short
// again only after a connection that has lasted.
func TestClientRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		const shortest, highest = 100 * time.Millisecond, 5 * time.Second
		lasts := map[int]time.Duration{101: highest - time.Millisecond, 103: highest} // by attempt
		c := startClient(t, func(c *Client) {
			c.Dial = func(context.Context) (net.Conn, error) {
				attempts = append(attempts, time.Now())
				d, ok := lasts[len(attempts)]
				if !ok {
					return nil, refused
				}
				ours, theirs := net.Pipe()
				go func() {
					io.WriteString(theirs, watchingLine("a", "1", 1))
					time.Sleep(d)
					theirs.Close()
				}()
				return ours, nil
			}
		})
		time.Sleep(time.Hour)
		c.stop()
		wait := func(n int) time.Duration { // before attempt n, from 2 on
			return attempts[n-1].Sub(attempts[n-2]) - lasts[n-1]
		}
		var longest time.Duration
		for n := 2; n <= 100; n++ {
			limit := min(shortest<<min(n-2, 10), highest)
			if w := wait(n); w < shortest || w > limit {
				t.Errorf("wait %d: %v, want %v to %v", n-1, w, shortest, limit)
			}
			longest = max(longest, wait(n))
		}
		if longest < highest/2 {
			t.Errorf("in 100 attempts the longest wait was %v", longest)
		}
		if w := wait(104); w != shortest {
			t.Errorf("after a connection that lasted: %v, want %v", w, shortest)
		}
		// After the short connection the limit is still the highest: to draw the
		// shortest wait from there has a chance of 1 in 10^9.
		if w := wait(102); w == shortest {
			t.Errorf("after a connection that did not last: %v", w)
		}
		failed := retrying + "connection refused"
		check.Equal(t, "log", []string{failed, following, closed, failed, reconnected, closed, failed}, c.log.Take())
	})
}

// With Once there is one connection. It ends well if it was good and the server
// closed it.
func TestClientOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := func(c *Client) { c.Once = true }
		c := startClient(t, once)
		conn := c.accept()
		c.send(conn, watchingLine("a", "1", 1), modifiedLine("a", "2"))
		conn.Close()
		c.end("")
		c.expect([]string{"modified a 2"}, following)

		c = startClient(t, once)
		c.accept().Close()
		c.end("follow there: it closed the connection before sending anything: is the server behind it running? (ssh -L, kubectl port-forward and full servers do that)")
		c.expect(nil)

		c = startClient(t, once)
		conn = c.accept()
		c.send(conn, watchingLine("a", "1", 1), "{\n")
		c.end("follow there: not a JSON line: unexpected end of JSON input")

		for _, err := range []error{errors.New("connection refused"), io.EOF} {
			c = startClient(t, func(c *Client) {
				c.Once = true
				c.Dial = func(context.Context) (net.Conn, error) { return nil, err }
			})
			c.end("follow there: " + reason(err))
			c.expect(nil)
		}
	})
}

// With Once, a connection that ends before all has come that was asked of the server has
// failed: in the middle of a greeting and, with Scan, before the scan has ended.
func TestClientOnceCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, scan := range []bool{false, true} {
			c := startClient(t, func(c *Client) { c.Once, c.Scan = true, scan })
			conn := c.accept()
			c.send(conn, watchingLine("a", "1", 2))
			conn.Close()
			c.end("follow there: the server closed the connection")
			check.Equal(t, "greetings", 0, c.begins)
		}
		c := startClient(t, func(c *Client) { c.Once = true })
		conn := c.accept()
		c.send(conn, watchingLine("a", "", 0)) // which says of no greeting how long it is
		conn.Close()
		c.end("")

		c = startClient(t, func(c *Client) { c.Once, c.Scan = true, true })
		conn = c.accept()
		c.send(conn, watchingLine("a", "1", 1))
		c.expectSent("\nscan\n")
		c.send(conn, modifiedLine("a", "2"))
		conn.Close()
		c.end("follow there: the server closed the connection")
		c.expect([]string{"modified a 2"}, following)
	})
}

// An error of Handle ends Run, and so does ctx, whatever the client is doing.
func TestClientEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, once := range []bool{false, true} {
			// Not even an error that would be a good end of the connection is
			// taken for one.
			for _, err := range []error{errors.New("disk full"), io.EOF} {
				c := startClient(t, func(c *Client) {
					c.Once = once
					c.Handle = func([]wire.Event) error { return err }
				})
				io.WriteString(c.accept(), watchingLine("a", "1", 1)+modifiedLine("a", "2"))
				c.end(err.Error())
			}
		}

		c := startClient(t, nil) // while it connects
		synctest.Wait()
		c.stop()
		c = startClient(t, nil) // while it waits for JSON
		c.accept()
		c.stop()
		c = startClient(t, nil) // while it reads
		c.send(c.accept(), watchingLine("a", "1", 1))
		c.stop()
		c = startClient(t, nil) // while it waits to reconnect
		c.accept().Close()
		synctest.Wait()
		c.stop()
	})
}

// However a stream is cut into pieces, events, log, states and the end are the
// same.
func FuzzClient(f *testing.F) {
	f.Add([]byte(watchingLine("größe", "1", 1)+"\r\n"+modifiedLine("größe", "2")), uint16(1))
	f.Add([]byte("1 text\n"+watchingLine("a", "1", 2)+modifiedLine("a", "2")+"{\n"), uint16(7))
	f.Add([]byte(watchingLine("a", "1", 1)+watchingLine("b", "1", 1)+watchingLine("a", "2", 1)), uint16(9))
	f.Add([]byte(`{"type":"watching","file":"t"}`+"\n"+`{"type":"changed","timestamp":1450694370094,"file":"target.txt"}`+"\n"), uint16(50))
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint16) {
		if chunk == 0 {
			return
		}
		begin := time.Now().UnixMilli()
		type result struct {
			Events []wire.Event
			Log    []string
			States map[string]string
			Error  string
		}
		follow := func(chunk int) (r result) {
			var output check.Buffer
			c := &Client{
				Server: "there", Once: true, Log: log.New(&output, "", 0),
				Dial:  func(context.Context) (net.Conn, error) { return &chunks{b: stream, n: chunk}, nil },
				Begun: func() { output.Write([]byte("begun\n")) },
				Handle: func(events []wire.Event) error {
					for _, e := range events {
						if e.Timestamp >= begin {
							e.Timestamp = 0 // the time of this run
						}
						r.Events = append(r.Events, e)
					}
					return nil
				},
			}
			r.Error = check.Message(c.Run(t.Context()))
			r.Log, r.States = output.Take(), c.states
			return r
		}
		check.Equal(t, fmt.Sprintf("in pieces of %d", chunk), follow(len(stream)+1), follow(int(chunk)))
	})
}

// With Scan, the client asks for a scan after each first greeting, and ends when the
// server has greeted again, with the changes in between. The word is in a second line: what
// a proxy puts before all that a client sends spoils the first one.
func TestClientScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ct := startClient(t, func(c *Client) { c.Scan = true })
		conn := ct.accept()
		ct.send(conn, textLine)
		ct.expectSent("json\n")
		ct.send(conn, watchingLine("a", "1", 2))
		ct.expectSent("")
		ct.send(conn, watchingLine("b", "1", 2))
		ct.expectSent("\nscan\n")
		conn.Close()
		ct.expect(nil, following, closed)

		time.Sleep(time.Second)
		conn = ct.accept()
		ct.send(conn, watchingLine("a", "2", 2)+watchingLine("b", "1", 2))
		ct.expectSent("\nscan\n")
		ct.expect([]string{"missed a 2"}, reconnected)
		ct.send(conn, modifiedLine("b", "2"))
		ct.send(conn, modifiedLine("b", "3")+watchingLine("a", "2", 2))
		ct.expect([]string{"modified b 2", "modified b 3"})
		ct.send(conn, watchingLine("b", "3", 2)+modifiedLine("b", "4"))
		ct.end("")
		ct.expect(nil)
	})
}

// With Scan, the client asks for a scan of one target too, but leaves a server whose lines
// do not say how long a greeting is: no answer would come.
func TestClientScanOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, line := range []string{watchingLine("a", "1", 0), modifiedLine("a", "1"), "{}\n"} {
			ct := startClient(t, func(c *Client) { c.Scan = true })
			io.WriteString(ct.accept(), line)
			ct.end("follow there: it does not scan when it is asked to: not a net-watcher server?")
			ct.expectSent("")
		}
		ct := startClient(t, func(c *Client) { c.Scan = true })
		conn := ct.accept()
		ct.send(conn, watchingLine("a", "1", 1))
		ct.expectSent("\nscan\n")
		ct.send(conn, watchingLine("a", "1", 1))
		ct.end("")
	})
}

// A server that names ever new targets is left when the client would keep too much, and
// what the client knew is forgotten.
func TestClientForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var client *Client
		ct := startClient(t, func(c *Client) { client = c })
		conn := ct.accept()
		ct.send(conn, watchingLine("a", "1", 1))
		check.Equal(t, "size", len("a1"), client.size)
		ct.send(conn, modifiedLine("a", "22"))
		check.Equal(t, "size", len("a22"), client.size)
		ct.expect([]string{"modified a 22"}, following)
		client.size = maxStates - len("b1")
		ct.send(conn, watchingLine("b", "1", 3))
		check.Equal(t, "size", maxStates, client.size)
		ct.send(conn, watchingLine("c", "", 3))
		ct.expect(nil, lost+"the server has named targets in more than 256 MiB")
		check.Equal(t, "targets that are known", 0, len(client.states)+len(client.targets)+client.size)
		time.Sleep(time.Second)
		conn = ct.accept()
		ct.send(conn, watchingLine("a", "3", 1)) // not known any more
		ct.expect(nil, reconnected, "there now watches a too")
		ct.stop()
	})
}

// Where nothing came before an error of the network, or of TLS, that error is what a
// user can act on.
func TestNotAServer(t *testing.T) {
	why := &net.OpError{Op: "read", Net: "tcp", Err: errors.New("no route to host")}
	check.Equal(t, "silent", "no route to host", check.Message((&session{}).notAServer(why)))
	check.Equal(t, "not silent", `not a net-watcher server? it sent "hi": no route to host`, check.Message((&session{quoted: []byte("hi")}).notAServer(why)))
}
