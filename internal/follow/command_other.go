//go:build !unix

package follow

import "os/exec"

// cancelByGroup does nothing: this system has no process groups that can be asked
// to end. Package exec kills the command itself, at once, when its context is
// done.
func cancelByGroup(*exec.Cmd) (endGroup func()) { return func() {} }
