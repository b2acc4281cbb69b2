package console

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// isJournal reports whether what stderr is leads to the journal of systemd. JOURNAL_STREAM
// has the device and the inode of that, and is inherited by programs whose stderr is
// something else.
func isJournal(stderr fs.FileInfo) bool {
	stat, ok := stderr.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
