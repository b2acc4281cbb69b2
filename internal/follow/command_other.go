//go:build !unix

package follow

import "os/exec"

// inGroup does nothing here: there are no process groups that could be asked to
// end, and the command itself is ended at once when its context is done, as is
// the custom of package exec.
func inGroup(*exec.Cmd) (end func()) { return func() {} }
