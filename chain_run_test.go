package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/feed"
	"net-watcher/internal/proof"
	"net-watcher/internal/wire"
)

var (
	chainSeeds  = flag.Int("seeds", 200, "how many runs TestChainSeeds makes, with -short half of them")
	chainSeed   = flag.Int("seed", 0, "the first one of these")
	chainInput  = flag.String("input", "", "the bytes of one run that TestChainSeeds makes instead, in hexadecimal")
	chainShrink = flag.Bool("shrink", false, "whether to leave out the steps without which a run breaks a promise as well")
)

// FuzzChain makes one run of the whole chain of each byte string, and has all that
// happened judged by the promises.
func FuzzChain(f *testing.F) {
	for seed := range 20 {
		f.Add(chainBytes(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) { runChain(t, b) })
}

// TestChainSeeds makes runs of many byte strings.
func TestChainSeeds(t *testing.T) {
	if *chainInput != "" {
		b, err := hex.DecodeString(*chainInput)
		check.Must(t, err)
		runChain(t, b)
		return
	}
	seeds := *chainSeeds
	if testing.Short() {
		seeds /= 2
	}
	for seed := *chainSeed; seed < *chainSeed+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			runChain(t, chainBytes(seed))
		})
	}
}

// chainBytes returns the bytes of the run with the number.
func chainBytes(seed int) []byte {
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	b := make([]byte, chainHead+chainStep*(8+r.IntN(40)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

const (
	chainHead     = 7   // bytes that say how all is set up
	chainStep     = 5   // bytes of a step: a wait, an operation and what it is about
	maxChainSteps = 100 // of a run
)

// chainRun is one run.
type chainRun struct {
	*chain
	steps []string // what was done, in words
	ways  []string // transports, which the readers have by turns
	sizes int64    // the last one of a file
	kinds byte     // says of which kinds the clients are
	local byte     // and the receivers in the process of a server

	noOnce bool // the next servers do not end by themselves

	faults []*diskFault

	server    *chainServer // nil while there is none
	killed    []*chainServer
	readers   []*chainReader         // that may be connected
	idlers    []net.Conn             // that are no readers
	disturbed map[string]disturbance // by reader
}

// disturbance is what keeps a reader from its work.
type disturbance struct {
	name string
	late time.Duration // what was sent before the end may come so much after it
	end  func()
}

// runChain makes the run that the bytes say, and reports how it breaks promises.
func runChain(t *testing.T, b []byte) {
	found, report := playChain(t, b)
	if len(found) > 0 && *chainShrink {
		b, found, report = shrinkChain(t, b, found, report)
	}
	for _, v := range found[:min(len(found), 10)] {
		t.Error(v)
	}
	if t.Failed() || *chainInput != "" {
		t.Logf("what was done (-input %x):\n%s", b, report())
	}
}

// shrinkChain returns the least of a run that breaks a promise by leaving out steps, and
// what playChain returns of it.
func shrinkChain(t *testing.T, b []byte, found []proof.Violation, report func() string) ([]byte, []proof.Violation, func() string) {
	for n := len(b) / chainStep / 2; n > 0; n /= 2 {
		for i := chainHead; i+n*chainStep <= len(b); {
			less := slices.Delete(slices.Clone(b), i, i+n*chainStep)
			if f, r := playChain(t, less); len(f) > 0 {
				b, found, report = less, f, r
			} else {
				i += chainStep
			}
		}
	}
	return b, found, report
}

// playChain makes a run. It returns how that breaks promises, and a function that says
// what was done and writes the history to a file.
func playChain(t *testing.T, b []byte) (found []proof.Violation, report func() string) {
	head := make([]byte, chainHead)
	b = b[copy(head, b):]
	synctest.Test(t, func(t *testing.T) {
		r := &chainRun{disturbed: make(map[string]disturbance)}
		r.chain = newChain(t, chainTargets[head[0]%4]...)
		r.setUp(head)
		for range maxChainSteps {
			if len(b) == 0 {
				break
			}
			step := make([]byte, chainStep)
			b = b[copy(step, b):]
			r.wait(chainWaits[step[0]%16])
			r.step(step[1], step[2], step[3], step[4])
			if t.Failed() {
				break
			}
		}
		r.settle()
		found = r.judge()
		report = r.report
	})
	return found, report
}

// chainWaits are in ms.
var chainWaits = [16]int{0, 0, 0, 1, 7, 50, 100, 101, 250, 333, 500, 900, 1000, 1001, 2500, 6100}

// wait waits, and then until all that may happen at that time has happened.
func (r *chainRun) wait(ms int) {
	time.Sleep(time.Duration(ms) * time.Millisecond)
	synctest.Wait()
}

// note adds a line to what was done.
func (r *chainRun) note(format string, args ...any) {
	r.steps = append(r.steps, fmt.Sprintf("%7d ms  ", time.Since(r.record.begin).Milliseconds())+fmt.Sprintf(format, args...))
}

// setUp makes the first files, server and readers.
func (r *chainRun) setUp(head []byte) {
	r.content = head[0]&4 > 0
	r.skipSame = r.content && head[0]&8 > 0
	r.fs.Tree.Fold = head[0]&24 == 24
	if head[0]&32 > 0 {
		r.format = wire.JSON
	}
	if head[0]&192 == 192 {
		r.maxConns = 6
	}
	r.network.Buffer = []int{64 << 10, 1 << 10, 300, 40}[head[1]%4]
	events := []int{1 << 16, 64, 4, 1}[head[1]/4%4]
	bytes := []int{1 << 24, 1 << 13, 1 << 10, 1}[head[1]/16%4]
	inFlight := []int{1 << 26, 1 << 26, 1 << 12, 1}[head[1]/64]
	r.limit = func(f *feed.Feed) { f.MaxLogEvents, f.MaxLogBytes, f.MaxInFlight = events, bytes, inFlight }
	if head[4]%2 > 0 {
		r.patterns = chainPatterns[int(head[4]/2)%len(chainPatterns)]
	}
	r.kinds, r.local = head[5], head[4]>>1
	r.ways = chainTransports[head[6]%8]
	r.transports = slices.Compact(slices.Clone(r.ways))
	handshakes := []int{4, 4, 4, 256}[head[6]/8%4]
	if slices.ContainsFunc(r.transports, isTLS) {
		r.secure = newChainTLS(r.T, handshakes)
	}
	r.note("patterns %q", r.patterns)
	r.note("targets %v, content %v (changed %v), fold %v, format %v, subscribers %d, buffer %d, log %d events and %d bytes, in flight %d",
		r.targets, r.content, r.skipSame, r.fs.Tree.Fold, r.format, r.maxConns, r.network.Buffer, events, bytes, inFlight)
	r.note("transports %v, TLS handshakes %d", r.ways, handshakes)
	r.record.add(proof.Record{Kind: proof.Config, Interval: chainInterval.Milliseconds(), Scan: 20, Targets: r.targets, Content: r.content, Only: r.patterns.only, Ignore: r.patterns.ignore})
	there := int(head[2]) | int(head[3])<<8
	for i, name := range chainPaths {
		switch {
		case there>>i&1 == 0:
		case slices.Contains(chainDirs, name):
			r.change(4, 0, byte(i)) // mkdir
		default:
			r.change(0, 0, byte(i)) // create
		}
	}
	r.serveAnew()
	r.join(true)
	r.join(false)
}

// step does what the bytes say.
func (r *chainRun) step(op, a, b, c byte) {
	switch op % 32 {
	default:
		r.change(a, b, c)
	case 10:
		r.joinClient(true)
	case 11:
		r.idle([]int{4, 4, 2, 1}[a%4], b)
	case 12:
		r.runCommands(a, b)
	case 13:
		r.work(int(a%16), b, c)
	case 14, 15:
		r.serveOn()
		if b%2 > 0 {
			r.join(false)
			a = byte(len(r.readers) - 1)
		}
		reader := r.pick(a)
		r.disturb(a, 0, b)
		r.work(3+int(c%6), b, c)
		r.send(a, b+c)
		r.endDisturbance(reader)
	case 16, 17, 18:
		r.fault(a, b, c)
	case 19:
		if len(r.faults) > 0 {
			r.endFault(r.faults[int(a)%len(r.faults)])
		}
	case 20, 21:
		if r.server != nil {
			r.stopServer(a%3 == 0)
		}
		if r.server == nil && b%2 > 0 {
			r.serveAnew()
		}
	case 22:
		if r.server == nil {
			r.serveAnew()
		}
	case 23:
		r.join(a%3 == 0)
	case 24:
		r.leave(a, b)
	case 25:
		r.send(a, b)
	case 26, 27, 28:
		r.disturb(a, b, c)
	case 29:
		r.endDisturbance(r.pick(a))
	case 30:
		r.storm([]int{2, 5, 12, 30}[a%4])
	case 31:
		r.dials(a, b)
	}
}

// work writes some files each second, of those in targets if there are any.
func (r *chainRun) work(seconds int, b, c byte) {
	for i := range byte(seconds) {
		for j := range byte(4) {
			which := c + 5*j
			if files := r.files(); len(files) > 0 {
				which = files[int(which+i)%len(files)]
			}
			r.change(2, which, 0) // write
		}
		r.change(b+i*c, c, b)
		r.wait(1000)
	}
}

// serveOn has a server there that does not end by itself.
func (r *chainRun) serveOn() {
	if r.server != nil && r.server.once {
		r.stopServer(false)
	}
	if r.server == nil {
		r.noOnce = true
		r.serveAnew()
		r.noOnce = false
	}
}

func (r *chainRun) serveAnew() {
	r.note("start server %d", r.servers+1)
	var l locals
	kind := r.local + byte(r.servers)*5
	switch kind % 8 {
	case 0:
		l = locals{print: true}
	case 1, 2:
		l = locals{command: true, restart: kind%16 > 7, settle: time.Duration(kind/16%2) * 150 * time.Millisecond}
	case 3:
		l = locals{print: true, command: true}
	case 4:
		l = locals{print: true, once: true, initial: kind&64 > 0}
	case 5:
		l = locals{print: kind&8 > 0, command: true, once: true, initial: kind&16 > 0, restart: kind&32 > 0, settle: time.Duration(kind/64%2) * 150 * time.Millisecond}
	}
	l.initial = l.initial || l.command && !l.once && kind&128 > 0
	if r.noOnce {
		l.once = false
	}
	r.note("in its process: %+v", l)
	r.server = r.serve(l)
}

// stopServer stops the server, or kills it: then what it has written still arrives.
func (r *chainRun) stopServer(kill bool) {
	s := r.server
	r.server = nil
	if !kill {
		r.note("stop server %d", s.number)
		s.stop()
		return
	}
	r.note("kill server %d", s.number)
	r.record.end(s.number, "killed", 0)
	for _, reader := range r.readers {
		if e := reader.latest(); e != nil && e.link != nil {
			e.link.Cut(false)
		}
	}
	s.cancel()
	for _, l := range s.listeners {
		l.Close()
	}
	r.killed = append(r.killed, s)
	synctest.Wait()
}

// maxChainReaders is how many readers there are at most.
const maxChainReaders = 40

// join begins a client or a subscriber.
func (r *chainRun) join(client bool) {
	if client {
		r.joinClient(false)
	} else {
		r.joinSubscriber(r.transport())
	}
}

// hasRoom reports whether another reader may join.
func (r *chainRun) hasRoom() bool {
	r.tidy()
	return len(r.readers) < maxChainReaders
}

// joinSubscriber begins a subscriber over a transport.
func (r *chainRun) joinSubscriber(transport string) {
	if !r.hasRoom() {
		return
	}
	reader := r.read(transport)
	r.note("%s joins over %s", reader.name, reader.transport)
	r.readers = append(r.readers, reader)
}

// joinClient begins a client, which ends by itself with scan. It has none of HTTP.
func (r *chainRun) joinClient(scan bool) {
	if !r.hasRoom() {
		return
	}
	o := clientOptions{command: r.chain.readers == 0 || r.chain.readers%2 > 0, transport: "tcp", scan: scan}
	if r.transport() == "tls" {
		o.transport = "tls"
	}
	kind := r.kinds + byte(r.chain.readers)*29
	o.once = scan && kind&24 == 24
	if o.command {
		o.restart, o.initial = kind&1 > 0, kind&32 > 0
		o.settle = []time.Duration{0, 0, 150 * time.Millisecond, 1200 * time.Millisecond}[kind/2%4]
	}
	if kind&64 > 0 {
		o.patterns = chainPatterns[int(kind/8)%len(chainPatterns)]
	}
	reader := r.follow(o)
	r.note("%s joins: %+v", reader.name, o)
	r.readers = append(r.readers, reader)
}

// transport returns that of the next reader.
func (r *chainRun) transport() string { return r.ways[r.chain.readers%len(r.ways)] }

// tidy removes the subscribers that have left, and the clients that have ended.
func (r *chainRun) tidy() {
	r.readers = slices.DeleteFunc(r.readers, func(reader *chainReader) bool {
		e := reader.latest()
		if reader.isClient && !reader.ended.Load() || !reader.isClient && (e == nil || !e.hasLeft()) {
			return false
		}
		reader.stop()
		r.endDisturbance(reader)
		return true
	})
}

// pick returns one of the readers, or nil.
func (r *chainRun) pick(which byte) *chainReader {
	r.tidy()
	if len(r.readers) == 0 {
		return nil
	}
	return r.readers[int(which)%len(r.readers)]
}

// leave ends a reader: it closes, closes its sending half, or resets.
func (r *chainRun) leave(which, how byte) {
	reader := r.pick(which)
	if reader == nil {
		return
	}
	e := reader.latest()
	switch {
	case how%4 == 0 && e != nil:
		r.note("%s closes its sending half", reader.name)
		e.sock.CloseWrite()
		return
	case how%4 == 1 && e != nil:
		r.note("%s resets", reader.name)
		e.sock.SetLinger(0)
		e.Close()
		return
	}
	r.note("%s ends", reader.name)
	r.readers = slices.DeleteFunc(r.readers, func(o *chainReader) bool { return o == reader })
	reader.stop()
	r.endDisturbance(reader)
}

// send sends something that a subscriber may.
func (r *chainRun) send(which, what byte) {
	reader := r.pick(which)
	if reader == nil || reader.isClient {
		return
	}
	words := []string{"json\n", "text\n", "json\n", " text\r\n", "json\ntext\n", "scan\n", "js", "on\n", "\n", strings.Repeat("x", 300), "text\nnonsense\x00json\n", "JSON\n"}
	if e := reader.latest(); e != nil {
		word := words[int(what)%len(words)]
		r.note("%s sends %.20q", reader.name, word)
		e.say(word)
	}
}

// disturb does something to the connection of a reader.
func (r *chainRun) disturb(which, what, how byte) {
	reader := r.pick(which)
	if reader == nil || reader.latest() == nil {
		return
	}
	link := reader.latest().link
	late := []time.Duration{time.Millisecond, 80 * time.Millisecond, 700 * time.Millisecond, 6 * time.Second}[how%4]
	d := disturbance{}
	switch what % 8 {
	case 0, 1:
		d = disturbance{"stall", 0, func() { link.ToClient.Release() }}
		r.begin2(reader, d, func() { link.ToClient.Stall() })
	case 2:
		d = disturbance{"stall both ways of", 0, func() { link.ToClient.Release(); link.ToServer.Release() }}
		r.begin2(reader, d, func() { link.ToClient.Stall(); link.ToServer.Stall() })
	case 3:
		e := reader.latest()
		d = disturbance{"delay", late, func() { e.delay(0) }}
		r.begin2(reader, d, func() { e.delay(late) })
	case 4:
		d = disturbance{"lose", 0, func() { link.ToClient.Release(); link.ToServer.Release(); link.Cut(true) }}
		r.begin2(reader, d, func() { link.Lose(map[bool]time.Duration{true: late}[how%8 > 3]) })
	case 5:
		n := []int{0, 1, 5, 1000}[how%4]
		r.note("split for %s: %d bytes a read", reader.name, n)
		link.ToClient.Split(n)
		link.ToServer.Split(n)
	case 6:
		n := int(how)
		r.note("cut after %d bytes to %s", n, reader.name)
		link.ToClient.CutAfter(n, how%2 > 0)
	case 7:
		r.note("cut %s", reader.name)
		link.Cut(how%2 > 0)
	}
}

// begin2 begins a disturbance of a reader, unless there is one.
func (r *chainRun) begin2(reader *chainReader, d disturbance, begin func()) {
	if _, ok := r.disturbed[reader.name]; ok {
		return
	}
	r.note("%s %s", d.name, reader.name)
	r.disturbed[reader.name] = d
	r.record.add(proof.Record{Kind: proof.Fault, Name: d.name, Reader: reader.name})
	begin()
}

func (r *chainRun) endDisturbance(reader *chainReader) {
	if reader == nil {
		return
	}
	d, ok := r.disturbed[reader.name]
	if !ok {
		return
	}
	delete(r.disturbed, reader.name)
	r.note("no longer %s %s", d.name, reader.name)
	r.record.add(proof.Record{Kind: proof.Heal, Name: d.name, Reader: reader.name, Value: d.late.Milliseconds()})
	d.end()
	synctest.Wait()
}

// setLate makes new connections late, and waits for those that were: they take the places of
// TLS handshakes from others, and keep each for as long as the patience with them lasts.
func (r *chainRun) setLate(late time.Duration) {
	r.wait(int(r.record.setLate(late).Milliseconds()))
}

// storm has many subscribers come at once; half of those that are there go.
func (r *chainRun) storm(n int) {
	r.tidy()
	for _, reader := range slices.Clone(r.readers) {
		if !reader.isClient && len(r.readers) > n {
			r.readers = slices.DeleteFunc(r.readers, func(o *chainReader) bool { return o == reader })
			reader.stop()
			r.endDisturbance(reader)
		}
	}
	for range n {
		r.join(false)
	}
}

// dials does something to those who connect.
func (r *chainRun) dials(what, how byte) {
	yes := how%2 > 0
	switch what % 8 {
	case 0:
		r.note("connections are refused: %v", yes)
		r.network.Refuse(yes)
	case 1:
		r.note("connections hang: %v", yes)
		r.network.Full(yes)
	case 2:
		r.idle([]int{4, 4, 2, 1}[how%4], how/4)
	case 3:
		if r.secure != nil {
			r.note("new certificates")
			r.secure.issue()
		}
	case 4, 5:
		late := []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 80 * time.Millisecond, 700 * time.Millisecond}[how%5]
		r.note("new connections are late by %v", late)
		r.setLate(late)
	default:
		if r.server != nil {
			err := check.Errno(syscall.EMFILE, 10024)
			if yes {
				err = check.Errno(syscall.ECONNABORTED, 10053)
			}
			r.note("accept fails: %v", err)
			r.server.listeners[int(what/8)%len(r.server.listeners)].Fail(err)
			r.join(false)
		}
	}
}

// chainIdle are the beginnings of those who never ask for the events.
var chainIdle = []string{"", "", "\x16\x03\x01\x02\x00\x01\x00", "GET /events HTTP/1.1\r\nHost: localhost\r\n", "\n", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("x", 9<<10)}

// idle has many connect at once who never become subscribers, of those before them some
// leave, and one who does become one.
func (r *chainRun) idle(n int, what byte) {
	transport := r.transports[len(r.transports)-1-int(what)%2%len(r.transports)]
	if transport == "tcp" { // where all are subscribers
		return
	}
	const most = 4 // as many as there are TLS handshakes at least: one more takes a place soon
	r.closeIdle(most - n)
	ctx, cancel := context.WithTimeout(r.Context(), 0)
	defer cancel()
	for range n {
		conn, err := r.network.Dial(ctx, chainAddresses[transport].Name)
		if err != nil {
			return
		}
		word := chainIdle[int(what/2)%len(chainIdle)]
		r.note("somebody idle over %s sends %.20q", transport, word)
		conn.(*faults.Conn).WriteNow([]byte(word))
		r.idlers = append(r.idlers, conn)
	}
	r.joinSubscriber(transport)
}

// closeIdle has no more than n of them stay.
func (r *chainRun) closeIdle(n int) {
	for len(r.idlers) > n {
		r.idlers[0].Close()
		r.idlers = r.idlers[1:]
	}
}

// runCommands says how COMMANDs run from now on.
func (r *chainRun) runCommands(how, status byte) {
	took := []time.Duration{0, 20 * time.Millisecond, 1500 * time.Millisecond, 8 * time.Second}[how%4]
	fails, broken := status%3 == 0, how%16 > 11
	r.note("COMMAND takes %v, fails %v, cannot be started %v", took, fails, broken)
	ending := []time.Duration{0, 0, 300 * time.Millisecond, 2 * time.Second}[status/4%4]
	r.commands.set(took, map[bool]int{true: 1}[fails], broken, ending)
}

// settle ends all faults, and has all parts there that are to be up to date.
func (r *chainRun) settle() {
	r.note("all faults end")
	for len(r.faults) > 0 {
		r.endFault(r.faults[0])
	}
	for _, reader := range slices.Clone(r.readers) {
		r.endDisturbance(reader)
	}
	r.closeIdle(0)
	r.setLate(0)
	r.network.Refuse(false)
	r.network.Full(false)
	r.commands.set(0, 0, false, 0)
	r.serveOn()
	r.tidy()
	most := min(r.maxConns-4, 6) // there is room for two more, and two in the process of the server
	for i := len(r.readers) - 1; i >= 0 && len(r.readers) > most; i-- {
		reader := r.readers[i]
		r.readers = slices.Delete(r.readers, i, i+1)
		reader.stop()
	}
	r.join(false)
	if !slices.ContainsFunc(r.readers, func(reader *chainReader) bool { return reader.isClient && !reader.asks }) {
		r.join(true)
	}
	r.wait(1)
	r.note("calm")
	r.record.add(proof.Record{Kind: proof.Calm})
	r.wait(int((2*chainInterval + 5*time.Second).Milliseconds()) + 1)
}

// judge ends all, and returns what was wrong.
func (r *chainRun) judge() (found []proof.Violation) {
	r.tidy()
	for _, reader := range r.readers {
		if e := reader.latest(); reader.isClient && !reader.asks && (e == nil || e.hasLeft()) {
			found = append(found, proof.Violation{Promise: proof.Convergent, Text: reader.name + " is not connected"})
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	p := newPoll(ctx, r.targets, chainInterval, r.scanOptions())
	fresh, err := p.start(ctx)
	check.Must(r.T, err)
	r.record.add(proof.Record{Kind: proof.Fresh, Events: fresh})
	cancel()
	p.scanner.Close()
	for _, reader := range r.readers {
		reader.stop()
	}
	r.server.stop()
	for _, s := range r.killed {
		s.stop()
	}
	r.close()
	return append(found, r.record.history.Validate()...)
}

// report returns what was done, after it has written the history to a file.
func (r *chainRun) report() string {
	f, err := os.CreateTemp("", "net-watcher-chain-*.jsonl")
	if err == nil {
		err = errors.Join(r.record.history.Write(f), f.Close())
	}
	if err != nil {
		return err.Error()
	}
	return strings.Join(append(r.steps, "the history: "+f.Name()), "\n")
}
