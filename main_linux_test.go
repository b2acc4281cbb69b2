package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"net-watcher/internal/check"
)

// The thread that gets the signals is not one that calls of the file system can
// hang in.
func TestFirstThread(t *testing.T) {
	const all = 200 // more threads than there are
	threads, end := make(chan int, all), make(chan struct{})
	var wg sync.WaitGroup
	for range all {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			threads <- syscall.Gettid()
			<-end
		})
	}
	for range all {
		if <-threads == os.Getpid() {
			t.Error("a goroutine runs on the first thread")
		}
	}
	close(end)
	wg.Wait()
}

// init makes the program a child subreaper where a test asks for that: orphans
// below it become its children, as those of process 1 do.
func init() {
	const prSetChildSubreaper = 36
	if os.Getenv("NET_WATCHER_TEST_SUBREAPER") != "" {
		if _, _, err := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); err != 0 {
			os.Exit(1) // as an emulator of other machines refuses it
		}
	}
}

// children returns the processes of a parent, by their arguments; zombies have none.
func children(t *testing.T, parent int) map[string]int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	check.Must(t, err)
	found := make(map[string]int)
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var pid, ppid int
		fmt.Sscan(string(stat), &pid)
		_, rest, _ := strings.Cut(string(stat), ") ")
		fmt.Sscanf(rest[1:], "%d", &ppid)
		if ppid == parent {
			args, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found[strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))] = pid
		}
	}
	return found
}

// Orphans of COMMAND that have ended are reaped, also while it runs, and its own end
// is seen. A server has no COMMAND, but the children that a shell has left to it.
func TestOrphansAreReaped(t *testing.T) {
	isSubreaper := func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "NET_WATCHER_TEST_SUBREAPER=1") }
	isFirst := func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID} }
	for name, how := range map[string]func(*exec.Cmd){"child subreaper": isSubreaper, "process 1": isFirst} {
		t.Run(name, func(t *testing.T) {
			try := realProgram(t, "-version")
			how(try)
			if err := try.Run(); err != nil {
				t.Skip("this system does not let a process be that:", err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			check.Must(t, err)
			defer l.Close()
			cmd := realProgram(t, "-connect", l.Addr().String(), "-initial", "--", "sh", "-c",
				`sh -c "sleep 1001 & exec setsid sleep 1002 &" 2>/dev/null; exec sleep 1003 2>/dev/null`)
			how(cmd)
			p := startProgram(t, cmd)
			conn, err := l.Accept()
			check.Must(t, err)
			defer conn.Close()
			io.WriteString(conn, `{"type":"watching","file":"f","targets":1}`+"\n")
			testReaping(t, p, "sleep 1001", "sleep 1002", "sleep 1003")
			p.await("^sh failed after .*: signal: killed$")
			p.stop()
		})
	}
	t.Run("server", func(t *testing.T) {
		program := realProgram(t, "-listen", "127.0.0.1:0", t.TempDir())
		cmd := exec.Command("/bin/sh", append([]string{"-c", `sleep 1001 2>/dev/null & exec "$@"`, "sh"}, program.Args...)...)
		cmd.Env = program.Env
		p := startProgram(t, cmd)
		p.await("^listening on ")
		testReaping(t, p, "sleep 1001")
		p.stop()
	})
}

// testReaping waits until p has children with these arguments, kills one after the
// other, and checks that each is gone.
func testReaping(t *testing.T, p *program, args ...string) {
	t.Helper()
	pids := make(map[string]int)
	check.Eventually(t, "the children are there", func() bool {
		pids = children(t, p.cmd.Process.Pid)
		for _, a := range args {
			if pids[a] == 0 {
				return false
			}
		}
		return true
	})
	for i, a := range args {
		check.Must(t, syscall.Kill(pids[a], syscall.SIGKILL))
		check.Eventually(t, a+" is gone", func() bool {
			return len(children(t, p.cmd.Process.Pid)) == len(args)-i-1
		})
	}
}

// terminal returns the two ends of a new terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	raw, err := master.SyscallConn()
	check.Must(t, err)
	var number, unlocked int32
	for request, arg := range map[uintptr]*int32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlocked} {
		raw.Control(func(fd uintptr) {
			if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(arg))); errno != 0 {
				t.Error(errno)
			}
		})
	}
	check.Must(t, master.SetReadDeadline(time.Now().Add(30*time.Second))) // so that a failing test ends
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	check.Must(t, err)
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// A COMMAND that reads the terminal fails at once, and is run again. Ctrl-C ends the
// client and COMMAND.
func TestTerminal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check.Must(t, err)
	defer l.Close()
	master, slave := terminal(t)
	cmd := realProgram(t, "-connect", l.Addr().String(), "--", "sh", "-c",
		"echo $$ $NET_WATCHER_FILE; (read x </dev/tty) || case $NET_WATCHER_FILE in b) exec sleep 1000; esac")
	cmd.Stdin, cmd.Stdout = slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := startProgram(t, cmd)
	conn, err := l.Accept()
	check.Must(t, err)
	defer conn.Close()
	io.WriteString(conn, `{"type":"watching","file":"a","targets":1}`+"\n")
	p.await("^following ")
	out := bufio.NewReader(master)
	var pid int
	for _, file := range []string{"a", "b"} {
		fmt.Fprintf(conn, `{"type":"changed","file":%q,"change":"modified"}`+"\n", file)
		line, err := out.ReadString('\n')
		check.Must(t, err)
		if n, _ := fmt.Sscanf(line, "%d "+file, &pid); n != 1 {
			t.Fatalf("COMMAND prints %q", line)
		}
	}
	if _, err := master.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	check.Must(t, <-p.done)
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("COMMAND after the end of the client: %v", err)
	}
}

// SIGHUP ends a program that has a terminal, though its output goes elsewhere.
func TestHangupOfTerminal(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("the tests run under nohup")
	}
	_, tty := terminal(t)
	cmd := realProgram(t, "-listen", "127.0.0.1:0", "f")
	cmd.Stdin = tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := startProgram(t, cmd)
	p.await("^listening on ")
	check.Must(t, cmd.Process.Signal(syscall.SIGHUP))
	if err := <-p.done; err != nil {
		t.Errorf("at the end: %v", err)
	}
}

// Lines on a terminal have no times.
func TestConsoleOnTerminal(t *testing.T) {
	keeper, tty := terminal(t)
	cmd := realProgram(t, "-frobnicate")
	cmd.Stderr = tty
	cmd.Run()
	const want = "net-watcher: flag provided but not defined: -frobnicate (for help: -h)\r\n"
	got := make([]byte, len(want))
	_, err := io.ReadFull(keeper, got)
	check.Must(t, err)
	check.Equal(t, "console", want, string(got))
}
