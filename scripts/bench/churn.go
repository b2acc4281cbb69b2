//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxStay is how long a subscriber stays at most, and maxAway how long it
	// takes until another one comes in its place.
	maxStay = 20 * time.Second
	maxAway = 2 * time.Second

	// settleTime is how long the slowest of the honest ones may take at the end to
	// receive what the fastest has.
	settleTime = 20 * time.Second
)

// churn has n subscribers come and go for so long, at addresses drawn at random,
// while the witnesses stay. The error says if these did not all receive the same.
func churn(ctx context.Context, n int, duration time.Duration, addresses []address, witnesses []*witness, out *log.Logger) error {
	c := &crowd{addresses: addresses, faults: make(map[string]int)}
	begin := time.Now()
	// Not a deadline: with that, connecting would time out.
	busy, done := context.WithCancel(ctx)
	defer time.AfterFunc(duration, done).Stop()
	defer done()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { c.comeAndGo(busy) })
	}
	wg.Wait()
	out.Printf("%d subscribers came in %v", c.came, time.Since(begin).Round(time.Second))
	for _, fault := range slices.Sorted(maps.Keys(c.faults)) {
		out.Printf("%d could not connect: %s", c.faults[fault], fault)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	events, err := compare(ctx, witnesses)
	if err == nil {
		out.Printf("%d honest subscribers received the same %d events", len(witnesses), events)
	}
	return err
}

// witness is an honest subscriber, which keeps what it receives.
type witness struct {
	mu     sync.Mutex // guards the fields below
	events []string   // each line but the greeting
	err    error      // why it ended
}

// callWitnesses returns n witnesses that have been greeted, and read until ctx
// is done.
func callWitnesses(ctx context.Context, n int, addresses []address) ([]*witness, error) {
	var ws []*witness
	for i := range n {
		conn, err := addresses[i%len(addresses)].dial(ctx)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		r := bufio.NewReader(conn)
		if _, err := r.Peek(1); err != nil {
			return nil, err
		}
		w := new(witness)
		go w.read(r)
		ws = append(ws, w)
	}
	return ws, nil
}

func (w *witness) read(r *bufio.Reader) {
	for {
		line, err := r.ReadString('\n')
		w.mu.Lock()
		if err != nil {
			w.err = err
		} else if !isGreeting([]byte(line)) {
			w.events = append(w.events, line)
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// received returns what w has received, and why it has ended.
func (w *witness) received() ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events, w.err
}

// compare waits until each witness has received as many events as any of them has
// now. It returns how many, and an error if they are not the same.
func compare(ctx context.Context, ws []*witness) (int, error) {
	var longest []string
	for _, w := range ws {
		if events, _ := w.received(); len(events) > len(longest) {
			longest = events
		}
	}
	for _, event := range longest {
		if isMissed([]byte(event)) {
			return 0, fmt.Errorf("an honest subscriber missed something: %s", strings.TrimSpace(event))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for i, w := range ws {
		events, err := w.received()
		for len(events) < len(longest) && err == nil && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
			events, err = w.received()
		}
		if err != nil {
			return 0, fmt.Errorf("honest subscriber %d lost its connection: %w", i, err)
		}
		if len(events) < len(longest) {
			return 0, fmt.Errorf("honest subscriber %d received %d events, another one %d", i, len(events), len(longest))
		}
		if !slices.Equal(events[:len(longest)], longest) {
			return 0, fmt.Errorf("honest subscriber %d received other events than another one", i)
		}
	}
	return len(longest), nil
}

// crowd are the others.
type crowd struct {
	addresses []address

	mu     sync.Mutex // guards the fields below
	came   int
	faults map[string]int // why some could not
}

// comeAndGo has one subscriber after the other until ctx is done.
func (c *crowd) comeAndGo(ctx context.Context) {
	wait(ctx, rand.N(maxAway))
	for ctx.Err() == nil {
		conn, err := c.addresses[rand.IntN(len(c.addresses))].dial(ctx)
		if ctx.Err() == nil {
			c.count(err)
		}
		if err == nil {
			until := time.Now().Add(rand.N(maxStay))
			stay, cancel := context.WithDeadline(ctx, until)
			conn.SetDeadline(until)
			interrupt := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
			draw()(stay, conn)
			interrupt()
			cancel()
			conn.Close()
		}
		wait(ctx, rand.N(maxAway))
	}
}

// count notes that one has come, or why it could not.
func (c *crowd) count(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.came++
		return
	}
	why := err.Error()
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		why = e.Error() // without the ports
	}
	c.faults[why]++
}

// behaviours has ways to use a connection until its time is over, and how many
// subscribers in a hundred choose each.
var behaviours = []struct {
	share int
	do    func(context.Context, net.Conn)
}{
	{40, readAll},
	{10, readSlowly},
	{10, readNothing},
	{5, sendJunk},
	{10, sendWords},
	{1, flood},
	{10, reset},
	{7, leaveAtOnce},
	{7, halfClose},
}

// draw returns one of the behaviours.
func draw() func(context.Context, net.Conn) {
	n := rand.IntN(100)
	for _, b := range behaviours {
		if n -= b.share; n < 0 {
			return b.do
		}
	}
	panic("the shares are not a hundred")
}

func readAll(_ context.Context, conn net.Conn) {
	buf := make([]byte, 64)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

func readSlowly(ctx context.Context, conn net.Conn) {
	buf := make([]byte, 16)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
		wait(ctx, 500*time.Millisecond)
	}
}

func readNothing(ctx context.Context, conn net.Conn) {
	shrink(conn)
	wait(ctx, maxStay)
}

// shrink makes conn buffer as little as possible.
func shrink(conn net.Conn) {
	if c, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		c.SetReadBuffer(1)
	}
}

// sendJunk sends lines that are no words, and some without an end.
func sendJunk(ctx context.Context, conn net.Conn) {
	go io.Copy(io.Discard, conn) // ends with the deadline
	junk := []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		strings.Repeat("\xff\x00", 1000),
		strings.Repeat("json ", 1000) + "\n",
	}
	for ctx.Err() == nil {
		if _, err := io.WriteString(conn, junk[rand.IntN(len(junk))]); err != nil {
			return
		}
		wait(ctx, rand.N(2*time.Second))
	}
}

// sendWords changes its format now and then, and reads.
func sendWords(ctx context.Context, conn net.Conn) {
	go readAll(ctx, conn) // ends with the deadline
	for ctx.Err() == nil {
		if _, err := io.WriteString(conn, []string{"json\n", "text\n"}[rand.IntN(2)]); err != nil {
			return
		}
		wait(ctx, rand.N(5*time.Second))
	}
}

// flood changes its format as often as it can, and does not read.
func flood(_ context.Context, conn net.Conn) {
	shrink(conn)
	words := strings.Repeat("json\ntext\ntext\njson\ntext\n", 10)
	for {
		if _, err := io.WriteString(conn, words); err != nil {
			return
		}
	}
}

// reset reads nothing, and resets the connection.
func reset(ctx context.Context, conn net.Conn) {
	if rand.IntN(2) == 0 {
		wait(ctx, rand.N(maxStay))
	}
	if c, ok := conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
}

// leaveAtOnce does as a port scanner.
func leaveAtOnce(context.Context, net.Conn) {}

// halfClose closes its writing side, and reads.
func halfClose(ctx context.Context, conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	readAll(ctx, conn)
}
