//go:build !unix

package sock

import "syscall"

// limitUnacked does nothing: Windows is documented to send again only five times.
func limitUnacked(string, string, syscall.RawConn) error { return nil }
