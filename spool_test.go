package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Who writes does not wait, what waits is bounded, and what there was no room
// for is counted.
func TestSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		s := newSpool(in)
		s.wait() // at once
		line := []byte(strings.Repeat("x", 1023) + "\n")
		s.Write(line)
		synctest.Wait() // until that is being written
		for range maxSpool/len(line) + 3 {
			s.Write(line)
		}
		s.Write([]byte("it would fit\n"))
		wait := func(want time.Duration) {
			t.Helper()
			begin := time.Now()
			s.wait()
			if took := time.Since(begin); took != want {
				t.Errorf("the wait took %v, want %v", took, want)
			}
		}
		wait(spoolTime)
		wait(0) // not again

		want := append(bytes.Repeat(line, 1+maxSpool/len(line)), "4 log lines dropped while stderr was blocked\n"...)
		got := make([]byte, len(want))
		_, err := io.ReadFull(out, got)
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("the last of what it wrote is %q, want %q", got[len(got)-50:], want[len(want)-50:])
		}
		synctest.Wait()
		wait(0) // all is written
		s.Write(line)
		wait(spoolTime) // it was read in the meantime
		out.Close()
	})
}

// On a terminal the changes stand after what the console says before them.
func TestOneTerminal(t *testing.T) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopbacks(t)[0], "0"))
	must(t, err)
	defer l.Close()
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			io.WriteString(conn, `{"type":"watching","file":"f","targets":1}`+"\n"+`{"type":"changed","file":"f","change":"modified"}`+"\n")
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	for range 10 {
		said, err := realProgram(t, "-connect", l.Addr().String(), "-once").CombinedOutput()
		must(t, err)
		if !regexp.MustCompile(`^following .*\n.* modified f\n$`).Match(said) {
			t.Fatalf("it says %q", said)
		}
	}
}

// fullPipe returns a pipe that nobody reads and that takes nothing any more.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	needUnix(t)
	out, in, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { out.Close(); in.Close() })
	if err := in.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Skipf("no way to fill a pipe here: %v", err)
	}
	if _, err := in.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a pipe that is not full: %v", err)
	}
	return in
}

// Nobody reads the console of the real program: it does all the same what it
// is there for, and ends well.
func TestConsoleUnread(t *testing.T) {
	stderr := fullPipe(t)
	dir := socketFolder(t)
	target, socket := filepath.Join(dir, "target.txt"), filepath.Join(dir, "s")
	write(t, target, "1", day1)
	p := &program{t: t, cmd: realProgram(t, "-v", "-interval", "10ms", "-listen", socket, target), done: make(chan error, 1)}
	p.cmd.Stderr = stderr
	must(t, p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	defer p.cmd.Process.Kill()
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err = os.Stat(socket); err == nil {
			break
		}
	}
	must(t, err)
	for i := range 3 {
		s := dialTo(t, "unix", socket)
		s.expect("[text] watching " + target)
		s.send("json\n")
		if e := s.next(); e.Type != Watching {
			t.Errorf("after the word: %+v", e)
		}
		write(t, target, strings.Repeat("x", 10+i), day1)
		if e := s.next(); e.Change != Modified {
			t.Errorf("after a change: %+v", e)
		}
		s.Close()
	}
	p.stop()
}

// Nor does it keep the program from ending with what has failed.
func TestErrorUnread(t *testing.T) {
	cmd := realProgram(t, "-frobnicate")
	cmd.Stderr = fullPipe(t)
	must(t, cmd.Start())
	defer time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() }).Stop()
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 2 {
		t.Errorf("status %d, want 2", got)
	}
}
