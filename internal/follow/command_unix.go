//go:build unix

package follow

import (
	"os/exec"
	"syscall"
	"time"
)

// inGroup makes cmd, which is about to be started, the leader of a process
// group that is sent SIGTERM when its context is done. The function that it
// returns is to be called once cmd has ended because of that: it sees to it
// that the rest of the group ends too, by SIGKILL if need be, cmd.WaitDelay
// after the SIGTERM.
func inGroup(cmd *exec.Cmd) (end func()) {
	var asked time.Time
	signal := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		asked = time.Now()
		defer signal(syscall.SIGCONT) // what is stopped does not end
		return signal(syscall.SIGTERM)
	}
	return func() {
		if asked.IsZero() {
			return // it had ended by itself, and may have left something behind
		}
		// A group lives as long as one process in it, and its number is not
		// given to another one before.
		for signal(0) == nil {
			// As the first process of a container, this is the parent of orphans.
			const wnohang = 1 // everywhere; package syscall lacks it on AIX
			syscall.Wait4(-cmd.Process.Pid, nil, wnohang, nil)
			if time.Since(asked) >= cmd.WaitDelay {
				signal(syscall.SIGKILL)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
