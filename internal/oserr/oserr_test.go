package oserr

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// number returns unix, or windows on Windows, as package os wraps it.
func number(unix, windows syscall.Errno) error {
	if runtime.GOOS == "windows" {
		unix = windows
	}
	return &fs.PathError{Op: "stat", Path: "f", Err: unix}
}

func TestIsNotExist(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{number(syscall.ENOENT, 2), true},
		{number(syscall.ENOTDIR, 3), true},
		{number(syscall.EACCES, 5), false},
		{number(syscall.ESTALE, 59), false},
		// ERROR_BAD_NETPATH: a dead file server is no deletion.
		{&fs.PathError{Op: "stat", Path: "f", Err: syscall.Errno(53)}, false},
	} {
		if got := IsNotExist(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}

// Each function is true for its own errors and for no other's.
func TestNumbers(t *testing.T) {
	functions := map[string]func(error) bool{
		"too many files": IsTooManyFiles, "too long": IsNameTooLong, "in use": IsInUse, "refused": IsRefused,
		"no address": IsNoAddress, "reset": IsReset, "closed pipe": IsClosedPipe, "transient": IsTransientAccept,
	}
	for _, test := range []struct {
		err  error
		want []string
	}{
		{nil, nil},
		{errors.New("unknown"), nil},
		{number(syscall.EMFILE, 4), []string{"too many files", "transient"}},
		{number(syscall.ENFILE, 10024), []string{"too many files", "transient"}},
		{number(syscall.ENAMETOOLONG, 206), []string{"too long"}},
		{number(syscall.EADDRINUSE, 10048), []string{"in use"}},
		{number(syscall.ECONNREFUSED, 10061), []string{"refused"}},
		{number(syscall.EAFNOSUPPORT, 10047), []string{"no address"}},
		{number(syscall.EADDRNOTAVAIL, 10049), []string{"no address"}},
		{number(syscall.ECONNRESET, 10054), []string{"reset", "transient"}},
		{number(syscall.EPIPE, 109), []string{"closed pipe"}},
		{number(syscall.ECONNABORTED, 10053), []string{"transient"}},
	} {
		want := make(map[string]bool)
		for _, name := range test.want {
			want[name] = true
		}
		for name, is := range functions {
			if got := is(test.err); got != want[name] {
				t.Errorf("%v: %s is %v, want %v", test.err, name, got, want[name])
			}
		}
	}
}

func TestCause(t *testing.T) {
	inner := errors.New("inner")
	for _, err := range []error{
		inner,
		&fs.PathError{Op: "open", Path: "f", Err: inner},
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", inner)},
		&os.LinkError{Op: "link", Old: "a", New: "b", Err: inner},
	} {
		if got := Cause(err); got != inner {
			t.Errorf("of %v: %v, want %v", err, got, inner)
		}
	}
	if got := Cause(nil); got != nil {
		t.Errorf("of nil: %v", got)
	}
}
