package follow

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// part is the environment variable that makes the test binary a COMMAND of the tests
// here, or a child of it.
const part = "NET_WATCHER_TEST_PART"

func init() {
	name := os.Getenv(part)
	if name == "" {
		return
	}
	breaks := make(chan os.Signal, 1)
	signal.Notify(breaks, os.Interrupt) // Ctrl-Break, too
	switch name {
	case "parent of slow", "parent of deaf":
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), part+"="+name[len("parent of "):])
		child.Stdout = os.Stdout
		if child.Start() != nil {
			os.Exit(1)
		}
		<-breaks
	case "slow": // as a server that closes its sockets
		io.WriteString(os.Stdout, "ready\n")
		<-breaks
		time.Sleep(200 * time.Millisecond)
		io.WriteString(os.Stdout, "closed\n")
	case "deaf":
		io.WriteString(os.Stdout, "ready\n")
		for range breaks { // and does nothing
		}
	}
	os.Exit(0)
}

// runPart runs the part with this name on an event until ctx is done. It returns what the
// processes print, and a channel that is closed when Run has returned.
func runPart(t *testing.T, ctx context.Context, killDelay time.Duration, restart bool, name string) (*Command, *bufio.Reader, <-chan struct{}) {
	t.Helper()
	t.Setenv(part, name)
	return runPiped(t, ctx, killDelay, restart, os.Args[0])
}

// needBreak skips the test where processes cannot be sent Ctrl-Break: it makes a console
// if there is none, and tries. (Wine 8 has no Ctrl-Break.)
func needBreak(t *testing.T) {
	t.Helper()
	kernel32.NewProc("AllocConsole").Call() // fails if there is one
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), part+"=deaf")
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	out, err := cmd.StdoutPipe()
	check.Must(t, err)
	check.Must(t, cmd.Start())
	expectLine(t, bufio.NewReader(out), "ready")
	ok, _, err := generateConsoleCtrlEvent.Call(syscall.CTRL_BREAK_EVENT, uintptr(cmd.Process.Pid))
	cmd.Process.Kill()
	cmd.Wait()
	if ok == 0 {
		t.Skipf("no Ctrl-Break here: %v", err)
	}
}

func expectLine(t *testing.T, out *bufio.Reader, want string) {
	t.Helper()
	if line, err := out.ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("got %q, %v; want %q", line, err, want)
	}
}

// When ctx is done, all that a command has started is ended, though it does nothing on
// Ctrl-Break.
func TestCommandJob(t *testing.T) {
	for _, name := range []string{"deaf", "parent of deaf"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, out, done := runPart(t, ctx, 300*time.Millisecond, false, name)
			expectLine(t, out, "ready")
			cancel()
			<-done
			// Each process had the pipe open, and none has now.
			if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// All that a command has started gets Ctrl-Break, and has time to end, even if the command
// itself has ended.
func TestCommandBreak(t *testing.T) {
	needBreak(t)
	for _, name := range []string{"slow", "parent of slow"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, out, done := runPart(t, ctx, 30*time.Second, false, name)
			expectLine(t, out, "ready")
			cancel()
			<-done
			if rest, err := io.ReadAll(out); err != nil || string(rest) != "closed\n" {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// With Restart, the next run begins when all of the one before has gone.
func TestCommandRestartWaitsForJob(t *testing.T) {
	needBreak(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, out, done := runPart(t, ctx, 30*time.Second, true, "parent of slow")
	for range 3 {
		expectLine(t, out, "ready")
		c.Add([]wire.Event{change("a", 1)})
		expectLine(t, out, "closed")
	}
	expectLine(t, out, "ready")
	cancel()
	<-done
	expectLine(t, out, "closed")
}

// What a command leaves behind when it ends by itself is not ended.
func TestCommandLeavesJob(t *testing.T) {
	t.Setenv("NET_WATCHER_TEST_CHILD", "1")
	c := startCommand(t)
	c.cmd.killDelay = 10 * time.Millisecond // nothing has been added yet
	c.cmd.Add([]wire.Event{change("a", 1)})
	_, one := c.next()
	_, other := c.next()
	end(one, 0)
	c.close()
	other.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := other.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("the process that was left behind is gone: %v", err)
	}
	end(other, 0)
}

// What cmd.exe runs, and a program that another one starts does not, is refused with the
// right spelling.
func TestFindAsTyped(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", t.TempDir())
	check.Must(t, os.WriteFile("build.bat", []byte("@exit 0\r\n"), 0o666))
	for name, want := range map[string]string{
		"build":       `exec: "build": cannot run executable found relative to current directory (write .\build.bat)`,
		"build.bat":   `exec: "build.bat": cannot run executable found relative to current directory (write .\build.bat)`,
		`.\build.bat`: "",
		"echo":        `exec: "echo": executable file not found in %PATH% (a command of cmd.exe itself is: cmd /c echo)`,
	} {
		_, _, err := find(name)
		check.Equal(t, name, want, check.Message(err))
	}
}
