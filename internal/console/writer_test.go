package console

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
)

// Write does not block, the buffer is bounded, and the lines beyond it are
// counted.
func TestWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		s := NewWriter(in)
		s.Wait() // at once
		line := []byte(strings.Repeat("x", 1023) + "\n")
		s.Write(line)
		synctest.Wait() // until that is being written
		for range maxBuffered/len(line) + 3 {
			s.Write(line)
		}
		s.Write([]byte("it would fit\n"))
		wait := func(want time.Duration) {
			t.Helper()
			begin := time.Now()
			s.Wait()
			if took := time.Since(begin); took != want {
				t.Errorf("the wait took %v, want %v", took, want)
			}
		}
		wait(waitTimeout)
		wait(0) // not again

		want := append(bytes.Repeat(line, 1+maxBuffered/len(line)), "4 log lines dropped while stderr was blocked\n"...)
		got := make([]byte, len(want))
		_, err := io.ReadFull(out, got)
		check.Must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("the last of what it wrote is %q, want %q", got[len(got)-50:], want[len(want)-50:])
		}
		synctest.Wait()
		wait(0) // all is written
		s.Write(line)
		wait(waitTimeout) // it was read in the meantime
		out.Close()
	})
}
