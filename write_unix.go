//go:build unix

package main

import "syscall"

// writeNow writes as much of b to a socket as it takes without waiting, maybe
// nothing, and returns how much that was.
func writeNow(fd uintptr, b []byte) (int, error) {
	n, err := syscall.Write(int(fd), b)
	if err == syscall.EAGAIN || err == syscall.EINTR { // the same may succeed later
		return 0, nil
	}
	return max(n, 0), err
}

// maxFiles returns how many descriptors this process may have. (Go has raised
// the limit as far as it goes.)
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}
