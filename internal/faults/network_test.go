package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"net-watcher/internal/check"
	"net-watcher/internal/oserr"
)

// networkTests is what happens to a connection of a Network and to one of the loopback
// interface alike.
var networkTests = []struct {
	name  string
	linux bool // other systems may differ
	steps string
}{
	{"bytes", false, `
		client write abc: ok
		server read 2: ab
		server read 9: c
		server write de: ok
		server write f: ok
		client readall 3: def
		client write: ok
		client close: ok
		server read 9: EOF
		server read 9: EOF
		server close: ok
		server close: closed
		server read 9: closed
		server write x: closed
		server deadline none: closed
		server closewrite: closed`},
	{"nothing is read", true, `
		client read 0: nothing`}, // Windows waits for bytes
	{"what was sent before the end is read", false, `
		client write abc: ok
		client close: ok
		server read 1: a
		server read 9: bc
		server read 9: EOF
		server close: ok`},
	{"half an end", false, `
		client write abc: ok
		client closewrite: ok
		server read 9: abc
		server read 9: EOF
		server write de: ok
		client read 9: de
		server close: ok
		client read 9: EOF
		client close: ok`},
	{"deadlines", false, `
		client deadline past: ok
		client read 9: deadline
		client write abc: deadline
		server write abc: ok
		client read 9: deadline
		client deadline none: ok
		client read 9: abc
		client readdeadline soon: ok
		client read 9: deadline
		client write abc: ok
		client deadline none: ok
		client begin read 9:
		client deadline past: ok
		client result: deadline
		client writedeadline soon: ok
		client fill: deadline
		client writedeadline none: ok
		client begin fill:
		client writedeadline past: ok
		client result: deadline`},
	{"a buffer that is full", false, `
		client writedeadline soon: ok
		client fill: deadline
		client writedeadline none: ok
		client begin write abc:
		server drain: all
		client result: ok
		server readall 3: abc
		client writedeadline soon: ok
		client fill: deadline
		server write back: ok
		client read 9: back
		server drain: all
		client close: ok
		server read 9: EOF`},
	{"a write that is longer than the buffer, to an end that is closed", true, `
		server close: ok
		client fill: broken pipe`},
	{"the own end wakes", false, `
		client begin read 9:
		client close: ok
		client result: closed
		server writedeadline soon: ok
		server read 9: EOF`},
	{"the own end wakes a write", false, `
		client writedeadline soon: ok
		client fill: deadline
		client writedeadline none: ok
		client begin fill:
		client close: ok
		client result: closed
		server drain: all`},
	{"the peer's end wakes", false, `
		client begin read 9:
		server close: ok
		client result: EOF`},
	{"reset by linger", true, `
		client begin read 9:
		server linger: ok
		server close: ok
		client result: reset
		client read 9: EOF
		client write abc: broken pipe
		client close: ok`},
	{"reset, after some bytes", true, `
		server write abc: ok
		server linger: ok
		server close: ok
		client read 2: ab
		client read 9: c
		client read 9: reset
		client read 9: EOF
		client write abc: broken pipe
		client closewrite: not connected`},
	{"reset, seen by a write", true, `
		server linger: ok
		server close: ok
		client write abc: reset
		client write abc: broken pipe
		client read 9: EOF`},
	{"reset for what was not read", true, `
		client write abc: ok
		server readdeadline past: ok
		server read 9: deadline
		server write de: ok
		server close: ok
		client read 9: de
		client read 9: reset`},
	{"reset for what came after the end", true, `
		server write abc: ok
		server close: ok
		client write abc: ok
		client write abc: broken pipe
		client read 9: abc
		client read 9: EOF`},
	{"reset of a write that waits", true, `
		client writedeadline soon: ok
		client fill: deadline
		client writedeadline none: ok
		client begin fill:
		server close: ok
		client result: reset`},
	{"an end of both", true, `
		server closewrite: ok
		server write x: broken pipe
		server closewrite: ok
		client closewrite: ok
		server closewrite: not connected
		client read 9: EOF
		server read 9: EOF
		server linger: ok
		server close: ok
		client close: ok`},
}

// Connections of a Network are as those of the loopback interface, and leave no
// goroutine behind.
func TestNetwork(t *testing.T) {
	for _, test := range networkTests {
		t.Run("memory/"+test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Network{}
				l, err := n.Listen("127.0.0.1:0")
				check.Must(t, err)
				runNetworkTest(t, l, test.steps, func() (net.Conn, error) { return n.Dial(t.Context(), l.Addr().String()) })
				check.Equal(t, "open ends", 0, n.Opened().Now)
			})
		})
		t.Run("loopback/"+test.name, func(t *testing.T) {
			if test.linux && runtime.GOOS != "linux" {
				t.Skip("this may differ here")
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			check.Must(t, err)
			runNetworkTest(t, l, test.steps, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
		})
	}
}

func runNetworkTest(t *testing.T, l net.Listener, steps string, dial func() (net.Conn, error)) {
	defer l.Close()
	client, err := dial()
	check.Must(t, err)
	server, err := l.Accept()
	check.Must(t, err)
	if a, b := client.LocalAddr().String(), server.RemoteAddr().String(); a != b || a == l.Addr().String() {
		t.Errorf("the client is at %s, and for the server at %s", a, b)
	}
	if a, b := server.LocalAddr().String(), client.RemoteAddr().String(); a != b || a != l.Addr().String() {
		t.Errorf("the server is at %s, and for the client at %s", a, b)
	}
	c, s := newEnds(client, server)
	defer client.Close()
	defer server.Close()
	runSteps(t, c, s, steps)
}

func runSteps(t *testing.T, client, server *end, steps string) {
	for line := range strings.Lines(steps) {
		step, want, ok := strings.Cut(strings.TrimSpace(line), ":")
		words := strings.Fields(step)
		if len(words) == 0 {
			continue
		}
		e := client
		switch words[0] {
		case "server":
			e = server
		case "release":
			client.Conn.(*Conn).Link.ToServer.Release()
			continue
		}
		if got := e.do(words[1:]); got != strings.TrimSpace(want) || !ok {
			t.Fatalf("%s: %s, want%s", step, got, want)
		}
	}
}

// end is one end of a connection.
type end struct {
	net.Conn
	began  chan string // the result of what began
	filled *int        // bytes in one direction; common to both ends
}

func newEnds(client, server net.Conn) (c, s *end) {
	filled := new(int)
	return &end{client, make(chan string, 1), filled}, &end{server, make(chan string, 1), filled}
}

// do does one step of a script, and returns what a call returned, in words.
func (e *end) do(words []string) string {
	arg := words[len(words)-1]
	n, _ := strconv.Atoi(arg)
	switch words[0] {
	case "begin":
		go func() { e.began <- e.do(words[1:]) }()
		return ""
	case "result":
		return <-e.began
	case "write":
		text := strings.Join(words[1:], " ")
		n, err := e.Write([]byte(text))
		if err == nil && n != len(text) {
			return fmt.Sprint(n)
		}
		return result("ok", err)
	case "read":
		b := make([]byte, n)
		got, err := e.Read(b)
		return result(string(b[:got]), err)
	case "readall":
		b := make([]byte, n)
		_, err := io.ReadFull(e, b)
		return result(string(b), err)
	case "fill":
		for {
			n, err := e.Write(make([]byte, 100_000)) // more than the buffer of a Network
			*e.filled += n
			if err != nil {
				return result("", err)
			}
		}
	case "drain":
		_, err := io.ReadFull(e, make([]byte, *e.filled))
		*e.filled = 0
		return result("all", err)
	case "close":
		return result("ok", e.Close())
	case "closewrite":
		return result("ok", e.Conn.(interface{ CloseWrite() error }).CloseWrite())
	case "linger":
		return result("ok", e.Conn.(interface{ SetLinger(int) error }).SetLinger(0))
	}
	at := map[string]time.Time{"past": time.Unix(1, 0), "soon": time.Now().Add(20 * time.Millisecond), "none": {}}[arg]
	switch words[0] {
	case "deadline":
		return result("ok", e.SetDeadline(at))
	case "readdeadline":
		return result("ok", e.SetReadDeadline(at))
	case "writedeadline":
		return result("ok", e.SetWriteDeadline(at))
	}
	return "no such call"
}

// result returns what, or which error err is.
func result(what string, err error) string {
	switch {
	case err == nil:
		return cmp.Or(what, "nothing")
	case err == io.EOF:
		return "EOF"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "deadline"
	case oserr.IsReset(err):
		return "reset"
	case oserr.IsClosedPipe(err):
		return "broken pipe"
	case oserr.IsRefused(err):
		return "refused"
	case errors.Is(err, errTimedOut):
		return "timed out"
	case errors.Is(err, errNoConn):
		return "not connected"
	}
	return oserr.Cause(err).Error()
}

// linkTests is what a test does to a Link, and what comes of it.
var linkTests = []struct {
	name  string
	do    func(*Link)
	steps string
}{
	{"cut with a reset", func(l *Link) { l.ToClient.CutAfter(5, true) }, `
		server write abc: ok
		client write xyz: ok
		server write def: ok
		client readall 5: abcde
		client read 9: reset
		client write x: broken pipe
		server read 9: xyz
		server read 9: reset
		server write x: broken pipe
		client read 9: EOF`},
	{"cut at the next byte", func(l *Link) { l.ToServer.CutAfter(0, true) }, `
		server write abc: ok
		client begin read 9:
		client result: abc
		client begin read 9:
		client write x: ok
		client result: reset
		server read 9: reset`},
	{"cut regularly", func(l *Link) { l.ToServer.CutAfter(4, false) }, `
		client write abc: ok
		server read 9: abc
		client write def: ok
		server read 9: d
		server read 9: EOF
		client read 9: EOF
		server write x: ok
		server write x: broken pipe
		client write x: ok
		client write x: broken pipe`},
	{"split", func(l *Link) { l.ToServer.Split(2) }, `
		client write abcde: ok
		server read 9: ab
		server read 9: cd
		server read 9: e
		server write abcde: ok
		client read 9: abcde`},
	{"stalled", func(l *Link) { l.ToServer.Stall() }, `
		client write abc: ok
		server readdeadline soon: ok
		server read 9: deadline
		server write de: ok
		client read 9: de
		client close: ok
		server write f: ok
		server write g: ok
		server readdeadline none: ok
		server begin read 9:
		release:
		server result: abc
		server read 9: EOF
		server write h: broken pipe`},
	{"stalled, and full", func(l *Link) { l.ToServer.Stall() }, `
		client writedeadline soon: ok
		client fill: deadline
		client write abc: deadline
		client writedeadline none: ok
		client begin write abc:
		release:
		server drain: all
		client result: ok
		server read 9: abc`},
	{"lost", func(l *Link) { l.Lose(0) }, `
		client write abc: ok
		client close: ok
		server readdeadline soon: ok
		server read 9: deadline
		server write abc: ok
		server close: ok`},
	{"lost, and noticed", func(l *Link) { l.Lose(time.Minute) }, `
		client write abc: ok
		client begin read 9:
		server read 9: timed out
		client result: timed out
		client write abc: broken pipe
		server write abc: broken pipe
		server read 9: EOF`},
}

// What a test does to a connection of a Network becomes of it.
func TestLink(t *testing.T) {
	for _, test := range linkTests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Network{Dialed: func(_ context.Context, l *Link) { test.do(l) }}
				l, err := n.Listen("127.0.0.1:0")
				check.Must(t, err)
				runNetworkTest(t, l, test.steps, func() (net.Conn, error) { return n.Dial(t.Context(), l.Addr().String()) })
				check.Equal(t, "open ends", 0, n.Opened().Now)
			})
		})
	}
}

// WriteNow writes what there is room for.
func TestWriteNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{Buffer: 5}
		l, err := n.Listen("127.0.0.1:1")
		check.Must(t, err)
		dialed, err := n.Dial(t.Context(), "127.0.0.1:1")
		check.Must(t, err)
		client := dialed.(*Conn)
		server, err := l.Accept()
		check.Must(t, err)
		writeNow := func(b string) string {
			n, err := client.WriteNow([]byte(b))
			return fmt.Sprint(n, " ", oserr.Cause(err))
		}
		check.Equal(t, "with room", "3 <nil>", writeNow("abc"))
		check.Equal(t, "room", 2, client.Link.ToServer.Room())
		check.Equal(t, "with little", "2 <nil>", writeNow("defg"))
		check.Equal(t, "with none", "0 <nil>", writeNow("fg"))
		check.Equal(t, "no room", 0, client.Link.ToServer.Room())
		client.SetWriteDeadline(time.Now())
		check.Equal(t, "after the deadline", "0 i/o timeout", writeNow("fg"))
		client.SetWriteDeadline(time.Time{})
		b := make([]byte, 9)
		read, err := server.Read(b)
		check.Equal(t, "read", "abcde <nil>", fmt.Sprint(string(b[:read]), " ", err))
		check.Must(t, server.Close())
		check.Equal(t, "after the end", "2 <nil>", writeNow("fg"))
		if _, err := client.WriteNow([]byte("fg")); !oserr.IsClosedPipe(err) {
			t.Errorf("after the reset: %v", err)
		}
		check.Must(t, client.Close())
		check.Must(t, l.Close())
	})
}

// What is delayed arrives late, in order, and so does the end.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{Dialed: func(_ context.Context, l *Link) { l.ToClient.Delay(time.Second) }}
		l, err := n.Listen("127.0.0.1:1")
		check.Must(t, err)
		conn, err := n.Dial(t.Context(), "127.0.0.1:1")
		check.Must(t, err)
		server, err := l.Accept()
		check.Must(t, err)
		client, _ := newEnds(conn, server)
		start := time.Now()
		var got []string
		go func() {
			for _, text := range []string{"a", "b", "c"} {
				io.WriteString(server, text)
				time.Sleep(300 * time.Millisecond)
				conn.(*Conn).Link.ToClient.Delay(100 * time.Millisecond) // which lets nothing overtake
			}
			server.(*Conn).SetLinger(0)
			server.Close()
		}()
		for range 4 {
			text := client.do([]string{"read", "9"})
			got = append(got, fmt.Sprint(text, " ", time.Since(start)))
		}
		check.Equal(t, "read", []string{"abc 1s", "reset 1s", "EOF 1s", "EOF 1s"}, got)
		l.Close()
		conn.Close()
	})
}

// Dials are refused, wait for room, and end with their context.
func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{Backlog: 2}
		const address = "127.0.0.1:60300"
		begin := time.Now()
		dial := func() string {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, err := n.Dial(ctx, address)
			if err == nil {
				defer conn.Close()
			}
			return result("connected", err) + ", " + time.Since(begin).String()
		}
		check.Equal(t, "nothing listens", "refused, 0s", dial())
		l, err := n.Listen(address)
		check.Must(t, err)
		if _, err := n.Listen(address); !oserr.IsInUse(err) {
			t.Errorf("a second listener: %v", err)
		}
		n.Refuse(true)
		check.Equal(t, "refused", "refused, 0s", dial())
		n.Refuse(false)
		n.Full(true)
		check.Equal(t, "the host is gone", "deadline, 10s", dial())
		n.Full(false)
		check.Equal(t, "one", "connected, 10s", dial())
		check.Equal(t, "two", "connected, 10s", dial())
		check.Equal(t, "one too many", "deadline, 20s", dial())
		time.AfterFunc(time.Second, func() { l.Accept() })
		check.Equal(t, "one is accepted", "connected, 21s", dial())
		time.AfterFunc(time.Second, func() { l.Close() })
		check.Equal(t, "the listener is closed", "refused, 22s", dial())
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed again: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept when closed: %v", err)
		}

		l, err = n.Listen(address)
		check.Must(t, err)
		l.Fail(io.ErrUnexpectedEOF)
		conn, err := n.Dial(t.Context(), address)
		check.Must(t, err)
		if _, err := l.Accept(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("accept that fails: %v", err)
		}
		l.Fail(io.ErrUnexpectedEOF) // not twice in a row
		accepted, err := l.Accept()
		check.Must(t, err)
		check.Must(t, accepted.Close())
		check.Must(t, conn.Close())
		l.Fail(io.ErrUnexpectedEOF)
		conn, err = n.Dial(t.Context(), address)
		check.Must(t, err)
		if _, err := l.Accept(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("accept that fails again: %v", err)
		}
		l.Close()
		client, _ := newEnds(conn, nil)
		check.Equal(t, "what was not accepted", "reset", client.do([]string{"read", "9"}))
		ctx, cancel := context.WithCancel(t.Context())
		n.Full(true)
		time.AfterFunc(time.Second, cancel)
		_, err = n.Dial(ctx, address)
		check.Equal(t, "cancelled", context.Canceled, oserr.Cause(err), cmpopts.EquateErrors())
	})
}
