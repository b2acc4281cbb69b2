package main

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/follow"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// restartable runs the whole server in this process, and again.
type restartable struct {
	t      *testing.T
	file   string
	listen string
	output *check.Buffer
	cancel context.CancelFunc
	done   chan error
}

// start starts the server and returns where it listens.
func (r *restartable) start() string {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	r.cancel, r.done, r.output = cancel, make(chan error, 1), &check.Buffer{}
	out := r.output
	go func() {
		r.done <- run(ctx, []string{"-interval", "5ms", "-listen", r.listen, r.file}, io.Discard, out)
	}()
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		for _, line := range out.Take() {
			if at, ok := strings.CutPrefix(line, "listening on "); ok {
				at, _, _ = strings.Cut(at, " ")
				return at
			}
		}
		if time.Now().After(deadline) {
			r.t.Fatal("the server does not start")
		}
	}
}

func (r *restartable) stop() {
	r.t.Helper()
	r.cancel()
	check.Must(r.t, <-r.done)
}

// The server goes and comes: a change in between is a missed, none is nothing.
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
					mu.Lock() // and so not before it is there again
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
				for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
					if slices.Contains(console.Take(), want) {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("the client does not say %q", want)
					}
				}
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

// The program itself, as a client: it prints, and ends when nobody reads.
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
	// From here on a change is told.
	said, err := bufio.NewReader(console).ReadString('\n')
	if err != nil || said != "following "+at+"\n" {
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
	for size := 3; ; size++ { // until a change finds nobody there
		check.Write(t, file, strings.Repeat("x", size), check.Day2)
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("with nobody there to read: %v", err)
			}
			server.stop()
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
