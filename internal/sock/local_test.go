package sock

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"net-watcher/internal/check"
)

func TestLocal(t *testing.T) {
	l := NewLocal("here")
	check.Equal(t, "address", "local here", l.Addr().Network()+" "+l.Addr().String())
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	for range 2 {
		conn, err := l.Dial(t.Context())
		check.Must(t, err)
		got, err := io.ReadAll(conn)
		check.Must(t, err)
		check.Equal(t, "received", "hello", string(got))
	}
	check.Must(t, l.Close())
	check.Must(t, l.Close())
	if _, err := l.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewLocal("").Dial(ctx); err != context.Canceled {
		t.Errorf("Dial when ctx is done: %v", err)
	}
}
