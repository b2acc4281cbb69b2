package console

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
)

// halves takes half of what it gets, as a non-blocking pipe that is nearly full, and
// then nothing for a while.
type halves struct {
	b   []byte
	err error // after two writes
	n   int
}

func (h *halves) Write(b []byte) (int, error) {
	if h.n++; h.n%2 == 0 {
		return 0, syscall.EAGAIN
	}
	if h.n > 3 && h.err != nil {
		return 0, h.err
	}
	n := (len(b) + 1) / 2
	h.b = append(h.b, b[:n]...)
	if n < len(b) {
		return n, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EAGAIN}
	}
	return n, nil
}

// Output waits until a non-blocking descriptor takes the rest.
func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &halves{}
		n, err := NewOutput(h).Write([]byte("some lines\n"))
		if n != 11 || err != nil || string(h.b) != "some lines\n" {
			t.Errorf("%d, %v, %q", n, err, h.b)
		}
		h = &halves{err: io.ErrClosedPipe}
		if n, err := NewOutput(h).Write([]byte("some lines\n")); n != 9 || err != h.err {
			t.Errorf("after 9 bytes: %d, %v", n, err)
		}
		h = &halves{}
		w := NewWriter(h)
		w.Write([]byte("some lines\n"))
		w.Write([]byte("and more\n"))
		w.Wait()
		check.Equal(t, "the console", "some lines\nand more\n", string(h.b))
	})
}

// Where there is nothing to know about a reader, it is ctx that ends the wait.
func TestAwaitNoReader(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	check.Must(t, err)
	defer file.Close()
	synctest.Test(t, func(t *testing.T) {
		for _, to := range []io.Writer{io.Discard, file} {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			NewOutput(to).AwaitNoReader(ctx)
			cancel()
			if took := time.Since(begin); took != time.Hour {
				t.Errorf("%T: it returns after %v", to, took)
			}
		}
	})
}
