package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/follow"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// restartable runs the whole server in this process, again and again.
type restartable struct {
	t      *testing.T
	file   string
	listen string
	flags  []string
	cancel context.CancelFunc
	done   chan error
}

// start starts the server and returns where it listens.
func (r *restartable) start() string {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	r.cancel, r.done = cancel, make(chan error, 1)
	console := &check.Buffer{}
	go func() {
		r.done <- run(ctx, append([]string{"-interval", "5ms", "-listen", r.listen, r.file}, r.flags...), io.Discard, console)
	}()
	var at string
	check.Eventually(r.t, "the server starts", func() bool {
		for _, line := range console.Take() {
			if rest, ok := strings.CutPrefix(line, "listening on "); ok {
				at, _, _ = strings.Cut(rest, " ")
			}
		}
		return at != ""
	})
	return at
}

func (r *restartable) stop() {
	r.t.Helper()
	r.cancel()
	check.Must(r.t, <-r.done)
}

// A server restarts: a change in between is a missed, and without one there is no
// event.
func TestFlap(t *testing.T) {
	for _, transport := range []string{"tcp", "unix"} {
		t.Run(transport, func(t *testing.T) {
			dir := check.SocketDir(t)
			file := filepath.Join(dir, "target.txt")
			check.Write(t, file, "1", check.Day1)
			r := &restartable{t: t, file: file, listen: "127.0.0.1:0"}
			if transport == "unix" {
				check.NeedUnix(t)
				r.listen = filepath.Join(dir, "s")
			}
			var mu sync.Mutex // guards at
			at := r.start()
			restart := func() {
				mu.Lock()
				defer mu.Unlock()
				at = r.start()
			}

			events := make(chan wire.Event, 100)
			console := &check.Buffer{}
			c := &follow.Client{
				Server: "it", Log: log.New(console, "", 0), Begun: func() {},
				Dial: func(ctx context.Context) (net.Conn, error) {
					mu.Lock() // waits for the server that restarts
					a, err := sock.Parse(at)
					mu.Unlock()
					check.Must(t, err)
					return a.Dial(ctx)
				},
				Handle: func(es []wire.Event) error {
					for _, e := range es {
						events <- e
					}
					return nil
				},
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- c.Run(ctx) }()
			awaitLine := func(want string) {
				t.Helper()
				check.Eventually(t, want, func() bool { return slices.Contains(console.Take(), want) })
			}
			next := func() wire.Event {
				t.Helper()
				select {
				case e := <-events:
					return e
				case <-time.After(30 * time.Second):
					t.Fatal("no event")
					return wire.Event{}
				}
			}

			awaitLine("following it")
			r.stop()
			restart() // and nothing changed
			awaitLine("reconnected to it")
			check.Must(t, os.Chtimes(file, check.Day2, check.Day2))
			e := next()
			if e.Change != wire.Modified || !e.Mtime.Equal(check.Day2) {
				t.Errorf("got %+v, want the file modified", e)
			}
			r.stop()
			check.Must(t, os.Chtimes(file, check.Day1, check.Day1))
			restart()
			if e := next(); e.Change != wire.Missed || !e.Mtime.Equal(check.Day1) || e.File != file {
				t.Errorf("got %+v, want %s missed", e, file)
			}
			awaitLine("reconnected to it")
			r.stop()
			check.Must(t, os.Chtimes(file, check.Day2, check.Day2))
			check.Must(t, os.Chtimes(file, check.Day1, check.Day1)) // there and back: the same state
			restart()
			awaitLine("reconnected to it")
			check.Must(t, os.Remove(file))
			if e := next(); e.Change != wire.Removed {
				t.Errorf("got %+v, want the file removed", e)
			}
			r.stop()
			cancel()
			check.Must(t, <-done)
		})
	}
}

// The real program as a client prints, and ends well when nobody reads that any
// more: soon, or, where it cannot know that, with the next change.
func TestProgramFollows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "target.txt")
	check.Write(t, file, "1", check.Day1)
	server := start(t, "-interval", "5ms", "-listen", "127.0.0.1:0", file)
	at := server.await(`^listening on (\S+) `)

	out, in, err := os.Pipe()
	check.Must(t, err)
	client := realProgram(t, "-connect", at, "-format", "json")
	client.Stdout = in
	console, err := client.StderrPipe()
	check.Must(t, err)
	check.Must(t, client.Start())
	t.Cleanup(func() { client.Process.Kill() }) // so that a failing test ends
	in.Close()
	said, err := bufio.NewReader(console).ReadString('\n')
	if err != nil || untimed(said) != "following "+at+"\n" {
		t.Fatalf("the client says %q, %v", said, err)
	}
	out.SetReadDeadline(time.Now().Add(30 * time.Second)) // where a pipe can have one
	lines := bufio.NewReader(out)
	check.Write(t, file, "22", check.Day2)
	line, err := lines.ReadBytes('\n')
	check.Must(t, err)
	if e, err := wire.Decode(line); err != nil || e.Type != wire.Changed || e.File != file {
		t.Errorf("printed %q, %v", line, err)
	}
	out.Close()
	done := make(chan error, 1)
	go func() { done <- client.Wait() }()
	switch runtime.GOOS {
	case "windows", "solaris", "aix":
		check.Write(t, file, "333", check.Day2)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("after its output was closed: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
	}
	server.stop()
}

// halves takes half of what it gets, and then nothing for a while, as stdout and
// stderr do when another process has made them non-blocking.
type halves struct{ check.Buffer }

func (h *halves) Write(b []byte) (int, error) {
	n, _ := h.Buffer.Write(b[:(len(b)+1)/2])
	if n < len(b) {
		return n, syscall.EAGAIN
	}
	return n, nil
}

// All that the program prints arrives, even if its outputs are non-blocking.
func TestNonBlocking(t *testing.T) {
	var stdout, stderr halves
	run := func(args ...string) {
		t.Helper()
		check.Must(t, run(t.Context(), args, &stdout, &stderr))
	}
	run("-h")
	check.Equal(t, "usage", strings.TrimSuffix(usage, "\n"), strings.Join(stdout.Take(), "\n"))
	run("-version")
	check.Equal(t, "version", []string{version()}, stdout.Take())

	l, err := net.Listen("tcp", net.JoinHostPort(check.Loopbacks(t)[0], "0"))
	check.Must(t, err)
	defer l.Close()
	var sent, want []string
	for i := range 1000 {
		line := fmt.Sprintf(`{"type":"changed","timestamp":1,"file":"f%d","change":"modified"}`, i)
		sent, want = append(sent, line), append(want, line)
	}
	go func() {
		if conn, err := l.Accept(); err == nil {
			io.WriteString(conn, strings.Join(sent, "\n")+"\n")
			conn.Close()
		}
	}()
	run("-connect", l.Addr().String(), "-once", "-format", "json")
	check.Equal(t, "stdout", want, stdout.Take())
	check.Equal(t, "stderr", []string{"following " + l.Addr().String()}, stderr.Take())
}

// The real program runs a COMMAND on changes, and with -initial on the greeting.
func TestProgramRuns(t *testing.T) {
	l, err := net.Listen("tcp", net.JoinHostPort(check.Loopbacks(t)[0], "0"))
	check.Must(t, err)
	defer l.Close()
	const greeting, changed = `{"type":"watching","file":"f","targets":1}` + "\n", `{"type":"changed","file":"f","change":"modified"}` + "\n"
	for _, test := range []struct {
		sent    string
		initial bool
		want    int // runs
	}{
		{greeting, false, 0}, {greeting, true, 1}, {greeting + changed, false, 1},
	} {
		go func() {
			if conn, err := l.Accept(); err == nil {
				io.WriteString(conn, test.sent)
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
				conn.Close()
			}
		}()
		args := []string{"-connect", l.Addr().String(), "-once", "-initial", "--", os.Args[0], "-version"}
		if !test.initial {
			args = slices.Delete(args, 3, 4)
		}
		out, err := realProgram(t, args...).Output()
		if err != nil || strings.Count(string(out), "net-watcher ") != test.want {
			t.Errorf("%s printed %q, %v; want %d runs", args, out, err, test.want)
		}
	}
}
