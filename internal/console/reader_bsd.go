//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package console

import "syscall"

// readerGone is as in reader_linux.go.
func readerGone(fd int) bool {
	queue, err := syscall.Kqueue()
	if err != nil {
		return false
	}
	defer syscall.Close(queue)
	var event [1]syscall.Kevent_t
	syscall.SetKevent(&event[0], fd, syscall.EVFILT_WRITE, syscall.EV_ADD)
	n, err := syscall.Kevent(queue, event[:], event[:], &syscall.Timespec{})
	return err == nil && n > 0 && event[0].Flags&syscall.EV_EOF != 0 && event[0].Flags&syscall.EV_ERROR == 0
}
