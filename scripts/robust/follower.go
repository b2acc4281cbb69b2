//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"net-watcher/internal/proof"
	"net-watcher/internal/wire"
)

// rawReader connects, reads and now and then sends something, until ctx is done. From
// quiet on it only reads.
func rawReader(ctx, quiet context.Context, at net.Addr, rng *rand.Rand) {
	words := []string{"json\n", "scan\n", "text\n", "text\r\n json \n", "\n", "GET / HTTP/1.1\r\n\r\n", "js", "on\n"}
	for ctx.Err() == nil {
		conn, err := net.Dial(at.Network(), at.String())
		if err == nil {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			read := make(chan struct{})
			go func() {
				defer close(read)
				io.Copy(io.Discard, conn)
			}()
			for isOpen := true; isOpen; {
				var word <-chan time.Time
				if quiet.Err() == nil {
					word = time.After(upTo(rng, 3*time.Second))
				}
				select {
				case <-read:
					isOpen = false
				case <-word:
					if quiet.Err() == nil {
						io.WriteString(conn, words[rng.IntN(len(words))])
					}
				}
			}
			stop()
			conn.Close()
		}
		sleep(ctx, upTo(rng, 300*time.Millisecond))
	}
}

// upTo returns a random duration of less than d.
func upTo(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// client is a net-watcher -connect, which is started again and again, each time as another
// reader.
type client struct {
	*child
	round   *round
	name    string // of all
	reader  string // of the last one
	started int
	command bool
	tls     bool
	proxy   *proxy
}

// start starts the client anew.
func (c *client) start() error {
	c.started++
	c.reader = fmt.Sprintf("%s.%d", c.name, c.started)
	c.proxy.setReader(c.reader)
	address := c.proxy.listener.Addr().String()
	if c.proxy.listener.Addr().Network() == "unix" {
		address = "unix:" + address
	}
	args := []string{c.round.program, "-connect", address}
	if c.tls {
		args = append([]string{c.round.program, "-connect", "tls://" + address}, c.round.secure.flags...)
	}
	log := c.name + ".log"
	var err error
	if c.command {
		c.round.rec.add(proof.Record{Kind: proof.Handled, Reader: c.reader, Name: "command"})
		if c.started%2 == 1 {
			args = append(args, "-initial")
		}
		c.child, err = c.round.start(log, 0, nil, append(args, "--", c.round.self, "command", c.runs())...)
		return err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	c.child, err = c.round.start(log, 0, in, append(args, "-format", "json")...)
	in.Close()
	go c.round.printed(out, c.reader)
	return err
}

// runs returns the file that COMMAND writes its runs to.
func (c *client) runs() string { return c.round.path("run/" + c.reader) }

// printed records what a client prints, as many lines as come at a time.
func (r *round) printed(out *os.File, reader string) {
	defer out.Close()
	var events []wire.Event
	for lines := bufio.NewReaderSize(out, 1<<16); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		e, err := proof.DecodeLine(line)
		if err != nil {
			r.fail(fmt.Errorf("%s printed %q: %w", reader, line, err))
			return
		}
		if events = append(events, e); lines.Buffered() == 0 {
			r.rec.add(proof.Record{Kind: proof.Handled, Reader: reader, Events: events})
			events = nil
		}
	}
}

// end ends the client. Nothing that it has started stays, unless it is killed.
func (c *client) end(sig syscall.Signal) error {
	at := c.round.rec.now()
	err := c.child.end(sig)
	c.round.rec.add(proof.Record{T: at, Kind: proof.End, Reader: c.reader, Name: ends[sig]})
	if sig == syscall.SIGTERM && c.command {
		for _, line := range staying(c.runs()) {
			c.round.left("process", line)
		}
	}
	return err
}

// command is what a client runs: it notes the input and takes a while, and seldom fails.
// It returns its exit status.
func command(name string, stdin io.Reader) int {
	run := proof.Record{Kind: proof.Run, Reader: filepath.Base(name)}
	for lines := bufio.NewReader(stdin); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		e, err := proof.DecodeLine(line)
		if err != nil {
			return 3
		}
		run.Events = append(run.Events, e)
	}
	if note(name, run) != nil {
		return 4
	}
	if rand.IntN(12) == 0 { // long enough to be left behind, in a group of its own
		cmd := exec.Command("/bin/sh", "-c", "sleep 3; true", name)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Run()
	} else {
		time.Sleep(rand.N(250 * time.Millisecond))
	}
	ran := proof.Record{Kind: proof.Ran, Reader: run.Reader}
	if rand.IntN(8) == 0 {
		ran.Value = 1
	}
	if note(name, ran) != nil {
		return 4
	}
	return int(ran.Value)
}

// note appends a record of now, in ms since 1970, to a file.
func note(name string, record proof.Record) error {
	record.T = time.Now().UnixMilli()
	line, err := json.Marshal(&record)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// readRuns records what COMMANDs have noted.
func (r *round) readRuns() error {
	for _, c := range r.clients {
		for ; c.command && c.started > 0; c.started-- {
			c.reader = fmt.Sprintf("%s.%d", c.name, c.started)
			f, err := os.Open(c.runs())
			if errors.Is(err, os.ErrNotExist) {
				continue // it never ran
			}
			if err != nil {
				return err
			}
			h, err := proof.Read(f)
			f.Close()
			if err != nil {
				return err
			}
			for _, x := range h {
				x.T -= r.rec.begin
				r.rec.add(x)
			}
		}
	}
	return nil
}
