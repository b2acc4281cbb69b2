package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/feed"
	"net-watcher/internal/follow"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// oneProgram is run, with a FILE and what the options ask for, in this process.
type oneProgram struct {
	t              *testing.T
	stdout, stderr check.Buffer
	cancel         func()
	done           chan error
}

func startOne(t *testing.T, args ...string) *oneProgram {
	p := &oneProgram{t: t, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel = cancel
	go func() { p.done <- run(ctx, append([]string{"-interval", "5ms"}, args...), &p.stdout, &p.stderr) }()
	return p
}

// says waits for a line of the console that begins so.
func (p *oneProgram) says(want string) {
	p.t.Helper()
	check.Eventually(p.t, want, func() bool {
		for _, line := range p.stderr.Take() {
			if strings.HasPrefix(line, want) {
				return true
			}
		}
		return false
	})
}

// end waits for the end, and checks its error.
func (p *oneProgram) end(want error) {
	p.t.Helper()
	if err := <-p.done; err != want {
		p.t.Errorf("it ends with %v, want %v", err, want)
	}
}

// With -listen - the changes are printed, from the first moment after the program has
// said that it watches, and it needs no socket for that.
func TestPrint(t *testing.T) {
	for range 20 {
		file := filepath.Join(t.TempDir(), "f")
		p := startOne(t, "-format", "json", "-listen", "-", file)
		p.says("watching")
		check.Write(t, file, "1", check.Day1)
		var e wire.Event
		check.Eventually(t, "a line", func() bool {
			lines := p.stdout.Take()
			if len(lines) == 0 {
				return false
			}
			var err error
			e, err = wire.Decode([]byte(lines[0])) // a write may be seen half done, and once more
			check.Must(t, err)
			return true
		})
		if e.Change != wire.Created || e.File != file {
			t.Errorf("printed %v", &e)
		}
		p.cancel()
		p.end(nil)
		for _, line := range p.stderr.Take() {
			if !strings.HasPrefix(line, "scanning") { // that is late, on a machine that is
				t.Errorf("the console has %q", line)
			}
		}
	}
}

// With -once the first batch of changes is the last, and with -initial what is there
// counts as one.
func TestOnce(t *testing.T) {
	dir := t.TempDir()
	there, file := filepath.Join(dir, "there"), filepath.Join(dir, "file")
	check.Write(t, there, "1", check.Day1)
	for _, args := range [][]string{{"-listen", "-"}, {"-initial", "-listen", "-"}, {"-listen", "127.0.0.1:0"}} {
		os.Remove(file)
		p := startOne(t, append(args, "-once", file)...)
		p.says("watching")
		check.Write(t, file, "1", check.Day1)
		p.end(nil)
		lines := p.stdout.Take()
		if args[len(args)-1] == "-" && (len(lines) == 0 || !strings.HasSuffix(lines[0], " created "+wire.Printable(file))) ||
			args[len(args)-1] != "-" && len(lines) > 0 {
			t.Errorf("%q prints %q", args, lines)
		}
	}
	os.Remove(file)
	p := startOne(t, "-initial", "-listen", "-", "-once", file, there)
	p.end(nil)
	check.Equal(t, "printed", []string(nil), p.stdout.Take())
}

// That something is unreadable does not end -once: the changes wait for more.
func TestOnceUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := sock.NewLocal("here")
		f := newTestFeed("a")
		s := newTestServer(f, wire.Text)
		s.start(t, l)
		var printed bytes.Buffer
		o, err := parseOptions([]string{"-once", "-listen", "-", "a"})
		check.Must(t, err)
		receivers, err := newReceivers(o, &printed, io.Discard, func() {}, noLog)
		check.Must(t, err)
		r := receivers[0]
		done := make(chan error, 1)
		go func() {
			done <- r.receive(t.Context(), &follow.Client{Server: "here", Dial: l.Dial, Log: noLog, Begun: func() {}}, false)
		}()
		synctest.Wait()
		f.Publish([]wire.Event{{Type: wire.Changed, File: "a", Change: wire.Unreadable, Error: "why", State: "1"}})
		synctest.Wait()
		if len(done) > 0 || printed.Len() == 0 {
			t.Errorf("ended: %d; printed %q", len(done), &printed)
		}
		f.Publish([]wire.Event{change("a", 2)})
		check.Must(t, <-done)
		s.stop(t)
	})
}

// A COMMAND that -once runs gives the program its status.
func TestOnceCommand(t *testing.T) {
	t.Setenv("NET_WATCHER_IS_TESTED", "1") // this program is COMMAND
	file := filepath.Join(t.TempDir(), "f")
	for argument, want := range map[string]error{"-version": nil, "-frobnicate": commandStatus(2)} {
		os.Remove(file)
		p := startOne(t, "-once", "-initial", file, "--", os.Args[0], argument)
		p.says("watching")
		check.Write(t, file, "1", check.Day1)
		p.end(want)
		p = startOne(t, "-once", "-initial", file, "--", os.Args[0], argument)
		p.end(want)
		// With -listen - besides, it is COMMAND that ends the program.
		p = startOne(t, "-once", "-initial", "-listen", "-", file, "--", os.Args[0], argument)
		p.end(want)
	}
	out, err := realProgram(t, "-once", "-initial", file, "--", os.Args[0], "-frobnicate").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || len(out) > 0 {
		t.Errorf("%v, %q", err, out)
	}
}

// What cannot be printed ends the program, with an error, as it ends a client.
func TestPrintFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	p := &oneProgram{t: t}
	output := errWriter{io.ErrShortWrite}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-interval", "5ms", "-listen", "-", file}, output, &p.stderr)
	}()
	p.says("watching")
	check.Write(t, file, "1", check.Day1)
	if err := <-done; !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a write fails, and the program ends with %v", err)
	}
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

// A program that reads nothing of what is printed is dropped as a slow subscriber, and
// gets a missed when it reads again.
func TestPrintSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := sock.NewLocal("here")
		f := feed.New([]wire.Event{{Type: wire.Watching, File: "a", Targets: 1, State: "0"}})
		s := newTestServer(f, wire.Text)
		s.start(t, l)
		read := make(chan string)
		c := &follow.Client{Server: "here", Dial: l.Dial, Log: noLog, Begun: func() {}, Handle: func(events []wire.Event) error {
			for _, e := range events {
				read <- string(e.Change) + " " + e.State
			}
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		for n := range int64(5) {
			f.Publish([]wire.Event{change("a", n+1)})
			time.Sleep(time.Minute)
		}
		check.Equal(t, "first", "modified 1", <-read)
		check.Equal(t, "then", "missed 5", <-read)
		cancel()
		check.Must(t, <-done)
		lines := s.output.Take()
		if len(lines) != 1 || !strings.Contains(lines[0], "here (0 now): dropped: reads too slowly") {
			t.Errorf("the console has %q", lines)
		}
		s.stop(t)
	})
}

// Who asks for a scan sees what was on disk before, however long the interval is.
func TestScanNow(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	p := startOne(t, "-interval", "24h", "-listen", "127.0.0.1:0", dir)
	var at string
	check.Eventually(t, "it listens", func() bool {
		for _, line := range p.stderr.Take() {
			if rest, ok := strings.CutPrefix(line, "listening on "); ok {
				at, _, _ = strings.Cut(rest, " ")
			}
		}
		return at != ""
	})
	t.Setenv("NET_WATCHER_IS_TESTED", "1") // this program is COMMAND
	for n := range 20 {
		check.Write(t, file, strings.Repeat("x", n), check.Day1)
		var stdout, stderr check.Buffer
		check.Must(t, run(t.Context(), []string{"-connect", at, "-scan", "-format", "json"}, &stdout, &stderr))
		lines := stdout.Take()
		if len(lines) != 1 {
			t.Fatalf("printed %q, on the console %q", lines, stderr.Take())
		}
		if e, err := wire.Decode([]byte(lines[0])); err != nil || *e.Size != int64(n) {
			t.Errorf("printed %v, %v", &e, err)
		}
	}
	check.Must(t, run(t.Context(), []string{"-connect", at, "-scan", "--", os.Args[0], "-frobnicate"}, io.Discard, io.Discard))
	check.Must(t, os.Remove(file))
	err := run(t.Context(), []string{"-connect", at, "-scan", "--", os.Args[0], "-frobnicate"}, io.Discard, io.Discard)
	if err != commandStatus(2) {
		t.Errorf("COMMAND fails, and the program ends with %v", err)
	}
	p.cancel()
	p.end(nil)
}

// A receiver in the same process holds no descriptor, and is served when there is none left
// for other subscribers: scans begin when it has been greeted.
func TestLocalIsAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, others := sock.NewLocal("here"), newPipeListener()
		s := newTestServer(newTestFeed("a"), wire.Text)
		s.maxConns = 1
		s.start(t, l, others)
		newPeer(t, others.dial()).expect("[text] watching a (not there)")
		conn, err := l.Dial(t.Context())
		check.Must(t, err)
		newPeer(t, conn).expect("[text] watching a (not there)")
		s.stop(t)
	})
}
