package follow

import (
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"
)

// Calls of the system that package syscall does not have.
var (
	kernel32                  = syscall.NewLazyDLL("kernel32.dll")
	createJobObject           = kernel32.NewProc("CreateJobObjectW")
	assignProcessToJobObject  = kernel32.NewProc("AssignProcessToJobObject")
	queryInformationJobObject = kernel32.NewProc("QueryInformationJobObject")
	terminateJobObject        = kernel32.NewProc("TerminateJobObject")
	generateConsoleCtrlEvent  = kernel32.NewProc("GenerateConsoleCtrlEvent")
	ntResumeProcess           = syscall.NewLazyDLL("ntdll.dll").NewProc("NtResumeProcess")
)

const createSuspended = 0x4 // CREATE_SUSPENDED

// cancelBySession makes cmd, which is not started yet, the first of a process group, in
// a job of its own, which takes the place of a session. cmd starts suspended, so that all
// that it starts is in the job: started is to be called after cmd.Start, and lets it run.
// When the context of cmd is done, its group gets Ctrl-Break, if there is a console; else
// the job is ended at once. Once cmd has ended, or could not be started, endSession is to
// be called: if that context is done, it waits for the others of the job, and ends them
// cmd.WaitDelay after the Ctrl-Break.
func cancelBySession(cmd *exec.Cmd, _ func()) (started, endSession func()) {
	var cancelled time.Time
	job, _, _ := createJobObject.Call(0, 0) // 0 if that fails: then the calls for it do
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | createSuspended}
	cmd.Cancel = func() error {
		cancelled = time.Now()
		if ok, _, _ := generateConsoleCtrlEvent.Call(syscall.CTRL_BREAK_EVENT, uintptr(cmd.Process.Pid)); ok == 0 {
			terminateJobObject.Call(job, 1)
			return cmd.Process.Kill() // if there is no job
		}
		return nil
	}
	started = func() {
		cmd.Process.WithHandle(func(process uintptr) {
			assignProcessToJobObject.Call(job, process)
			if status, _, _ := ntResumeProcess.Call(process); status != 0 {
				cmd.Process.Kill() // it would never run
			}
		})
	}
	return started, func() {
		defer syscall.CloseHandle(syscall.Handle(job))
		if cancelled.IsZero() {
			return // cmd had ended by itself: what it leaves behind may stay
		}
		for active(job) > 0 && time.Since(cancelled) < cmd.WaitDelay {
			time.Sleep(20 * time.Millisecond)
		}
		terminateJobObject.Call(job, 1)
	}
}

// active returns how many processes of a job have not ended, 0 if that is not known.
func active(job uintptr) uint32 {
	const basicAccounting = 1 // JobObjectBasicAccountingInformation
	var info struct {
		_      [4]int64 // times
		_      [2]uint32
		active uint32
		_      uint32
	}
	queryInformationJobObject.Call(job, basicAccounting, uintptr(unsafe.Pointer(&info)), unsafe.Sizeof(info), 0)
	return info.active
}

// exitStatus returns the exit status of a process that has ended.
func exitStatus(p *os.ProcessState) int { return p.ExitCode() }
