//go:build !unix

package sock

import (
	"net"
	"time"
)

// writeAtOnce writes b if the socket takes it within some milliseconds. See
// atonce_unix.go.
func writeAtOnce(conn net.Conn, b []byte) (int, error) {
	conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	return conn.Write(b)
}
