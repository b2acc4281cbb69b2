//go:build !linux

package scan

// Revalidate implements FileSystem.
func (OS) Revalidate(name string) { reopen(name) }

// refresh is for systems on which IsRemote may be true.
func refresh(uintptr, string) {}

// IsRemote implements FileSystem. This system has no call that asks a server without
// opening anything, so that is left to -fresh.
func (OS) IsRemote(string) (is, isProgram bool) { return false, false }

// IsMounted implements FileSystem.
func (OS) IsMounted(string) bool { return true }
