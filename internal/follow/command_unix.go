//go:build unix

package follow

import (
	"os/exec"
	"syscall"
	"time"
)

// cancelByGroup makes cmd, which is not started yet, the leader of a process group
// of its own, and sends SIGTERM to the group when the context of cmd is done. Once
// cmd has ended because of that, endGroup is to be called: it waits for the rest of
// the group, and sends it SIGKILL cmd.WaitDelay after the SIGTERM.
func cancelByGroup(cmd *exec.Cmd) (endGroup func()) {
	var cancelled time.Time
	signal := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
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
			// This program is the parent of orphans if it is the first process
			// of a container. A zombie still counts as a process of the group.
			const wnohang = 1 // on every system; package syscall lacks it on AIX
			syscall.Wait4(-cmd.Process.Pid, nil, wnohang, nil)
			if time.Since(cancelled) >= cmd.WaitDelay {
				signal(syscall.SIGKILL)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
