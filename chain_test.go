package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/feed"
	"net-watcher/internal/follow"
	"net-watcher/internal/oserr"
	"net-watcher/internal/scan"
	"net-watcher/internal/wire"
	"net-watcher/internal/wire/wiretest"
)

// chain is the way of a change from a file system to subscribers and clients, in a
// bubble: nothing of it is the system's.
type chain struct {
	*testing.T
	fs      *faults.FS
	network *faults.Network
	targets []string
}

// chainAddress is where the server of a chain listens.
const chainAddress = "127.0.0.1:60300"

func newChain(t *testing.T, targets ...string) *chain {
	return &chain{T: t, fs: faults.Made(), network: &faults.Network{}, targets: targets}
}

// close checks that nothing is left behind. Servers and clients were stopped before.
func (c *chain) close() {
	c.Helper()
	check.Equal(c.T, "ends of connections that are open", 0, c.network.Opened().Now)
	check.Equal(c.T, "files that are open", 0, c.fs.Opened().Now)
	check.Equal(c.T, "files with two calls at once", []string(nil), c.fs.Twice())
}

// chainPart is a server or a client that runs.
type chainPart struct {
	console *check.Buffer
	stop    func() // waits for the end
}

// begin runs a part until it is stopped; its result must be nil.
func (c *chain) begin(run func(ctx context.Context, console *log.Logger) error) chainPart {
	ctx, cancel := context.WithCancel(c.Context())
	p := chainPart{console: &check.Buffer{}}
	done := make(chan error, 1)
	go func() { done <- run(ctx, log.New(p.console, "", 0)) }()
	p.stop = func() {
		c.Helper()
		cancel()
		check.Must(c.T, <-done)
	}
	synctest.Wait()
	return p
}

// serve begins a server of the targets, as watch does.
func (c *chain) serve() chainPart {
	return c.begin(func(ctx context.Context, console *log.Logger) error {
		l, err := c.network.Listen(chainAddress)
		if err != nil {
			return err
		}
		p := newPoll(ctx, c.targets, time.Second, scan.Options{FileSystem: c.fs})
		p.say = func(_, format string, args ...any) { console.Printf(format, args...) }
		watching, err := p.start(ctx)
		if err != nil {
			return l.Close()
		}
		f := feed.New(watching)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for events := range p.changes(ctx) {
				f.Publish(events)
			}
		})
		return newServer(f, wire.Text, 1000, console, true).serve(ctx, l)
	})
}

// dial connects to the server, as sock.Address.Dial does.
func (c *chain) dial(ctx context.Context) (*faults.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := c.network.Dial(ctx, chainAddress)
	if err != nil {
		return nil, err
	}
	return conn.(*faults.Conn), nil
}

// subscribe returns a subscriber, which reads only when the test does.
func (c *chain) subscribe() *peer {
	c.Helper()
	conn, err := c.dial(c.Context())
	check.Must(c.T, err)
	return newPeer(c.T, conn)
}

// chainClient is a client that prints.
type chainClient struct {
	chainPart
	printed check.Buffer
	link    *faults.Link // its latest connection
}

// follow begins a client, as followServer does.
func (c *chain) follow() *chainClient {
	cl := &chainClient{}
	cl.chainPart = c.begin(func(ctx context.Context, console *log.Logger) error {
		client := &follow.Client{
			Server: "there",
			Dial: func(ctx context.Context) (net.Conn, error) {
				conn, err := c.dial(ctx)
				if err != nil {
					return nil, err
				}
				cl.link = conn.Link
				return conn, nil
			},
			Log:   console,
			Begun: func() {},
			Handle: func(events []wire.Event) error {
				_, err := cl.printed.Write(wire.Encode(wire.Text, events))
				return err
			},
		}
		return client.Run(ctx)
	})
	return cl
}

// expect checks what the client has printed since the last call, in short, and what
// its console has.
func (cl *chainClient) expect(t *testing.T, want string, console ...string) {
	t.Helper()
	synctest.Wait()
	lines := strings.Join(cl.printed.Take(), "\n")
	check.Equal(t, "printed", want, strings.TrimPrefix(wiretest.Short(t, []byte(lines)), "[text] "))
	check.Equal(t, "console", console, cl.console.Take())
}

// A change comes through the whole chain. A client gets what it missed while its
// connection was cut and while there was no server, and nothing else.
func TestChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, "d", "f")
		disk := c.fs.Tree
		check.Must(t, disk.MkdirAll("d/sub"))
		check.Must(t, disk.Write("d/a", "1"))
		server := c.serve()
		client, peer := c.follow(), c.subscribe()
		peer.expect("[text] watching d", "[text] watching f (not there)")
		client.expect(t, "", "following there")

		check.Must(t, disk.Write("d/a", "22"))
		check.Must(t, disk.Rename("d/sub", "d/other"))
		peer.expect("[text] removed d/sub/", "[text] modified d/a", "[text] created d/other/")
		client.expect(t, "removed d/sub/, modified d/a, created d/other/")

		client.link.ToClient.CutAfter(20, true) // in the middle of a line
		check.Must(t, disk.Write("d/other/b", "333"))
		check.Must(t, disk.Write("f", "4444"))
		peer.expect("[text] created d/other/b", "[text] created f")
		time.Sleep(time.Second / 2)
		reset := oserr.Cause(check.Errno(syscall.ECONNRESET, 10054))
		client.expect(t, "missed d, missed f", fmt.Sprint("connection to there lost: ", reset), "reconnected to there")

		check.Must(t, disk.Remove("f"))
		peer.expect("[text] removed f")
		client.expect(t, "removed f")

		server.stop()
		peer.expectEnd()
		check.Must(t, peer.Close())
		check.Must(t, disk.Append("d/a", "55555"))
		server = c.serve()
		time.Sleep(time.Second)
		client.expect(t, "missed d", "connection to there lost: the server closed the connection", "reconnected to there")
		client.stop()
		server.stop()
		c.close()
	})
}
