package console

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// isJournal reports whether stderr is a stream to the journal of systemd. JOURNAL_STREAM
// has the device and the inode of that stream. A program inherits the variable even if
// its stderr is something else.
func isJournal(stderr fs.FileInfo) bool {
	stat, ok := stderr.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
