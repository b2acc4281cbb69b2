package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime"
	"syscall"
)

// cause returns what err, from package net or os, says beside the call, the
// path and the addresses, for messages that name these in their own way.
func cause(err error) error {
	for {
		switch err.(type) {
		case *net.OpError, *os.SyscallError, *fs.PathError, *os.LinkError:
			err = errors.Unwrap(err)
		default:
			return err
		}
	}
}

// isErrno reports whether err is the system's error number unix or, on
// Windows, where most of package syscall's Unix numbers are invented, windows.
func isErrno(err error, unix, windows syscall.Errno) bool {
	if runtime.GOOS == "windows" {
		return errors.Is(err, windows)
	}
	return errors.Is(err, unix)
}

// isNotThere reports whether err, from looking at a path, says that nothing is
// there. It is narrower than fs.ErrNotExist on Windows, where that takes in a
// dead file server (53), and wider on Unix, where that leaves out ENOTDIR.
func isNotThere(err error) bool {
	return isErrno(err, syscall.ENOENT, 2) || // ERROR_FILE_NOT_FOUND
		isErrno(err, syscall.ENOTDIR, 3) // ERROR_PATH_NOT_FOUND
}

// isOutOfFiles reports whether err says that this process or the system has
// no file descriptor left: something that passes, and tells nothing about the
// file or the peer in question.
func isOutOfFiles(err error) bool {
	return isErrno(err, syscall.EMFILE, 4) || // ERROR_TOO_MANY_OPEN_FILES
		isErrno(err, syscall.ENFILE, 10024) // WSAEMFILE
}

// isPassing reports whether err, from accepting a connection, is one after
// which the next may succeed: resources are short, or this one connection has
// failed already (accept(2) of Linux has the list).
func isPassing(err error) bool {
	return isOutOfFiles(err) ||
		isErrno(err, syscall.ENOBUFS, 10055) || // WSAENOBUFS
		isErrno(err, syscall.ENOMEM, 8) || // ERROR_NOT_ENOUGH_MEMORY
		isErrno(err, syscall.ECONNABORTED, 10053) || // WSAECONNABORTED
		isReset(err) ||
		isErrno(err, syscall.ENOTCONN, 10057) || // WSAENOTCONN
		isErrno(err, syscall.ETIMEDOUT, 10060) || // WSAETIMEDOUT
		isErrno(err, syscall.ENETDOWN, 10050) || // WSAENETDOWN
		isErrno(err, syscall.ENETUNREACH, 10051) || // WSAENETUNREACH
		isErrno(err, syscall.EHOSTDOWN, 10064) || // WSAEHOSTDOWN
		isErrno(err, syscall.EHOSTUNREACH, 10065) || // WSAEHOSTUNREACH
		isErrno(err, syscall.EPROTO, 10054) ||
		isErrno(err, syscall.ENOPROTOOPT, 10042) || // WSAENOPROTOOPT
		isErrno(err, syscall.EOPNOTSUPP, 10045) || // WSAEOPNOTSUPP
		isErrno(err, syscall.EPERM, 10013) // WSAEACCES; a firewall said no
}

// isInUse reports whether err, from listening, says that the address is taken.
func isInUse(err error) bool { return isErrno(err, syscall.EADDRINUSE, 10048) } // WSAEADDRINUSE

// isRefused reports whether err, from dialing, says that nobody listens.
func isRefused(err error) bool { return isErrno(err, syscall.ECONNREFUSED, 10061) } // WSAECONNREFUSED

// isNoFamily reports whether err, from listening, says that this machine lacks
// the address or its whole family.
func isNoFamily(err error) bool {
	return isErrno(err, syscall.EAFNOSUPPORT, 10047) || // WSAEAFNOSUPPORT
		isErrno(err, syscall.EADDRNOTAVAIL, 10049) // WSAEADDRNOTAVAIL
}

// isReset reports whether err, from a connection, says that its other end has
// cut it short.
func isReset(err error) bool { return isErrno(err, syscall.ECONNRESET, 10054) } // WSAECONNRESET

// isClosedPipe reports whether err, from writing, says that nobody will read
// it.
func isClosedPipe(err error) bool {
	return isErrno(err, syscall.EPIPE, 109) || // ERROR_BROKEN_PIPE
		isErrno(err, syscall.EPIPE, 232) // ERROR_NO_DATA
}
