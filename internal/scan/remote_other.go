//go:build !linux

package scan

// Revalidate implements FileSystem.
func (OS) Revalidate(name string) { reopen(name) }

// IsRemote implements FileSystem. This system has no call that asks a server without
// opening anything, so that is left to -fresh.
func (OS) IsRemote(string) bool { return false }

// IsMounted implements FileSystem.
func (OS) IsMounted(string) bool { return true }
