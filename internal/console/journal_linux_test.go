package console

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"net-watcher/internal/check"
)

// Lines to the journal have no times. Lines to a file have them, even if JOURNAL_STREAM
// is set.
func TestJournal(t *testing.T) {
	out, in, err := os.Pipe()
	check.Must(t, err)
	defer out.Close()
	defer in.Close()
	var stat syscall.Stat_t
	check.Must(t, syscall.Fstat(int(in.Fd()), &stat))
	for stream, timed := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino):   false,
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): true,
		"": true,
	} {
		t.Setenv("JOURNAL_STREAM", stream)
		if got := NewWriter(in).timed; got != timed {
			t.Errorf("JOURNAL_STREAM=%s: %v, want %v", stream, got, timed)
		}
	}
}
