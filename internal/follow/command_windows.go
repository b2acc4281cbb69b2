package follow

import (
	"os"
	"os/exec"
	"syscall"
)

// Calls of the system that package syscall does not have.
var (
	kernel32                 = syscall.NewLazyDLL("kernel32.dll")
	createJobObject          = kernel32.NewProc("CreateJobObjectW")
	assignProcessToJobObject = kernel32.NewProc("AssignProcessToJobObject")
	terminateJobObject       = kernel32.NewProc("TerminateJobObject")
	generateConsoleCtrlEvent = kernel32.NewProc("GenerateConsoleCtrlEvent")
)

// cancelBySession makes cmd, which is not started yet, the first of a process group, in
// a job of its own, which takes the place of a session. When the context of cmd is done,
// its group gets Ctrl-Break, if there is a console; else cmd is ended at once. started is
// to be called after cmd.Start: what cmd has started before that is not in the job. Once
// cmd has ended, or could not be started, endSession is to be called: it ends all
// processes of the job if the context of cmd was done.
func cancelBySession(cmd *exec.Cmd) (started, endSession func()) {
	cancelled := false
	job, _, _ := createJobObject.Call(0, 0) // 0 if that fails: then the calls for it do
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	cmd.Cancel = func() error {
		cancelled = true
		if ok, _, _ := generateConsoleCtrlEvent.Call(syscall.CTRL_BREAK_EVENT, uintptr(cmd.Process.Pid)); ok == 0 {
			return cmd.Process.Kill()
		}
		return nil
	}
	started = func() {
		cmd.Process.WithHandle(func(process uintptr) { assignProcessToJobObject.Call(job, process) })
	}
	return started, func() {
		if cancelled {
			terminateJobObject.Call(job, 1)
		}
		syscall.CloseHandle(syscall.Handle(job))
	}
}

// exitStatus returns the exit status of a process that has ended.
func exitStatus(p *os.ProcessState) int { return p.ExitCode() }
