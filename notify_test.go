//go:build unix

package main

import (
	"context"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
)

// The manager learns of the start, of each sign of life, of their lack, and of the end.
func TestNotify(t *testing.T) {
	check.NeedUnix(t)
	path := filepath.Join(check.SocketDir(t), "n")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	check.Must(t, err)
	defer manager.Close()
	manager.SetReadDeadline(time.Now().Add(30 * time.Second))
	expect := func(want string) {
		t.Helper()
		b := make([]byte, 1<<10)
		for {
			n, err := manager.Read(b)
			check.Must(t, err)
			if got := string(b[:n]); got == want {
				return
			} else if got != "WATCHDOG=1" {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"}
	n := newNotifier(func(name string) string { return env[name] }, t.Logf)
	var alive atomic.Bool
	alive.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() {
		defer close(done)
		n.run(ctx, alive.Load, "watching 1 FILE")
	}()
	expect("READY=1\nSTATUS=watching 1 FILE")
	expect("WATCHDOG=1")
	alive.Store(false)
	expect("STATUS=no scan has begun for too long")
	alive.Store(true)
	expect("WATCHDOG=1\nSTATUS=watching 1 FILE")
	cancel()
	expect("STOPPING=1\nSTATUS=stopping")
	<-done
}

// Without a manager, or with one for another process, there is nothing to do.
func TestNotifyNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := map[string]string{"WATCHDOG_USEC": "1000000"}
		n := newNotifier(func(name string) string { return env[name] }, t.Logf)
		n.run(t.Context(), func() bool { t.Error("asked"); return true }, "")
		env["WATCHDOG_PID"], env["NOTIFY_SOCKET"] = "1", "/nothing"
		if n := newNotifier(func(name string) string { return env[name] }, t.Logf); n.watchdog != 0 {
			t.Error("the watchdog of another process")
		}
	})
}

// The real program says when it serves, and when it stops.
func TestNotifyProgram(t *testing.T) {
	check.NeedUnix(t)
	path := filepath.Join(check.SocketDir(t), "n")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	check.Must(t, err)
	defer manager.Close()
	manager.SetReadDeadline(time.Now().Add(30 * time.Second))
	cmd := realProgram(t, "-listen", "127.0.0.1:0", filepath.Join(t.TempDir(), "a"))
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path)
	p := startProgram(t, cmd)
	b := make([]byte, 1<<10)
	n, err := manager.Read(b)
	check.Must(t, err)
	check.Equal(t, "at the start", "READY=1\nSTATUS=scanning every 1s, FILEs: 1", string(b[:n]))
	p.stop()
	n, err = manager.Read(b)
	check.Must(t, err)
	check.Equal(t, "at the end", "STOPPING=1\nSTATUS=stopping", string(b[:n]))
}
