package follow

import (
	"fmt"
	"os"
	"testing"

	"net-watcher/internal/wire"
)

// TestMain runs testCommand instead of the tests where NET_WATCHER_TEST_COMMAND
// has an address for it: the test binary is the COMMAND of the tests.
func TestMain(m *testing.M) {
	if address := os.Getenv("NET_WATCHER_TEST_COMMAND"); address != "" {
		os.Exit(testCommand(address))
	}
	os.Exit(m.Run())
}

// change returns an event of a file whose size and state are n.
func change(file string, n int64) wire.Event {
	return wire.Event{Type: wire.Changed, Timestamp: n, File: file, Change: wire.Modified, Size: &n, State: fmt.Sprint(n)}
}

// chunks is a reader of b that returns at most n bytes at a time, as a network
// may.
type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p, c.b[:min(c.n, len(c.b))])
	c.b = c.b[n:]
	return n, nil
}
