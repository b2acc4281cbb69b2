//go:build unix

package main

import (
	"fmt"
	"net"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// serveOneFile starts the real program by way of a shell that runs the script, which
// ends in exec "$@", without a terminal.
func serveOneFile(t *testing.T, script string) (p *program, serves func(times int)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "f")
	program := realProgram(t, "-interval", "10ms", "-listen", "127.0.0.1:0", "-format", "json", file)
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, program.Args...)...)
	cmd.Env = program.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p = startProgram(t, cmd)
	s := dialTo(t, "tcp", net.JoinHostPort("127.0.0.1", p.await(`^listening on 127\.0\.0\.1:(\d+) `)))
	s.next()
	size := 0
	return p, func(times int) {
		t.Helper()
		for range times {
			size++
			check.Write(t, file, strings.Repeat("x", size), check.Day1)
			for e := s.next(); e.Size == nil || *e.Size != int64(size); e = s.next() {
				if e.Type != wire.Changed {
					t.Fatalf("got %s", &e)
				}
			}
		}
	}
}

// Signals that were ignored at the start stay ignored; those that were not, do not.
func TestIgnoredSignals(t *testing.T) {
	for script, signals := range map[string][]syscall.Signal{
		`trap '' INT QUIT; exec "$@"`: {syscall.SIGINT, syscall.SIGQUIT},
		`trap '' HUP; exec "$@"`:      {syscall.SIGHUP},
	} {
		t.Run(fmt.Sprint(signals), func(t *testing.T) {
			p, serves := serveOneFile(t, script)
			for _, s := range signals {
				check.Must(t, p.cmd.Process.Signal(s))
				serves(20) // a server that stops does not get through that
			}
			check.Must(t, p.cmd.Process.Signal(syscall.SIGTERM))
			if err := <-p.done; err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
		})
	}
}

// SIGHUP does not end a program that has no terminal; the console has it.
func TestHangup(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("the tests run under nohup")
	}
	p, serves := serveOneFile(t, `exec "$@"`)
	for range 3 {
		check.Must(t, p.cmd.Process.Signal(syscall.SIGHUP))
		p.await("^SIGHUP ignored, ")
		serves(3)
	}
	p.stop()
}
