//go:build !unix && !windows

package follow

import (
	"os"
	"os/exec"
)

// cancelBySession does nothing: this system has no sessions and no process groups
// that can be asked to end. Package exec kills the command itself, at once, when its
// context is done.
func cancelBySession(*exec.Cmd, func()) (started, endSession func()) { return func() {}, func() {} }

// exitStatus returns the exit status of a process that has ended.
func exitStatus(p *os.ProcessState) int { return p.ExitCode() }
