package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/console"
	"net-watcher/internal/faults"
	"net-watcher/internal/feed"
	"net-watcher/internal/follow"
	"net-watcher/internal/oserr"
	"net-watcher/internal/pattern"
	"net-watcher/internal/proof"
	"net-watcher/internal/scan"
	"net-watcher/internal/wire"
	"net-watcher/internal/wire/wiretest"
)

// chain is the way of a change from a file system to subscribers and clients, in a
// bubble: nothing of it is the system's. What happens in it is recorded.
type chain struct {
	*testing.T
	fs      *faults.FS
	network *faults.Network
	record  *recorder
	targets []string

	// The fields below are to be set before the first server.
	content  bool
	skipSame bool
	patterns patterns // of each server
	format   wire.Format
	maxConns int
	limit    func(*feed.Feed) // sets its limits
	secure   *chainTLS        // nil without TLS

	// transports are those that servers listen at, the first one of which is "tcp".
	transports []string

	commands commands

	servers, readers int          // so far
	locals           atomic.Int32 // so far
}

const chainInterval = time.Second

func newChain(t *testing.T, targets ...string) *chain {
	r := &recorder{begin: time.Now()}
	return &chain{
		T: t, fs: faults.Made(), network: &faults.Network{Dialed: r.dialed}, record: r, targets: targets,
		maxConns: 1000, limit: func(*feed.Feed) {}, transports: []string{"tcp"},
	}
}

// close checks that nothing is left behind. Servers and clients were stopped before.
func (c *chain) close() {
	c.Helper()
	synctest.Wait() // goroutines whose context is done may not have closed theirs yet
	check.Equal(c.T, "ends of connections that are open", 0, c.network.Opened().Now)
	check.Equal(c.T, "files that are open", 0, c.fs.Opened().Now)
}

// chainPart is a server or a client that runs.
type chainPart struct {
	console *check.Buffer
	cancel  func()
	stop    func() // waits for the end
}

// told is the cause of the end of a part that was cancelled, or stopped, at this time.
type told struct{ time.Time }

func (told) Error() string { return "told to end" }

// begin runs a part until it is stopped; its result must be nil.
func (c *chain) begin(run func(ctx context.Context, console *log.Logger) error) chainPart {
	ctx, cancel := context.WithCancelCause(c.Context())
	p := chainPart{console: &check.Buffer{}, cancel: func() { cancel(told{time.Now()}) }}
	done := make(chan error, 1)
	go func() { done <- run(ctx, log.New(p.console, "", 0)) }()
	p.stop = func() {
		c.Helper()
		p.cancel()
		check.Must(c.T, <-done)
	}
	synctest.Wait()
	return p
}

// scanOptions returns the options of each server.
func (c *chain) scanOptions() scan.Options {
	return scan.Options{FileSystem: c.fs, Content: c.content, SkipSame: c.skipSame, Filter: c.patterns.filter()}
}

// patterns are those of -only and -ignore.
type patterns struct{ only, ignore []string }

func (p patterns) filter() *pattern.Filter {
	f := &pattern.Filter{}
	for _, only := range p.only {
		f.Only.Add(only)
	}
	for _, ignore := range p.ignore {
		f.Ignore.Add(ignore)
	}
	return f
}

// chainServer is a server of the targets.
type chainServer struct {
	chainPart
	number    int
	once      bool               // it ends by itself
	listeners []*faults.Listener // of each transport
}

// serve begins a server of the targets, as watch does.
func (c *chain) serve(locals locals) *chainServer {
	c.Helper()
	c.servers++
	s := &chainServer{number: c.servers, once: locals.once}
	for _, t := range c.transports {
		l, err := c.network.Listen(chainAddresses[t].Name)
		check.Must(c.T, err)
		s.listeners = append(s.listeners, l)
	}
	c.record.listen(s.number)
	s.chainPart = c.begin(func(ctx context.Context, console *log.Logger) error {
		how := "once"
		defer func() {
			var took time.Duration
			if at, ok := errors.AsType[told](context.Cause(ctx)); ok {
				how, took = "stopped", time.Since(at.Time)
			}
			c.record.end(s.number, how, took)
		}()
		began := time.Now()
		p := newPoll(ctx, c.targets, chainInterval, c.scanOptions())
		p.say = func(_, format string, args ...any) { console.Printf(format, args...) }
		over := c.overTransports(ctx, s.listeners, console)
		watching, err := p.start(ctx)
		if err != nil {
			over.close()
			return nil
		}
		f := feed.New(watching)
		c.limit(f)
		serve := proof.Record{Kind: proof.Serve, Server: s.number, Took: time.Since(began).Milliseconds(), Events: watching, Once: locals.once, Initial: locals.initial}
		if locals.command {
			serve.Name = "command"
		}
		c.record.serve(serve)
		server := newServer(f, c.format, c.maxConns, console, true)
		server.ask, p.scanned = p.ask, server.scanned
		server.transports, server.front = over.names, newFront(&options{}, p, server)
		if over.secure != nil {
			over.secure.Refused = server.refused
		}
		publish := func(events []wire.Event) {
			c.record.publish(s.number, events)
			f.Publish(events)
		}
		initial := locals.initial && (!locals.once || slices.ContainsFunc(watching, isThere))
		receive := func(ctx context.Context, r *receiver, client *follow.Client) error {
			dial := client.Dial
			client.Dial = func(ctx context.Context) (net.Conn, error) { return c.record.dialLocal(ctx, r.name, dial) }
			return c.receive(ctx, r, client, initial)
		}
		return share(ctx, p, publish, server, over.listeners, c.receivers(locals, initial, console), receive)
	})
	return s
}

// locals are the receivers in the process of a server.
type locals struct {
	print, command, restart, once, initial bool
	settle                                 time.Duration
}

// receivers returns those, whose names are those of readers. With initial COMMAND is to run
// at the start.
func (c *chain) receivers(l locals, initial bool, logger *log.Logger) (all []*receiver) {
	if l.command {
		r := c.receiver(c.newLocal(), clientOptions{command: true, restart: l.restart, settle: l.settle, initial: initial}, logger)
		r.command.Once = l.once
		all = append(all, r)
	}
	if l.print {
		r := c.receiver(c.newLocal(), clientOptions{}, logger)
		r.once = l.once && !l.command
		all = append(all, r)
	}
	return all
}

// receiver returns the one of a reader, which prints in JSON or runs COMMAND, and records
// that.
func (c *chain) receiver(reader string, o clientOptions, logger *log.Logger) *receiver {
	c.record.add(proof.Record{Kind: proof.Options, Reader: reader, Restart: o.restart, Initial: o.initial, Settle: o.settle.Milliseconds(), Ask: o.scan, Once: o.once,
		Only: o.patterns.only, Ignore: o.patterns.ignore})
	r := &receiver{name: reader, filter: o.patterns.filter()}
	if !o.command {
		r.format, r.before, r.output = wire.JSON, func() {}, console.NewOutput(printed{c.record, reader})
		return r
	}
	c.record.add(proof.Record{Kind: proof.Handled, Reader: reader, Name: "command"})
	r.command = c.command(reader, logger)
	r.command.Restart, r.command.Settle = o.restart, o.settle
	return r
}

// newLocal returns the name of a receiver that no other one has.
func (c *chain) newLocal() string {
	return fmt.Sprint("local", c.locals.Add(1))
}

// receive is that of r, whose name is that of a reader. It records how the program ends.
func (c *chain) receive(ctx context.Context, r *receiver, client *follow.Client, initial bool) error {
	err := r.receive(ctx, client, initial)
	end := proof.Record{Kind: proof.End, Reader: r.name, Name: "once"}
	if client.Scan {
		end.Name = "scanned"
	}
	if ctx.Err() != nil {
		end.Name = "stopped"
	}
	if status, ok := err.(commandStatus); ok { // with which the program ends
		end.Value, err = int64(status), nil
	} else if err != nil && client.Once {
		end.Name, err = "failed", nil
	}
	c.record.add(end)
	return err
}

// printed records what a receiver prints in JSON.
type printed struct {
	record *recorder
	reader string
}

func (p printed) Write(b []byte) (int, error) {
	var events []wire.Event
	for line := range bytes.Lines(b) {
		e, err := wire.Decode(line)
		if err != nil {
			return 0, err
		}
		events = append(events, e)
	}
	p.record.add(proof.Record{Kind: proof.Handled, Reader: p.reader, Events: events})
	return len(b), nil
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// newReader returns the name of a reader that no other one has.
func (c *chain) newReader(kind string) string {
	c.readers++
	return fmt.Sprint(kind, c.readers)
}

// subscribe returns a subscriber, which reads only when the test does.
func (c *chain) subscribe() *peer {
	c.Helper()
	conn, err := c.dial(c.Context(), c.newReader("subscriber"), "tcp", func(*readerEnd) {})
	check.Must(c.T, err)
	return newPeer(c.T, conn)
}

// chainReader is a subscriber or a client that reads by itself.
type chainReader struct {
	chainPart
	name, transport string
	isClient, asks  bool        // with asks, it ends by itself
	ended           atomic.Bool // the client has ended
	expected        int         // how much of the history expect has seen

	mu  sync.Mutex // guards end
	end *readerEnd // of its latest connection; nil before the first
}

// latest returns the latest connection, or nil.
func (r *chainReader) latest() *readerEnd {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end
}

func (r *chainReader) connected(e *readerEnd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = e
}

// read begins a subscriber that connects once, and reads until the end.
func (c *chain) read(transport string) *chainReader {
	r := &chainReader{name: c.newReader("subscriber"), transport: transport}
	r.chainPart = c.begin(func(ctx context.Context, console *log.Logger) error {
		e, err := c.dial(ctx, r.name, transport, r.connected)
		if err != nil {
			return nil
		}
		defer e.Close()
		defer context.AfterFunc(ctx, func() { e.Close() })()
		for b := make([]byte, 4<<10); ; {
			if _, err := e.Read(b); err != nil {
				return nil
			}
		}
	})
	return r
}

// clientOptions are those of a client. It prints, or runs COMMAND.
type clientOptions struct {
	transport string // "tcp" or "tls"
	command   bool
	scan      bool // it ends when the server has scanned
	once      bool // it ends with its first connection
	initial   bool
	restart   bool
	settle    time.Duration
	patterns  patterns
}

// follow begins a client, as followServer does.
func (c *chain) follow(o clientOptions) *chainReader {
	r := &chainReader{name: c.newReader("client"), isClient: true, asks: o.scan}
	r.chainPart = c.begin(func(ctx context.Context, console *log.Logger) error {
		defer r.ended.Store(true)
		return c.receive(ctx, c.receiver(r.name, o, console), &follow.Client{
			Server: "there",
			Dial: func(ctx context.Context) (net.Conn, error) {
				e, err := c.dial(ctx, r.name, cmp.Or(o.transport, "tcp"), r.connected)
				if err != nil {
					return nil, err
				}
				return e, nil
			},
			Scan:  o.scan,
			Once:  o.once,
			Log:   console,
			Begun: func() {},
		}, o.initial)
	})
	return r
}

// expect checks what the client has printed since the last call, in short, and what its
// console has.
func (c *chain) expect(r *chainReader, want string, console ...string) {
	c.Helper()
	synctest.Wait()
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	var printed []wire.Event
	for _, record := range c.record.history[r.expected:] {
		if record.Kind == proof.Handled && record.Reader == r.name {
			printed = append(printed, record.Events...)
		}
	}
	r.expected = len(c.record.history)
	check.Equal(c.T, "printed", want, strings.TrimPrefix(wiretest.Short(c.T, wire.Encode(wire.Text, printed)), "[text] "))
	check.Equal(c.T, "console", console, r.console.Take())
}

// A change comes through the whole chain. A client gets what it missed while its
// connection was cut and while there was no server, and nothing else.
func TestChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, "d", "f")
		disk := c.fs.Tree
		check.Must(t, disk.MkdirAll("d/sub"))
		check.Must(t, disk.Write("d/a", "1"))
		server := c.serve(locals{})
		client, peer := c.follow(clientOptions{}), c.subscribe()
		peer.expect("[text] watching d", "[text] watching f (not there)")
		c.expect(client, "", "following there")

		check.Must(t, disk.Write("d/a", "22"))
		check.Must(t, disk.Rename("d/sub", "d/other"))
		peer.expect("[text] removed d/sub/", "[text] modified d/a", "[text] created d/other/")
		c.expect(client, "removed d/sub/, modified d/a, created d/other/")

		client.latest().link.ToClient.CutAfter(20, true) // in the middle of a line
		check.Must(t, disk.Write("d/other/b", "333"))
		check.Must(t, disk.Write("f", "4444"))
		peer.expect("[text] created d/other/b", "[text] created f")
		time.Sleep(time.Second / 2)
		reset := oserr.Cause(check.Errno(syscall.ECONNRESET, 10054))
		c.expect(client, "missed d, missed f", fmt.Sprint("connection to there lost: ", reset), "reconnected to there")

		check.Must(t, disk.Remove("f"))
		peer.expect("[text] removed f")
		c.expect(client, "removed f")

		server.stop()
		peer.expectEnd()
		check.Must(t, peer.Close())
		check.Must(t, disk.Append("d/a", "55555"))
		server = c.serve(locals{})
		time.Sleep(time.Second)
		c.expect(client, "missed d", "connection to there lost: the server closed the connection", "reconnected to there")
		client.stop()
		server.stop()
		c.close()
		check.Equal(t, "files with two calls at once", []string(nil), c.fs.Twice())
	})
}
