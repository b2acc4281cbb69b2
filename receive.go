package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"sync"

	"net-watcher/internal/console"
	"net-watcher/internal/follow"
	"net-watcher/internal/oserr"
	"net-watcher/internal/pattern"
	"net-watcher/internal/wire"
)

// receiver is the other end: it takes the changes that a client gets, of a server
// elsewhere or in this process, and prints them or runs COMMAND on them.
type receiver struct {
	name    string          // of its place, for the console of a server in this process
	format  wire.Format     // of what is printed
	output  console.Output  // to print to
	command *follow.Command // or nil, to print
	filter  *pattern.Filter // of what a server elsewhere sends; nil for everything
	once    bool            // the first batch of changes is the last
	before  func()          // is called before something is printed
}

// commandStatus is the exit status of COMMAND, with which the program ends.
type commandStatus int

func (s commandStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// newReceivers returns what the options ask for: one receiver to follow a server, any
// number to watch. before is called before something is printed, so that what was logged
// before stands before it on a terminal; log has what becomes of COMMAND. The error says
// why COMMAND cannot be started.
func newReceivers(o *options, stdout, stderr io.Writer, before func(), log *log.Logger) ([]*receiver, error) {
	once := o.once && o.connect == nil
	printer := &receiver{name: "standard output", format: o.format, output: console.NewOutput(stdout), before: before, once: once}
	var all []*receiver
	if o.command != nil {
		command, err := follow.NewCommand(o.command, stdout, stderr, log)
		if err != nil {
			return nil, err
		}
		command.Verbose, command.Once, command.Restart, command.Settle = o.verbose, once, o.restart, o.settle
		all = append(all, &receiver{name: "COMMAND", command: command})
		printer.once = false // COMMAND ends the program
	}
	switch {
	case o.print, o.connect != nil && o.command == nil:
		all = append(all, printer)
	case printer.once: // and nobody is to see the changes here
		printer.output = console.NewOutput(io.Discard)
		all = append(all, printer)
	}
	if o.connect != nil { // else what is left out is not even scanned
		all[0].filter = o.scan.Filter
	}
	return all, nil
}

// receive runs the client, whose Handle it sets, until ctx is done, or nothing reads
// what is printed, or the changes that once asks for have come. With initial, what is
// there counts as changed when the client has begun: COMMAND runs, and for once that
// is the first batch.
func (r *receiver) receive(ctx context.Context, c *follow.Client, initial bool) error {
	if r.command != nil {
		return r.runCommand(ctx, c, initial)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	afterBegun(c, func() {
		if initial && r.once {
			cancel()
		}
	})
	c.Handle = func(events []wire.Event) error {
		if events = r.choose(events); len(events) == 0 {
			return nil
		}
		r.before()
		_, err := r.output.Write(wire.Encode(r.format, events))
		if oserr.IsClosedPipe(err) || err == nil && r.once && slices.ContainsFunc(events, follow.Runs) {
			cancel()
		}
		return err
	}
	wg.Go(func() {
		r.output.AwaitNoReader(ctx)
		cancel()
	})
	return c.Run(ctx)
}

// choose returns those of the events, which it may change, that the filter chooses.
func (r *receiver) choose(events []wire.Event) []wire.Event {
	return slices.DeleteFunc(events, func(e wire.Event) bool { return !chosen(r.filter, &e) })
}

// runCommand is receive for COMMAND.
func (r *receiver) runCommand(ctx context.Context, c *follow.Client, initial bool) error {
	cmd := r.command
	afterBegun(c, func() {
		if initial {
			cmd.Trigger()
		}
	})
	c.Handle = func(events []wire.Event) error { cmd.Add(r.choose(events)); return nil }
	clientCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		cmd.Run(ctx)
		cancel() // of a Command with Once
	})
	err := c.Run(clientCtx)
	cmd.Close()
	wg.Wait()
	if status := cmd.Status(); err == nil && ctx.Err() == nil && status != 0 {
		return commandStatus(status)
	}
	return err
}

// afterBegun has the client call f when it has begun, before what it calls already.
func afterBegun(c *follow.Client, f func()) {
	begun := c.Begun
	c.Begun = func() {
		f()
		begun()
	}
}
