//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"net-watcher/internal/proof"
	"net-watcher/internal/wire"
)

const (
	interval = 200 // ms between scans
	scanTime = 400 // ms that a scan may take on a machine with much to do

	// fewFiles is the limit of descriptors of a server that has few.
	fewFiles = 64

	// greetTime is how long a server may take to greet: 5 s if a target hangs.
	greetTime = 15 * time.Second
)

// server is a server of a round, from 1 on.
type server struct {
	*child
	number  int
	socket  string
	at      map[string]string // its addresses by network but "unix", nil until they are known
	greeted chan struct{}     // closed when the witness has a greeting
	ended   chan struct{}     // closed when the witness has no connection any more
	eaters  []net.Conn        // take descriptors
}

// launch starts a server, which may have few descriptors, with a witness. That records its
// greeting as one of the kind, Serve or Fresh.
func (r *round) launch(kind proof.Kind, socket string, few, text bool) (*server, error) {
	r.servers++
	s := &server{number: r.servers, socket: socket, greeted: make(chan struct{}), ended: make(chan struct{})}
	args := []string{r.program, "-interval", fmt.Sprintf("%dms", interval), "-listen", "127.0.0.1:0", "-listen", "unix:" + socket,
		"-listen", "tls://127.0.0.1:0", "-listen", "http://127.0.0.1:0"}
	args = append(args, r.secure.flags...)
	if !text {
		args = append(args, "-format", "json")
	}
	if r.content != "" {
		args = append(args, r.content)
	}
	if few {
		args = append([]string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, fewFiles), "sh"}, args...)
	}
	began := r.rec.now()
	var err error
	s.child, err = r.start(fmt.Sprintf("server%d.log", s.number), r.uid, nil, append(args, r.targets...)...)
	if err == nil {
		go r.witness(s, kind, began)
	}
	return s, err
}

// witness records what s publishes, until s has ended.
func (r *round) witness(s *server, kind proof.Kind, began int64) {
	defer close(s.ended)
	var conn net.Conn
	for err := error(net.ErrClosed); err != nil; time.Sleep(time.Millisecond) {
		if conn, err = net.Dial("unix", s.socket); err != nil && !s.alive() {
			return
		}
	}
	defer conn.Close()
	io.WriteString(conn, "json\n")
	var greeting []wire.Event
	for lines := bufio.NewReader(conn); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		e, err := proof.DecodeLine(line)
		switch {
		case err != nil:
			r.fail(fmt.Errorf("server %d sent %q: %w", s.number, line, err))
		case e.State == "": // text
		case len(greeting) < len(r.targets):
			if greeting = append(greeting, e); len(greeting) == len(r.targets) {
				greeted := proof.Record{Kind: kind, Server: s.number, Took: r.rec.now() - began, Events: greeting}
				if kind == proof.Fresh {
					greeted.Server, greeted.Took = 0, 0
				}
				r.rec.add(greeted)
				close(s.greeted)
			}
		case e.Type == wire.Changed:
			r.rec.add(proof.Record{Kind: proof.Publish, Server: s.number, Events: []wire.Event{e}})
		}
	}
}

// serve starts the server of the round. Readers find it from the start on, over TCP once
// it says where. If it begins with text, nothing changes until the witness has switched to
// JSON: what came before would have no states.
func (r *round) serve(few bool) error {
	text := r.rand.IntN(2) == 0
	if text {
		defer r.writer.pause()()
	}
	s, err := r.launch(proof.Serve, r.path("run/socket"), few, text)
	if err != nil {
		return err
	}
	r.setServer(s)
	if err := s.await(); err != nil {
		return err
	}
	at, err := s.listens()
	if err != nil {
		return err
	}
	r.mu.Lock()
	s.at = at
	r.mu.Unlock()
	if few {
		for range fewFiles {
			if conn, err := net.Dial("unix", s.socket); err == nil {
				s.eaters = append(s.eaters, conn)
			}
		}
	}
	return nil
}

// listening is how the console says where a server listens.
var listening = regexp.MustCompile(`listening on (http://)?(127\.0\.0\.1:\d+)( with TLS)? `)

// listens returns the addresses of s, which the console has a while after the greeting.
func (s *server) listens() (map[string]string, error) {
	for begin := time.Now(); time.Since(begin) < greetTime && s.alive(); time.Sleep(time.Millisecond) {
		console, err := os.ReadFile(s.log)
		if err != nil {
			return nil, err
		}
		at := make(map[string]string)
		for _, m := range listening.FindAllSubmatch(console, -1) {
			at[map[string]string{"": "tcp", "http://": "http", " with TLS": "tls"}[string(m[1])+string(m[3])]] = string(m[2])
		}
		if len(at) == 3 {
			return at, nil
		}
	}
	return nil, fmt.Errorf("%s does not say where it listens", s.log)
}

// await waits for the greeting.
func (s *server) await() error {
	select {
	case <-s.greeted:
		return nil
	case <-s.done:
		return errors.Join(s.died(), fmt.Errorf("%s ended before its greeting", s.log))
	case <-time.After(greetTime):
		return fmt.Errorf("%s: no greeting within %v", s.log, greetTime)
	}
}

// setServer sets the server that readers are connected to, or none, and returns the last.
func (r *round) setServer(s *server) *server {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.server
	r.server = s
	return last
}

// dial connects the reader to the server, over "tcp", "unix", "tls" or "http". The number
// of the connection is 0 if there is no server.
func (r *round) dial(reader, network string) (net.Conn, int, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.server
	if s == nil || network != "unix" && s.at == nil {
		return nil, 0, errors.New("no server")
	}
	id := r.rec.join(reader, s.number)
	dialer := &net.Dialer{Timeout: time.Second}
	var conn net.Conn
	var err error
	switch network {
	case "unix":
		conn, err = dialer.Dial(network, s.socket)
	case "tls":
		conn, err = tls.DialWithDialer(dialer, "tcp", s.at[network], r.secure.config)
	default:
		conn, err = dialer.Dial("tcp", s.at[network])
	}
	if err == nil && network == "http" {
		_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	return conn, id, err
}

// endServer ends the server of the round. The writer must be paused: what the server still
// sends is of before.
func (r *round) endServer(sig syscall.Signal) error {
	s := r.setServer(nil)
	r.sample(s)
	err := r.endOne(s, sig)
	for _, conn := range s.eaters {
		conn.Close()
	}
	return err
}

// endOne ends any server.
func (r *round) endOne(s *server, sig syscall.Signal) error {
	select {
	case <-s.ended:
		if s.alive() && !s.expected {
			return fmt.Errorf("%s closed the connection of its witness", s.log)
		}
	default:
	}
	at := r.rec.now()
	if r.hung { // what waits for the answer of a file system that has the call cannot be killed
		answer := time.AfterFunc(endTime/2, func() { r.bindfs.signal(syscall.SIGCONT) })
		defer func() {
			if !answer.Stop() {
				r.bindfs.signal(syscall.SIGSTOP)
			}
		}()
	}
	err := s.end(sig)
	<-s.ended
	r.rec.add(proof.Record{T: at, Kind: proof.End, Server: s.number, Name: ends[sig]})
	if _, statErr := os.Lstat(s.socket); statErr == nil && sig == syscall.SIGTERM {
		r.left("socket", s.socket)
	}
	return err
}

var ends = map[syscall.Signal]string{syscall.SIGTERM: "stopped", syscall.SIGKILL: "killed"}

// left records what was left behind, or was removed.
func (r *round) left(name, path string) {
	r.rec.add(proof.Record{Kind: proof.Left, Name: name, Path: path})
}

// sample records what s uses.
func (r *round) sample(s *server) {
	memory, files, threads, err := usage(s.pid())
	if err != nil {
		return // it has ended
	}
	console, _ := os.ReadFile(s.log)
	most := fewFiles
	if len(s.eaters) == 0 {
		most = 12 + 4 + 64 + 2*len(r.proxies) + 1 // docs/operations.md: its own, listeners, calls, subscribers
	}
	for _, u := range []struct {
		name        string
		used, limit int
	}{
		{"MB of memory", memory, 100}, {"descriptors", files, most}, {"threads", threads, 100},
		{"console lines", strings.Count(string(console), "\n"), 100 + 20*int(roundTime/time.Second)},
	} {
		r.rec.add(proof.Record{Kind: proof.Usage, Server: s.number, Name: u.name, Value: int64(u.used), Limit: int64(u.limit)})
	}
}
