//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is the longest that anything may take.
const patience = time.Minute

// lab is a temporary directory, and the processes that a measurement has started.
// Those run in it. It is for one goroutine.
type lab struct {
	ctx      context.Context
	dir      string
	program  string // net-watcher
	self     string // this program
	children []*child
}

// newLab makes a lab and builds net-watcher from the repository of the working
// directory, as a static binary: a C library would take 1.5 MB more.
func newLab(ctx context.Context) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	l := &lab{ctx: ctx, dir: dir, program: filepath.Join(dir, "net-watcher"), self: self}
	build := exec.CommandContext(ctx, "go", "build", "-o", l.program, "net-watcher")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		l.close()
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return l, nil
}

// close ends all processes and removes the directory.
func (l *lab) close() {
	for _, c := range l.children {
		c.stop()
	}
	os.RemoveAll(l.dir)
}

// path returns the path of a file in the lab.
func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// child is a process that a lab has started.
type child struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	log  string // the file that has its stderr
	done chan struct{}
	err  error // how it ended; to be read when done is closed
}

// start starts a program with the arguments in the lab. env comes on top of this
// process's. The kernel ends it if this process dies.
func (l *lab) start(name string, env []string, program string, args ...string) (*child, error) {
	c := &child{name: name, log: l.path(strings.ReplaceAll(name, "/", "_") + ".log"), done: make(chan struct{})}
	c.cmd = exec.Command(program, args...)
	c.cmd.Dir = l.dir
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd.Stderr = log
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.out, c.cmd.Stdout = bufio.NewReader(out), in
	err = c.cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	context.AfterFunc(l.ctx, func() { out.SetReadDeadline(time.Now()) })
	l.children = append(l.children, c)
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop ends the process, with SIGKILL if it does not end in 5 s: some programs
// that poll sleep on SIGTERM. It returns how the process ended.
func (c *child) stop() error {
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		c.cmd.Process.Kill()
		<-c.done
	}
	return c.err
}

// alive reports whether the process has not ended.
func (c *child) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// failed returns err with the end of what the process has said.
func (c *child) failed(err error) error {
	said, _ := os.ReadFile(c.log)
	return fmt.Errorf("%s: %w\n%s", c.name, err, said[max(0, len(said)-2000):])
}

// await waits until holds returns true, for as long as patience, the context and
// the process last.
func (l *lab) await(c *child, what string, holds func() bool) error {
	for deadline := time.Now().Add(patience); !holds(); {
		switch {
		case l.ctx.Err() != nil:
			return l.ctx.Err()
		case time.Now().After(deadline):
			return c.failed(fmt.Errorf("waited in vain for %s", what))
		case !c.alive() && !holds():
			return c.failed(fmt.Errorf("it ended before %s", what))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// serve starts net-watcher with these arguments and returns it with the addresses
// that it listens at, as many as there are -listen flags.
func (l *lab) serve(name string, listen []string, env []string, args ...string) (*child, []string, error) {
	for _, address := range listen {
		args = append(args, "-listen", address)
	}
	c, err := l.start(name, env, l.program, args...)
	if err != nil {
		return nil, nil, err
	}
	var addresses []string
	err = l.await(c, "listening", func() bool {
		addresses = listening(c.log)
		return len(addresses) == len(listen)
	})
	return c, addresses, err
}

// listening returns where a net-watcher listens, as its console says.
func listening(log string) []string {
	var addresses []string
	b, _ := os.ReadFile(log)
	for line := range strings.Lines(string(b)) {
		if _, rest, ok := strings.Cut(line, " listening on "); ok { // after the time
			address, _, _ := strings.Cut(rest, " ")
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// message is what another process of a measurement reports, as a line of JSON.
type message struct {
	What    string  `json:"what"`              // "listening", "connected", "greeted", "event", "wrote", "lost", "missed", ...
	N       int     `json:"n,omitempty"`       // how many
	MS      float64 `json:"ms,omitempty"`      // ms that it took
	CPU     float64 `json:"cpu,omitempty"`     // ms of CPU time
	Address string  `json:"address,omitempty"` // that it listens at
	Why     string  `json:"why,omitempty"`     // of a loss
}

// newReporter returns a function that writes a message to w.
func newReporter(w io.Writer) func(message) {
	encoder := json.NewEncoder(w)
	return func(m message) { encoder.Encode(m) }
}

// errLost says that a subscriber lost its connection or missed an event.
var errLost = errors.New("a subscriber lost something")

// expect returns the next message of that kind. A loss is an error.
func (c *child) expect(what string) (message, error) {
	for {
		line, err := c.out.ReadBytes('\n')
		if err != nil {
			return message{}, c.failed(fmt.Errorf("waiting for %q: %w", what, err))
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			return message{}, c.failed(err)
		}
		switch m.What {
		case what:
			return m, nil
		case "lost", "missed":
			return m, c.failed(fmt.Errorf("%w: %s %s", errLost, m.What, m.Why))
		}
	}
}

// milliseconds returns d in ms.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
