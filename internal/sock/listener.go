package sock

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"net-watcher/internal/oserr"
)

const (
	// fileInterval is how often a listener looks whether the file of its socket is
	// still there: an lstat costs some microseconds.
	fileInterval = time.Second

	// replacedInterval is how often it tries to take back a path at which another
	// file is. If that is the socket of a live server, each try is a subscriber that
	// comes and leaves.
	replacedInterval = time.Minute

	// drainTime is how long connections are taken from a socket that a new one has
	// replaced: those that came before its file was gone.
	drainTime = 100 * time.Millisecond

	// removeTimeout is how long Close waits for the removal of the file.
	removeTimeout = 500 * time.Millisecond
)

// unixListener listens on a Unix socket and owns its file: when that is gone, it
// makes it again. One goroutine, keep, makes all file system calls, because they may
// hang. One at a time calls Accept; Close and Addr may be called from any goroutine.
type unixListener struct {
	path string
	mode fs.FileMode
	logf func(format string, args ...any)

	// Of the goroutine keep.
	own     fs.FileInfo // of the last of sockets
	tried   time.Time   // when the file was last to be made again
	trouble string      // why it could not be, as the log has it; "" if all is well

	mu      sync.Mutex          // guards all below
	sockets []*net.UnixListener // the last one is at path, the others are drained
	closed  bool

	end, kept chan struct{} // closed when keep is to end, and when it has ended
	close     sync.Once
}

// listenUnix listens on a Unix socket at path, as bindUnix does, until Close is
// called. It logs with logf when the socket's file is gone, and when it is made
// again.
func listenUnix(path string, mode fs.FileMode, logf func(string, ...any)) (*unixListener, error) {
	l := newUnixListener(path, mode, logf)
	if err := l.bind(); err != nil {
		return nil, err
	}
	go l.keep(time.Tick(fileInterval))
	return l, nil
}

func newUnixListener(path string, mode fs.FileMode, logf func(string, ...any)) *unixListener {
	return &unixListener{path: path, mode: mode, logf: logf, end: make(chan struct{}), kept: make(chan struct{})}
}

// Addr returns the path of the socket, which may be bound at another one.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Accept waits for a connection.
func (l *unixListener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		socket := l.sockets[0]
		l.mu.Unlock()
		conn, err := socket.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
		l.mu.Lock() // it is drained
		l.sockets = l.sockets[1:]
		l.mu.Unlock()
		socket.Close()
	}
}

// Close removes the socket's file, if it is still this listener's own, and closes
// the listener.
func (l *unixListener) Close() error {
	l.close.Do(l.closeOnce)
	return nil
}

func (l *unixListener) closeOnce() {
	close(l.end)
	select {
	case <-l.kept:
	case <-time.After(removeTimeout): // the file system hangs
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, socket := range l.sockets {
		socket.Close()
	}
}

// keep looks after the socket's file until Close is called, and then removes it.
func (l *unixListener) keep(tick <-chan time.Time) {
	defer close(l.kept)
	for {
		select {
		case <-tick:
			l.checkFile()
		case <-l.end:
			if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.own) {
				os.Remove(l.path)
			}
			return
		}
	}
}

// checkFile makes the socket's file again if it is gone, unless something else is in
// its place. Subscribers that are connected do not notice.
func (l *unixListener) checkFile() {
	info, err := os.Lstat(l.path)
	what := "removed"
	switch {
	case err == nil && os.SameFile(info, l.own):
		if l.trouble != "" {
			l.logf("unix socket %q is back", l.path)
			l.trouble = ""
		}
		return
	case err == nil:
		what = "replaced"
		if l.trouble != "" && time.Since(l.tried) < replacedInterval {
			return
		}
	case !oserr.IsNotExist(err):
		return // which says nothing about the file
	}
	l.tried = time.Now()
	switch err := l.bind(); {
	case err == nil && l.trouble == "":
		l.logf("unix socket %q was %s, and is made again", l.path, what)
	case err == nil:
		l.logf("unix socket %q is made again", l.path)
		l.trouble = ""
	case oserr.Cause(err).Error() != l.trouble:
		l.trouble = oserr.Cause(err).Error()
		l.logf("unix socket %q was %s, and cannot be made again for now: %s", l.path, what, l.trouble)
	}
}

// bind makes the socket. Accept takes connections from it, once the one before is
// drained.
func (l *unixListener) bind() error {
	socket, own, err := bindUnix(l.path, l.mode, setMode)
	if err != nil {
		return err
	}
	l.own = own
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return socket.Close()
	}
	if n := len(l.sockets); n > 0 {
		l.sockets[n-1].SetDeadline(time.Now().Add(drainTime))
	}
	l.sockets = append(l.sockets, socket)
	return nil
}
