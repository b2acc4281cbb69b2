package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/follow"
	"net-watcher/internal/proof"
	"net-watcher/internal/wire"
)

// commands is how the COMMANDs of a chain run, from the next run on.
type commands struct {
	mu     sync.Mutex // guards the fields below
	took   time.Duration
	status int
	broken bool          // they cannot be started
	ending time.Duration // from the end of their context to their own
}

func (c *commands) set(took time.Duration, status int, broken bool, ending time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took, c.status, c.broken, c.ending = took, status, broken, ending
}

// command returns a COMMAND of the reader, which is no process and records its runs.
func (c *chain) command(reader string, console *log.Logger) *follow.Command {
	c.Helper()
	program, err := os.Executable() // which is never started
	check.Must(c.T, err)
	cmd, err := follow.NewCommand([]string{program}, io.Discard, io.Discard, console)
	check.Must(c.T, err)
	cmd.Start = func(ctx context.Context, events []wire.Event) (follow.Process, error) {
		if err := ctx.Err(); err != nil { // as in package exec
			return nil, err
		}
		c.commands.mu.Lock()
		defer c.commands.mu.Unlock()
		if c.commands.broken {
			c.record.add(proof.Record{Kind: proof.Ran, Reader: reader, Name: "not started"})
			return nil, errors.New("no such program")
		}
		c.record.add(proof.Record{Kind: proof.Run, Reader: reader, Events: events})
		return &chainRunOfCommand{ctx: ctx, record: c.record, reader: reader, took: c.commands.took, status: c.commands.status, ending: c.commands.ending}, nil
	}
	return cmd
}

// chainRunOfCommand is a run of a COMMAND.
type chainRunOfCommand struct {
	ctx    context.Context
	record *recorder
	reader string
	took   time.Duration
	status int
	ending time.Duration
}

func (r *chainRunOfCommand) Pid() int { return 1 }

func (r *chainRunOfCommand) Wait() error {
	ran := proof.Record{Kind: proof.Ran, Reader: r.reader}
	select {
	case <-time.After(r.took):
	case <-r.ctx.Done():
		time.Sleep(r.ending)
		r.status, ran.Name, ran.Took = 143, "killed", r.ending.Milliseconds()
	}
	ran.Value = int64(r.status)
	r.record.add(ran)
	if r.status != 0 {
		return errors.New(r.String())
	}
	return nil
}

func (r *chainRunOfCommand) String() string { return fmt.Sprint("exit status ", r.status) }

func (r *chainRunOfCommand) End() int { return r.status }

// A COMMAND gets each change, in one run at a time; what failed, again.
func TestChainCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, "d")
		check.Must(t, c.fs.Tree.MkdirAll("d"))
		server, client := c.serve(locals{}), c.follow(clientOptions{command: true, initial: true})
		write := func(name, content string) {
			check.Must(t, c.fs.Tree.Write(name, content))
			time.Sleep(chainInterval)
		}
		time.Sleep(chainInterval / 2)
		c.commands.set(1700*time.Millisecond, 1, false, 0)
		write("d/a", "1")
		write("d/b", "22")
		c.commands.set(0, 0, false, 0)
		write("d/c", "333")
		client.stop()
		server.stop()
		c.close()
		var runs []string
		for _, r := range c.record.history {
			switch r.Kind {
			case proof.Run:
				var run strings.Builder
				run.WriteString("run:")
				for _, e := range r.Events {
					run.WriteString(" " + e.String())
				}
				runs = append(runs, run.String())
			case proof.Ran:
				runs = append(runs, fmt.Sprint("ran: ", r.Value))
			}
		}
		check.Equal(t, "runs", []string{"run:", "ran: 0", "run: created d/a", "ran: 1",
			"run: created d/a created d/b", "ran: 0", "run: created d/c", "ran: 0"}, runs)
	})
}
