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

	// settleTime is what the honest ones have at the end until the slowest has
	// been told what the fastest has.
	settleTime = 20 * time.Second
)

// churn has n subscribers come and go for so long, at addresses drawn at
// random, and some honest ones stay. The error says if these were not all told
// the same.
func churn(ctx context.Context, n, honest int, duration time.Duration, addresses []address, out *log.Logger) error {
	stay, cancel := context.WithCancel(ctx)
	defer cancel()
	witnesses, err := callWitnesses(stay, honest, addresses)
	if err != nil {
		return err
	}
	out.Printf("honest %d", honest)

	c := &crowd{addresses: addresses, faults: make(map[string]int)}
	begin := time.Now()
	// Not a deadline: who is just connecting would have timed out.
	busy, done := context.WithCancel(ctx)
	defer time.AfterFunc(duration, done).Stop()
	defer done()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { c.comeAndGo(busy) })
	}
	wg.Wait()
	out.Printf("left: %d came in %v", c.came, time.Since(begin).Round(time.Second))
	for _, fault := range slices.Sorted(maps.Keys(c.faults)) {
		out.Printf("%d could not connect: %s", c.faults[fault], fault)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	told, err := compare(stay, witnesses)
	if err != nil {
		return err
	}
	out.Printf("honest %d: all were told the same %d events", honest, told)
	return nil
}

// witness is an honest subscriber, which remembers what it was told.
type witness struct {
	mu     sync.Mutex // guards what follows
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

// told returns what w was told so far, and why it is told no more.
func (w *witness) told() ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events, w.err
}

// compare waits until each witness has been told as much as any of them has
// now. It returns how much that is, and an error if it is not the same.
func compare(ctx context.Context, ws []*witness) (int, error) {
	var longest []string
	for _, w := range ws {
		if events, _ := w.told(); len(events) > len(longest) {
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
		events, err := w.told()
		for len(events) < len(longest) && err == nil && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
			events, err = w.told()
		}
		if err != nil {
			return 0, fmt.Errorf("honest subscriber %d was lost: %w", i, err)
		}
		if len(events) < len(longest) {
			return 0, fmt.Errorf("honest subscriber %d was told %d events, another one %d", i, len(events), len(longest))
		}
		if !slices.Equal(events[:len(longest)], longest) {
			return 0, fmt.Errorf("honest subscriber %d was told something else than another one", i)
		}
	}
	return len(longest), nil
}

// crowd are the others.
type crowd struct {
	addresses []address

	mu     sync.Mutex // guards what follows
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

// behaviours is what a subscriber may do with its connection until its time is
// over, and how many in a hundred do so.
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

// shrink makes conn hold as little as possible of what nobody reads.
func shrink(conn net.Conn) {
	if c, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		c.SetReadBuffer(1)
	}
}

// sendJunk sends what is no word, some of it without an end.
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

// sendWords changes its mind now and then, and reads.
func sendWords(ctx context.Context, conn net.Conn) {
	go readAll(ctx, conn) // ends with the deadline
	for ctx.Err() == nil {
		if _, err := io.WriteString(conn, []string{"json\n", "text\n"}[rand.IntN(2)]); err != nil {
			return
		}
		wait(ctx, rand.N(5*time.Second))
	}
}

// flood changes its mind as often as it can, and does not read.
func flood(_ context.Context, conn net.Conn) {
	shrink(conn)
	words := strings.Repeat("json\ntext\ntext\njson\ntext\n", 10)
	for {
		if _, err := io.WriteString(conn, words); err != nil {
			return
		}
	}
}

// reset reads nothing, and leaves no time for a farewell.
func reset(ctx context.Context, conn net.Conn) {
	if rand.IntN(2) == 0 {
		wait(ctx, rand.N(maxStay))
	}
	if c, ok := conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
}

// leaveAtOnce is a port scanner.
func leaveAtOnce(context.Context, net.Conn) {}

// halfClose has nothing to say, and says so.
func halfClose(ctx context.Context, conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	readAll(ctx, conn)
}
