//go:build unix

package follow

import (
	"bufio"
	"context"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// runShell runs a shell script on an event until ctx is done. It returns what the
// script prints, and a channel that is closed when Run has returned.
func runShell(t *testing.T, ctx context.Context, killDelay time.Duration, script string) (*Command, *bufio.Reader, <-chan struct{}) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	r, w, err := os.Pipe()
	check.Must(t, err)
	t.Cleanup(func() { r.Close() })
	c := NewCommand([]string{"sh", "-c", script}, w, os.Stderr, log.New(t.Output(), "", 0))
	c.killDelay = killDelay
	c.Add([]wire.Event{change("a", 1)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		c.Run(ctx)
	}()
	return c, bufio.NewReader(r), done
}

// A process that a command leaves behind does not delay the next run, and is not
// ended with the client.
func TestCommandLeavesSomething(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, out, done := runShell(t, ctx, KillDelay, "sleep 1000 & echo $!")
	pids := []int{}
	for range 2 {
		line, err := out.ReadString('\n')
		check.Must(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		check.Must(t, err)
		pids = append(pids, pid)
		c.Add([]wire.Event{change("a", 2)})
	}
	line, err := out.ReadString('\n') // of the last run
	check.Must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	check.Must(t, err)
	c.Close()
	<-done
	cancel()
	for _, pid := range append(pids, pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("a process that was left behind is gone: %v", err)
		}
	}
}

// A run has succeeded even if it leaves behind a process that keeps its output
// open.
func TestCommandLeavesOutputOpen(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	var stdout, logged check.Buffer
	c := NewCommand([]string{"sh", "-c", "sleep 1000 & echo $!"}, &stdout, io.Discard, log.New(&logged, "", 0))
	c.killDelay = 10 * time.Millisecond
	c.Trigger()
	c.Close()
	c.Run(t.Context())
	check.Equal(t, "log", []string(nil), logged.Take())
	pid, err := strconv.Atoi(strings.Join(stdout.Take(), "\n"))
	check.Must(t, err)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the process that was left behind is gone: %v", err)
	}
}

// A stopped command can do what it does on SIGTERM before it is killed.
func TestCommandStopped(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no way to know that a process is stopped")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, out, done := runShell(t, ctx, 30*time.Second, "trap 'echo end; exit' TERM; echo $$; kill -STOP $$; sleep 1000")
	pid, err := out.ReadString('\n')
	check.Must(t, err)
	check.Eventually(t, "the command is stopped", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
		check.Must(t, err)
		return strings.Contains(string(stat), ") T ")
	})
	cancel()
	<-done
	if rest, err := io.ReadAll(out); err != nil || string(rest) != "end\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

// When ctx is done, the whole process group of a command gets SIGTERM, and what
// does not end of that is killed, even if the command itself has ended.
func TestCommandGroup(t *testing.T) {
	for name, script := range map[string]string{
		"all end":                     "sleep 1000 & echo ready; wait",
		"the command ignores SIGTERM": "trap '' TERM; sleep 1000 & echo ready; wait; wait; sleep 1000",
		"the command is stopped":      "echo ready; kill -STOP $$; sleep 1000",
		"its child ignores SIGTERM":   "(trap '' TERM; echo ready; exec sleep 1000) & wait",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, out, done := runShell(t, ctx, 300*time.Millisecond, script)
			line, err := out.ReadString('\n')
			if err != nil || line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			cancel()
			<-done
			// Each process of the group had the pipe open, and none has now.
			if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}
