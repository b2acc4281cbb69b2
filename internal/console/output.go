package console

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// retryInterval is the time between two tries to write to a non-blocking
	// descriptor that takes nothing.
	retryInterval = 10 * time.Millisecond

	// readerInterval is the time between two checks for a reader.
	readerInterval = time.Second
)

// Output writes to stdout or stderr, which other processes share. Each of them can
// make it non-blocking for all, as Node does: then Output waits where the
// descriptor does not.
type Output struct{ to io.Writer }

// NewOutput returns an Output that writes to to.
func NewOutput(to io.Writer) Output { return Output{to} }

// Write writes all of b, however long that takes.
func (o Output) Write(b []byte) (written int, err error) {
	for {
		n, err := o.to.Write(b[written:])
		written += n
		if !errors.Is(err, syscall.EAGAIN) {
			return written, err
		}
		time.Sleep(retryInterval)
	}
}

// AwaitNoReader returns when nobody can read any more what is written, or when ctx
// is done. It knows that, within a second, of pipes, sockets and terminals, on
// Linux, macOS and the BSDs; else it waits for ctx.
func (o Output) AwaitNoReader(ctx context.Context) {
	if file, ok := o.to.(*os.File); ok && mayLoseReader(file) {
		conn, err := file.SyscallConn()
		for gone := false; err == nil; {
			err = conn.Control(func(fd uintptr) { gone = readerGone(int(fd)) })
			if gone {
				return
			}
			select {
			case <-time.After(readerInterval):
			case <-ctx.Done():
				return
			}
		}
	}
	<-ctx.Done()
}
