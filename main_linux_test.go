package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"testing"
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

// terminal returns both ends of a new terminal.
func terminal(t *testing.T) (keeper, tty *os.File) {
	t.Helper()
	keeper, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { keeper.Close() })
	var locked, number int32
	for request, arg := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keeper.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Fatal(errno)
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	check.Must(t, err)
	t.Cleanup(func() { tty.Close() })
	return keeper, tty
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
