// Package oserr says which error means what, on Unix and on Windows.
//
// Windows has numbers of its own for what Unix calls ENOENT or EMFILE, and most
// of the Unix numbers that package syscall has there are invented: comparing with
// them is never true. Every function here may be called from any goroutine, and
// accepts wrapped errors and nil.
package oserr

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime"
	"syscall"
)

// Cause returns the innermost error of err, from package net or os, without the
// call, the path and the addresses: for messages that name these themselves.
func Cause(err error) error {
	for {
		switch err.(type) {
		case *net.OpError, *os.SyscallError, *fs.PathError, *os.LinkError:
			err = errors.Unwrap(err)
		default:
			return err
		}
	}
}

// is reports whether err is the system's error number: unix or, on Windows,
// windows.
func is(err error, unix, windows syscall.Errno) bool {
	if runtime.GOOS == "windows" {
		return errors.Is(err, windows)
	}
	return errors.Is(err, unix)
}

// IsNotExist reports whether err, from a call with a path, says that nothing
// exists there. It is narrower than fs.ErrNotExist on Windows, where that
// includes a dead file server (53), and wider on Unix, where that leaves out
// ENOTDIR.
func IsNotExist(err error) bool {
	return is(err, syscall.ENOENT, 2) || // ERROR_FILE_NOT_FOUND
		is(err, syscall.ENOTDIR, 3) // ERROR_PATH_NOT_FOUND
}

// IsNameTooLong reports whether err, from a call with a path, says that the
// system does not accept a path or a name of this length.
func IsNameTooLong(err error) bool {
	return is(err, syscall.ENAMETOOLONG, 206) // ERROR_FILENAME_EXCED_RANGE
}

// IsTooManyFiles reports whether err says that this process or the system has no
// file descriptor left. That is temporary, and says nothing about the file or
// the peer of the call.
func IsTooManyFiles(err error) bool {
	return is(err, syscall.EMFILE, 4) || // ERROR_TOO_MANY_OPEN_FILES
		is(err, syscall.ENFILE, 10024) // WSAEMFILE
}

// IsInconclusive reports whether err, from a call about a file, says nothing about
// that file, and may be gone when the call is repeated: resources are short, a signal
// came, or another program holds a lease or a lock on the file for now.
func IsInconclusive(err error) bool {
	return IsTooManyFiles(err) ||
		is(err, syscall.ENOMEM, 8) || // ERROR_NOT_ENOUGH_MEMORY
		is(err, syscall.ENOBUFS, 1450) || // ERROR_NO_SYSTEM_RESOURCES
		is(err, syscall.EAGAIN, 32) || // ERROR_SHARING_VIOLATION
		is(err, syscall.EINTR, 33) // ERROR_LOCK_VIOLATION
}

// IsTransientAccept reports whether the next accept may succeed after err, from
// accepting a connection: resources are short, or only this connection failed.
// The list is that of accept(2) of Linux.
func IsTransientAccept(err error) bool {
	return IsTooManyFiles(err) ||
		is(err, syscall.ENOBUFS, 10055) || // WSAENOBUFS
		is(err, syscall.ENOMEM, 8) || // ERROR_NOT_ENOUGH_MEMORY
		is(err, syscall.ECONNABORTED, 10053) || // WSAECONNABORTED
		IsReset(err) ||
		is(err, syscall.ENOTCONN, 10057) || // WSAENOTCONN
		is(err, syscall.ETIMEDOUT, 10060) || // WSAETIMEDOUT
		is(err, syscall.ENETDOWN, 10050) || // WSAENETDOWN
		is(err, syscall.ENETUNREACH, 10051) || // WSAENETUNREACH
		is(err, syscall.EHOSTDOWN, 10064) || // WSAEHOSTDOWN
		is(err, syscall.EHOSTUNREACH, 10065) || // WSAEHOSTUNREACH
		is(err, syscall.EPROTO, 10054) ||
		is(err, syscall.ENOPROTOOPT, 10042) || // WSAENOPROTOOPT
		is(err, syscall.EOPNOTSUPP, 10045) || // WSAEOPNOTSUPP
		is(err, syscall.EPERM, 10013) // WSAEACCES: a firewall refused it
}

// IsInUse reports whether err, from listening, says that the address is taken.
func IsInUse(err error) bool { return is(err, syscall.EADDRINUSE, 10048) } // WSAEADDRINUSE

// IsRefused reports whether err, from dialing, says that nothing listens there.
func IsRefused(err error) bool { return is(err, syscall.ECONNREFUSED, 10061) } // WSAECONNREFUSED

// IsNoAddress reports whether err, from listening, says that this machine lacks
// the address or its whole family.
func IsNoAddress(err error) bool {
	return is(err, syscall.EAFNOSUPPORT, 10047) || // WSAEAFNOSUPPORT
		is(err, syscall.EADDRNOTAVAIL, 10049) // WSAEADDRNOTAVAIL
}

// IsReset reports whether err, from a connection, says that the peer has reset
// it.
func IsReset(err error) bool { return is(err, syscall.ECONNRESET, 10054) } // WSAECONNRESET

// IsClosedPipe reports whether err, from writing, says that the reading end is
// closed.
func IsClosedPipe(err error) bool {
	return is(err, syscall.EPIPE, 109) || // ERROR_BROKEN_PIPE
		is(err, syscall.EPIPE, 232) // ERROR_NO_DATA
}
