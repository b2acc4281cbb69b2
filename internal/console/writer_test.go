package console

import (
	"bytes"
	"io"
	"os"
	"regexp"
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
		s.Write([]byte("it would\nfit\n"))
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

		want := append(bytes.Repeat(line, 1+maxBuffered/len(line)), "5 log lines dropped while stderr was blocked\n"...)
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

// Each line in a file has the time, and none has in what is no file.
func TestTimes(t *testing.T) {
	out, in, err := os.Pipe()
	check.Must(t, err)
	defer out.Close()
	w := NewWriter(in)
	w.Write([]byte("one\ntwo\n"))
	w.Wait()
	in.Close()
	got, err := io.ReadAll(out)
	const when = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d`
	if err != nil || !regexp.MustCompile("^"+when+" one\n"+when+" two\n$").Match(got) {
		t.Errorf("got %q, %v", got, err)
	}

	var b check.Buffer
	w = NewWriter(&b)
	w.Write([]byte("one\n"))
	w.Wait()
	check.Equal(t, "no file", []string{"one"}, b.Take())
}
