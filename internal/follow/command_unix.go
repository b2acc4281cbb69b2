//go:build unix

package follow

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// cancelBySession makes cmd, which is not started yet, the leader of a session of its
// own. A session has no terminal: a command that opens /dev/tty fails at once, where
// one in the background of a terminal's session is stopped by the system for reading
// it, for good. The processes of the session get SIGTERM when the context of cmd is
// done. Once cmd has ended, or could not be started, endSession is to be called: if that
// context is done, it waits for the others, and sends them SIGKILL cmd.WaitDelay after
// the SIGTERM. started does nothing on these systems. denied is called when what is to end
// is another user's, as all that sudo starts: then nothing but its own end ends it, and
// endSession waits for it no longer than that.
func cancelBySession(cmd *exec.Cmd, denied func()) (started, endSession func()) {
	return cancelWith(cmd, syscall.Kill, denied)
}

// cancelWith is cancelBySession with a kill(2).
func cancelWith(cmd *exec.Cmd, kill func(pid int, s syscall.Signal) error, denied func()) (started, endSession func()) {
	var cancelled time.Time
	// signal sends each signal to all of the session. It reports whether any of it is left,
	// and whether some of that may not be sent signals.
	signal := func(signals ...syscall.Signal) (left, isDenied bool) {
		session := cmd.Process.Pid
		send := func(pid int) {
			for _, s := range signals {
				err := kill(pid, s)
				left = left || err == nil
				isDenied = isDenied || err == syscall.EPERM
			}
		}
		send(-session)
		all := members(session)
		for _, p := range all {
			if p.group != session {
				send(p.pid)
			}
		}
		left = (left || len(all) > 0) && !onlyZombies(all)
		return left, isDenied
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error {
		cancelled = time.Now()
		signal(syscall.SIGTERM, syscall.SIGCONT) // a stopped process does not act on SIGTERM alone
		// Not asked of the group: of one that has only zombies, macOS says the same.
		if kill(cmd.Process.Pid, 0) == syscall.EPERM {
			denied()
		}
		return nil
	}
	return func() {}, func() {
		if cancelled.IsZero() {
			return // cmd had ended by itself: what it leaves behind may stay
		}
		// A session and a group live as long as one process in them, and their
		// number is not given to others before.
		for left, isDenied := signal(0); left; left, isDenied = signal(0) {
			if time.Since(cancelled) >= cmd.WaitDelay {
				signal(syscall.SIGKILL)
				if isDenied {
					denied()
				}
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// process is one of a session.
type process struct {
	pid, group int
	zombie     bool // it has ended, and its parent has not noticed yet, or never will
}

// members returns the processes of a session, those too that are not in its first
// group, as those of timeout(1) and of a shell with job control are. It returns none
// where /proc does not list processes as it does on Linux.
func members(session int) []process {
	var all []process
	dirs, _ := filepath.Glob("/proc/[0-9]*") // with /stat, Glob would read all of these
	for _, dir := range dirs {
		stat, _ := os.ReadFile(dir + "/stat") // gone with the process
		if p, of := parseStat(stat); of == session {
			all = append(all, p)
		}
	}
	return all
}

// parseStat returns the process of a file /proc/PID/stat, and its session; 0 if there
// is nothing in it.
func parseStat(stat []byte) (p process, session int) {
	at := bytes.LastIndexByte(stat, ')') // the name before that may have any characters
	var parent int
	var state string
	fmt.Sscan(string(stat), &p.pid)
	fmt.Sscan(string(stat[at+1:]), &state, &parent, &p.group, &session)
	p.zombie = state == "Z"
	return p, session
}

// onlyZombies reports whether there are processes, and all are zombies: their parent is
// the first process of a container, maybe, that waits for none.
func onlyZombies(all []process) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(p process) bool { return !p.zombie })
}

// exitStatus returns the exit status of a process that has ended, as a shell has it.
func exitStatus(p *os.ProcessState) int {
	if w := p.Sys().(syscall.WaitStatus); w.Signaled() {
		return 128 + int(w.Signal())
	}
	return p.ExitCode()
}
