//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// With 64 descriptors and a peer that takes all it can get, some stay the server's
// own: subscribers get every change, also below a directory, which takes
// descriptors to scan; nothing becomes unreadable; a connection too many is closed
// at once, and the console says so.
func TestOutOfDescriptors(t *testing.T) {
	const limit = 64
	dir := t.TempDir()
	check.Must(t, os.MkdirAll(filepath.Join(dir, "d", "sub"), 0o777))
	program := realProgram(t, "-listen", "127.0.0.1:0", "-interval", "10ms", "-format", "json", filepath.Join(dir, "d"))
	cmd := exec.Command("/bin/sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, limit), "sh"}, program.Args...)...)
	cmd.Env = program.Env
	p := startProgram(t, cmd)
	address := net.JoinHostPort("127.0.0.1", p.await(`^listening on \S+:(\d+) `))
	honest := dialTo(t, "tcp", address)
	honest.next()
	var storm sync.WaitGroup // more than it can accept one by one
	for range 10 {
		storm.Go(func() {
			for range 50 {
				if conn, err := net.Dial("tcp", address); err == nil {
					conn.Close()
				}
			}
		})
	}
	storm.Wait()
	var attackers []*peer
	served := 1
	for range 4 * limit {
		a := dialTo(t, "tcp", address)
		attackers = append(attackers, a)
		if _, err := a.lines.ReadByte(); err == nil {
			served++
		}
	}
	if _, most := shareFiles(limit, 1); served != most {
		t.Errorf("%d are served, want %d", served, most)
	}
	p.await(`more refused \(no file descriptors left \(ulimit -n\)\)`)
	for i := range 20 {
		name := filepath.Join(dir, "d", "sub", fmt.Sprint(i))
		check.Write(t, name, "1", check.Day1)
		for {
			e := honest.next()
			if e.Error != "" || e.Change == wire.Missed {
				t.Fatalf("got %s", &e)
			}
			if strings.HasSuffix(e.File, fmt.Sprintf("/sub/%d", i)) {
				break
			}
		}
	}
	for _, a := range attackers {
		a.Close()
	}
	for { // until the server has closed some
		if _, err := dialTo(t, "tcp", address).lines.ReadByte(); err == nil {
			break
		}
	}
	p.stop()
	for _, line := range p.said {
		if strings.HasPrefix(line, "cannot accept") {
			t.Error(line)
		}
	}
}

// A subscriber whose time is up between two frames has a regular end: it has not
// got half of anything.
func TestShutdownBetweenLines(t *testing.T) {
	sockets(t, func(t *testing.T, l net.Listener) {
		defer l.Close()
		s := newTestServer(newTestFeed("a"), wire.Text)
		p := dial(t, l)
		conn, err := l.Accept()
		check.Must(t, err)
		s.conns.Add(1)
		u := newSubscriber(s.server, conn, "pipe", wire.Text)
		s.feed.Join(&u.reader, u, wire.Text)
		u.Flush()
		p.expect("[text] watching a (not there)")
		for s.feed.Publish([]wire.Event{change("a", 1)}); len(s.feed.Ready(nil)) == 0; {
			p.expect("[text] modified a") // the greeting's goroutine still had the flush token
			s.feed.Publish([]wire.Event{change("a", 1)})
		}

		past := time.Now().Add(-time.Second)
		u.deadline.Store(&past)
		u.beginClose()
		u.Flush() // has the last change
		p.expectEnd()
		if n := s.conns.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}
