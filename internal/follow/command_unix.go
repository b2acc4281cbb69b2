//go:build unix

package follow

import (
	"os/exec"
	"syscall"
	"time"
)

// cancelBySession makes cmd, which is not started yet, the leader of a session of its
// own. A session has no terminal: a command that opens /dev/tty fails at once, where
// one in the background of a terminal's session is stopped by the system for reading
// it, for good. The session's first process group gets SIGTERM when the context of cmd
// is done. Once cmd has ended because of that, endGroup is to be called: it waits for
// the rest of the group, and sends it SIGKILL cmd.WaitDelay after the SIGTERM.
func cancelBySession(cmd *exec.Cmd) (endGroup func()) {
	var cancelled time.Time
	signal := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error {
		cancelled = time.Now()
		defer signal(syscall.SIGCONT) // a stopped process does not act on SIGTERM
		return signal(syscall.SIGTERM)
	}
	return func() {
		if cancelled.IsZero() {
			return // cmd had ended by itself: what it leaves behind may stay
		}
		// A group lives as long as one process in it, and its number is not
		// given to another group before.
		for signal(0) == nil {
			if time.Since(cancelled) >= cmd.WaitDelay {
				signal(syscall.SIGKILL)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
