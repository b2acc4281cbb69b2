package console

import "syscall"

// readerGone reports whether what is written to the descriptor can reach no reader
// any more. If an error keeps it from knowing that, it reports false: the
// descriptor is one without readers, such as a file, or there are no more of them.
func readerGone(fd int) bool {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	defer syscall.Close(poll)
	// EPOLLERR and EPOLLHUP are reported unasked. The end of a peer that writes no
	// more, but may read, is neither.
	if syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{}) != nil {
		return false
	}
	n, _ := syscall.EpollWait(poll, make([]syscall.EpollEvent, 1), 0)
	return n > 0
}
