package main

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// reading reads all connections in one goroutine: with one each, the reader
// used more CPU than a bare loop of writes to Unix sockets, and it was the
// reader that was measured.
type reading struct {
	s     *subscribers
	epoll int
}

// newReading returns a reading that goes on until the process ends.
func newReading(s *subscribers) (*reading, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	r := &reading{s, epoll}
	go r.run()
	return r, nil
}

// add begins to read conn.
func (r *reading) add(conn net.Conn) error {
	// What is read must be unknown to the runtime, which would be woken too.
	file, err := conn.(interface{ File() (*os.File, error) }).File()
	conn.Close()
	if err != nil {
		return err
	}
	fd := int(file.Fd())
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	index := len(r.s.all)
	r.s.addLocked(file)
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd), Pad: int32(index)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_ADD, fd, &event))
}

// run reads what there is to read.
func (r *reading) run() {
	events := make([]syscall.EpollEvent, 256)
	buf := make([]byte, 4096)
	for {
		n, err := syscall.EpollWait(r.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			panic(err)
		}
		r.s.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			r.readLocked(e, buf)
		}
		r.s.mu.Unlock()
	}
}

// readLocked reads once, so it does not wait.
func (r *reading) readLocked(e syscall.EpollEvent, buf []byte) {
	if r.s.leaving {
		return // the descriptor may be another's by now
	}
	n, err := syscall.Read(int(e.Fd), buf)
	if n > 0 {
		r.s.readLocked(r.s.all[e.Pad], buf[:n], time.Now())
		return
	}
	if n == 0 {
		err = io.EOF
	}
	r.s.loseLocked(err)
	syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_DEL, int(e.Fd), nil)
}
