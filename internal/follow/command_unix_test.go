//go:build unix

package follow

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// runShell runs a shell script on an event until ctx is done. It returns what the
// script prints, and a channel that is closed when Run has returned.
func runShell(t *testing.T, ctx context.Context, killDelay time.Duration, restart bool, script string) (*Command, *bufio.Reader, <-chan struct{}) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	return runPiped(t, ctx, killDelay, restart, "sh", "-c", script)
}

// A process that a command leaves behind does not delay the next run, and is not
// ended with the client.
func TestCommandLeavesSomething(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, out, done := runShell(t, ctx, KillDelay, false, "sleep 1000 & echo $!")
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
	c := newCommand(t, &stdout, &logged, "sh", "-c", "sleep 1000 & echo $!")
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
	_, out, done := runShell(t, ctx, 30*time.Second, false, "trap 'echo end; exit' TERM; echo $$; kill -STOP $$; sleep 1000")
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

// When ctx is done, the whole session of a command gets SIGTERM, and what does not
// end of that is killed, even if the command itself has ended.
func TestCommandSession(t *testing.T) {
	for name, script := range map[string]string{
		"all end":                     "sleep 1000 & echo ready; wait",
		"the command ignores SIGTERM": "trap '' TERM; sleep 1000 & echo ready; wait; wait; sleep 1000",
		"the command is stopped":      "echo ready; kill -STOP $$; sleep 1000",
		"its child ignores SIGTERM":   "(trap '' TERM; trap 'echo another signal' HUP INT QUIT; echo ready; while :; do sleep 0.05; done) & wait",
		"its child has its own group": "timeout 1000 sh -c 'echo ready; exec sleep 1000'",
		"and ignores SIGTERM":         "timeout 1000 sh -c 'trap \"\" TERM; echo ready; exec sleep 1000'",
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS != "linux" && strings.HasPrefix(script, "timeout") {
				t.Skip("no way to know the processes of a session")
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, out, done := runShell(t, ctx, 300*time.Millisecond, false, script)
			line, err := out.ReadString('\n')
			if err != nil || line != "ready\n" {
				t.Fatalf("%q, %v", line, err)
			}
			cancel()
			<-done
			// Each process of the session had the pipe open, and none has now.
			if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// With Restart, the next run begins when all of the one before has gone: the command
// itself has ended at once, but its child takes its time, as a server does that
// closes its sockets.
func TestCommandRestartWaits(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	c, out, done := runShell(t, ctx, 30*time.Second, true, `
		(mkdir port || { echo taken; exit; }; trap "sleep 0.2; rmdir port; exit" TERM; echo listening; while :; do sleep 0.02; done) &
		trap exit TERM; wait`)
	for range 3 {
		line, err := out.ReadString('\n')
		if err != nil || line != "listening\n" {
			t.Fatalf("%q, %v", line, err)
		}
		c.Add([]wire.Event{change("a", 1)})
	}
	line, err := out.ReadString('\n')
	cancel()
	<-done
	if err != nil || line != "listening\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

// A session of which only zombies are left has ended: the first process of a container
// may never wait for them.
func TestOnlyZombies(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no way to know the processes of a session")
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check.Must(t, cmd.Start())
	session := cmd.Process.Pid
	check.Equal(t, "only zombies", false, onlyZombies(members(session)))
	check.Must(t, cmd.Process.Kill())
	check.Eventually(t, "only zombies", func() bool { return onlyZombies(members(session)) })
	cmd.Wait()
	check.Equal(t, "only zombies", false, onlyZombies(members(session)))
}

// The name of a process may have any characters. Of one that has gone, there is nothing.
func TestParseStat(t *testing.T) {
	type result struct {
		process
		session int
	}
	for stat, want := range map[string]result{
		"12 (sh) S 1 13 14 34816 12 4194560": {process{12, 13, false}, 14},
		"12 (a) R 5 6 7 (b) Z 1 13 14 0 12":  {process{12, 13, true}, 14},
		"12 ()\n) S 1 13 14 0 12":            {process{12, 13, false}, 14},
		"":                                   {},
	} {
		var got result
		got.process, got.session = parseStat([]byte(stat))
		if got != want {
			t.Errorf("%q: %v, want %v", stat, got, want)
		}
	}
}

// The status of a command that a signal ends is as a shell has it.
func TestCommandStatus(t *testing.T) {
	for script, want := range map[string]int{"exit 3": 3, "kill -9 $$": 128 + 9, ":": 0} {
		c := newCommand(t, io.Discard, io.Discard, "sh", "-c", script)
		c.Trigger()
		c.Close()
		c.Run(t.Context())
		check.Equal(t, script, want, c.Status())
	}
}

// COMMAND does not get the variables by which net-watcher reports to a service manager, or it
// would report its own start and end.
func TestCommandIsNoService(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "WATCHDOG_USECS"} {
		t.Setenv(name, "1")
	}
	var stdout check.Buffer
	c := newCommand(t, &stdout, io.Discard, "sh", "-c", "env | grep -E '^(NOTIFY|WATCHDOG)_'")
	c.Trigger()
	c.Close()
	c.Run(t.Context())
	check.Equal(t, "environment", []string{"WATCHDOG_USECS=1"}, stdout.Take())
}

// That what is to end may not be sent signals, because it is another user's, is known: of a
// command itself, and of what it has started.
func TestCommandOfAnotherUser(t *testing.T) {
	for script, allowed := range map[string]int{"exec sleep 60": 0, "sleep 60 & wait": 3} {
		if allowed > 0 && runtime.GOOS != "linux" {
			continue // without a list of processes nothing is known of those
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", script)
		cmd.WaitDelay = 200 * time.Millisecond
		calls, denials := 0, 0
		kill := func(pid int, s syscall.Signal) error {
			if s != 0 && s != syscall.SIGTERM && s != syscall.SIGCONT && s != syscall.SIGKILL {
				t.Errorf("signal %d", s)
			}
			if calls++; calls <= allowed { // to the command alone
				return syscall.Kill(max(pid, -pid), s)
			}
			return syscall.EPERM
		}
		started, endSession := cancelWith(cmd, kill, func() { denials++ })
		check.Must(t, cmd.Start())
		t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		started()
		for allowed > 0 && len(members(cmd.Process.Pid)) < 2 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		cmd.Wait() // the system ends the command all the same, for it is our own
		endSession()
		check.Equal(t, script, 1, denials)
	}
}

// A script without #! is run by the shell, with its arguments and its input; what is
// no text is not.
func TestCommandWithoutInterpreter(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	check.Must(t, os.WriteFile(script, []byte(`cat >/dev/null; echo "$0 $* $NET_WATCHER_FILE"`), 0o777))
	var stdout, logged check.Buffer
	c := newCommand(t, &stdout, &logged, script, "-x", "y z")
	c.Add([]wire.Event{change("a", 1)})
	c.Close()
	c.Run(t.Context())
	check.Equal(t, "log", []string(nil), logged.Take())
	check.Equal(t, "output", []string{script + " -x y z a"}, stdout.Take())

	check.Must(t, os.WriteFile(script, []byte("\x7fNONE\x00"), 0o777))
	c = newCommand(t, &stdout, &logged, script)
	c.Trigger()
	c.Close()
	c.Run(t.Context())
	check.Equal(t, "log", []string{"cannot start COMMAND, retrying: exec format error"}, inBrief(logged.Take(), script))
}

// A command that cannot be started for now is tried again until it can, with all
// events that have come. The log has one line when that begins, and one when it is
// over.
func TestCommandCannotStart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c")
	const script = "#!/bin/sh\ncat\n"
	for how, test := range map[string]struct {
		spoil func() (mend func())
		why   string
	}{
		"is missing": {func() func() {
			check.Must(t, os.Remove(name))
			return func() {}
		}, `exec: "COMMAND": stat COMMAND: no such file or directory`},
		"is not executable yet": {func() func() {
			check.Must(t, os.Chmod(name, 0o666))
			return func() {}
		}, `exec: "COMMAND": permission denied`},
		"lacks its interpreter": {func() func() {
			check.Must(t, os.WriteFile(name, []byte("#!/no/such/sh"), 0o777))
			return func() {}
		}, `COMMAND: interpreter "/no/such/sh": no such file or directory (install it, or correct the line that begins with #!)`},
		"is being written": {func() func() {
			if runtime.GOOS != "linux" {
				t.Skip("a script that is open for writing may be run here")
			}
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			check.Must(t, err)
			return func() { f.Close() }
		}, "text file busy"},
	} {
		t.Run(how, func(t *testing.T) {
			write := func() {
				check.Must(t, os.WriteFile(name, []byte(script), 0o777))
				check.Must(t, os.Chmod(name, 0o777))
			}
			write()
			var stdout, logged check.Buffer
			c := newCommand(t, &stdout, &logged, name)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.Run(t.Context())
			}()
			mend := test.spoil()
			c.Add([]wire.Event{change("a", 1)})
			awaitLog(t, &logged, name, "cannot start COMMAND, retrying: "+test.why)
			c.Add([]wire.Event{change("b", 1)})
			mend()
			write()
			awaitLog(t, &logged, name, "COMMAND could be started after TIME")
			c.Close()
			<-done
			check.Equal(t, "log", []string(nil), logged.Take())
			var got []string
			for _, line := range stdout.Take() {
				e, err := wire.Decode([]byte(line))
				check.Must(t, err)
				got = append(got, e.String())
			}
			check.Equal(t, "input", []string{"modified a", "modified b"}, got)
		})
	}
}

// A command that cannot be started is logged once, and with Verbose each time. Close
// ends the tries, and its status is that of a command that has failed.
func TestCommandNeverStarts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c")
	const line = `cannot start COMMAND, retrying: exec: "COMMAND": stat COMMAND: no such file or directory`
	for _, verbose := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			check.Must(t, os.WriteFile(name, []byte("#!/bin/sh\n"), 0o777))
			var logged check.Buffer
			c := newCommand(t, io.Discard, &logged, name)
			c.Verbose = verbose
			check.Must(t, os.Remove(name))
			c.Trigger()
			go func() {
				time.Sleep(time.Hour)
				c.Close()
			}()
			c.Run(t.Context())
			check.Equal(t, "status", 126, c.Status())
			lines := inBrief(logged.Take(), name)
			if lines[0] != line || (len(lines) > 1) != verbose {
				t.Errorf("verbose %v: %d lines, %q first", verbose, len(lines), lines[0])
			}
		})
	}
}
