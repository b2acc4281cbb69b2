//go:build !linux

package console

import "io/fs"

// Here is no journal of systemd. See journal_linux.go.

func isJournal(fs.FileInfo) bool { return false }
