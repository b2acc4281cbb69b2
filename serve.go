package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"net-watcher/internal/backoff"
	"net-watcher/internal/console"
	"net-watcher/internal/feed"
	"net-watcher/internal/oserr"
	"net-watcher/internal/scan"
	"net-watcher/internal/sock"
	"net-watcher/internal/web"
	"net-watcher/internal/wire"
)

const (
	// heldFiles is how many descriptors the program holds beside those of listeners,
	// subscribers and file system calls: the standard streams, those of the runtime,
	// and a few that are open for a moment.
	heldFiles = 12

	// minCalls is how many file system calls may be outstanding at least.
	minCalls = 4

	// minAcceptRetry and maxAcceptRetry limit the wait after a temporary error of
	// accept (as in net/http), and acceptLogInterval how often the console has it.
	minAcceptRetry    = 5 * time.Millisecond
	maxAcceptRetry    = time.Second
	acceptLogInterval = 10 * time.Second

	// A subscriber that sends nothing and leaves within visitTime is a health probe,
	// most likely. Such visits are counted, and logged each visitLogInterval.
	visitTime        = time.Second
	visitLogInterval = 10 * time.Minute

	// crowd is how many subscribers must be ready for a second goroutine to flush
	// some of them. With fewer, it costs more time than it saves.
	crowd = 256

	// maxRequests is how many HTTP connections may be open that are no subscribers,
	// and a quarter of all that may be open at most.
	maxRequests = 1024

	// beatInterval is the time between two comments in a stream of events: proxies cut
	// connections without traffic, and some browsers notice only so that one is dead.
	beatInterval = 15 * time.Second
)

// server sends a feed to everyone who connects.
type server struct {
	feed     *feed.Feed
	format   wire.Format // until a subscriber asks for another
	maxConns int
	log      *log.Logger
	all      bool // no line about subscribers is left out
	limiter  *console.Limiter

	// ask asks for a scan, and returns its number; scanned is to be called with it.
	// newServer sets one for a feed that is always up to date.
	ask func() (number uint64)

	awaiting awaiting

	// front answers the requests of HTTP, and leaves to the server the connections that
	// are to get events. It is nil without HTTP.
	front *web.Front

	// transports has the names of those that are more than the network of a listener:
	// "tls", "http", "https".
	transports map[net.Listener]string

	counts counts

	conns  atomic.Int64   // open connections
	visits atomic.Int64   // short ones, not logged yet
	wg     sync.WaitGroup // every goroutine of serve
}

// shareFiles returns how many file system calls may be outstanding, and how many
// subscribers there may be, with so many descriptors and with so many listeners and TLS
// handshakes. Each of all these holds one. Where they are few, a third is for calls.
func shareFiles(files, listeners int) (calls, subscribers int) {
	files -= heldFiles + listeners
	calls = min(max(files/3, minCalls), scan.MaxCalls)
	return calls, max(files-calls, 1)
}

// newServer returns a server of f to at most maxConns subscribers that sends format to
// one that does not ask for another. With all, no line about subscribers is left out
// of log.
func newServer(f *feed.Feed, format wire.Format, maxConns int, log *log.Logger, all bool) *server {
	return &server{
		feed:     f,
		format:   format,
		maxConns: maxConns,
		log:      log,
		all:      all,
		ask:      func() uint64 { return 0 },
		awaiting: awaiting{waits: make(map[*subscriber]wait)},
		limiter: console.NewLimiter(log, all, func(counts string) string {
			return fmt.Sprintf("subscribers: %s (%d now)", counts, f.Count())
		}),
	}
}

// report logs what happened ("connected") to the subscriber who ("127.0.0.1:7"),
// how many there are now, and the reason, which may be empty.
func (s *server) report(what, who, reason string, now int) {
	kind, line := what, fmt.Sprintf("subscriber %s: %s (%d now)", what, who, now)
	if reason != "" {
		kind, line = kind+" ("+reason+")", line+": "+reason
	}
	s.limiter.Print(kind, line)
}

// refused reports a peer whose TLS handshake has failed, for this reason, or, if that is
// "", a visit.
func (s *server) refused(peer net.Addr, reason string) {
	if reason == "" && !s.all {
		s.countVisit()
		return
	}
	s.limiter.Print("refused (TLS)", fmt.Sprintf("subscriber refused: %v (%d now): %s", peer, s.feed.Count(), cmp.Or(reason, "left before the TLS handshake")))
}

// awaiting is who has asked for a scan.
type awaiting struct {
	mu    sync.Mutex // guards the fields below
	ended uint64     // number of the last scan that has ended
	waits map[*subscriber]wait
}

// wait is for two scans, by number: the first one to end, and a later one that was
// asked for meanwhile, or 0.
type wait struct{ first, later uint64 }

// requestScan makes u get a fresh greeting when a scan that begins after the call has
// ended.
func (s *server) requestScan(u *subscriber) {
	number := s.ask()
	a := &s.awaiting
	a.mu.Lock()
	defer a.mu.Unlock()
	if number <= a.ended {
		s.feed.Renew(&u.reader)
		return
	}
	w := a.waits[u]
	if w.first == 0 {
		w.first = number
	} else if number > w.first {
		w.later = number
	}
	a.waits[u] = w
}

// forgetScan ends the wait of u for scans.
func (s *server) forgetScan(u *subscriber) {
	s.awaiting.mu.Lock()
	defer s.awaiting.mu.Unlock()
	delete(s.awaiting.waits, u)
}

// scanned says that the scan with the number has ended and is in the feed.
func (s *server) scanned(number uint64) {
	a := &s.awaiting
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = number
	for u, w := range a.waits {
		if w.first > number {
			continue
		}
		s.feed.Renew(&u.reader)
		if w = (wait{first: w.later}); w.first == 0 {
			delete(a.waits, u)
		} else {
			a.waits[u] = w
		}
	}
}

// countVisit counts a subscriber that came and left at once.
func (s *server) countVisit() {
	if s.visits.Add(1) == 1 {
		time.AfterFunc(visitLogInterval, s.logVisits)
	}
}

func (s *server) logVisits() {
	if n := s.visits.Swap(0); n > 0 {
		s.log.Printf("subscribers: %d came and left at once (-v lists them)", n)
	}
}

// serve accepts subscribers from the listeners, which it closes, until ctx is
// done or a listener fails for good; the latter is the error it returns. By
// then all connections are closed and all goroutines have ended.
func (s *server) serve(ctx context.Context, listeners ...net.Listener) error {
	defer s.logVisits()
	defer s.limiter.Flush()
	defer s.wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	delivered := make(chan struct{})
	s.wg.Go(func() {
		defer close(delivered)
		s.deliver(ctx)
	})
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		s.counts.subscribe(s.transport(l), 0)
		s.wg.Go(func() { failed <- s.accept(ctx, l) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	for _, l := range listeners {
		l.Close()
	}
	if s.front != nil {
		s.front.Close()
	}
	<-delivered // all that was published
	for _, u := range s.feed.Close() {
		u.Drop("")
	}
	return err
}

// deliver flushes the subscribers that are idle whenever the feed has more, and
// once more when ctx is done. It drops those that are overdue.
func (s *server) deliver(ctx context.Context) {
	overdue := fmt.Sprintf("dropped: reads too slowly (more than %d MiB in flight)", s.feed.MaxInFlight>>20)
	var ready []feed.Subscriber
	var beat <-chan time.Time
	if s.front != nil {
		beat = time.Tick(beatInterval)
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-beat:
			s.feed.Beat()
		case <-s.feed.More():
		}
		ready = s.feed.Ready(ready[:0])
		flushAll(ready)
		clear(ready) // for the garbage collector
		for _, u := range s.feed.Overdue() {
			s.counts.drop("memory")
			u.Drop(overdue)
		}
	}
}

// flushAll flushes the subscribers, a crowd of them with as many goroutines as
// there are processors.
func flushAll(ready []feed.Subscriber) {
	n := min(runtime.GOMAXPROCS(0), 1+len(ready)/crowd)
	var wg sync.WaitGroup
	for part := range slices.Chunk(ready, max(1, (len(ready)+n-1)/n)) {
		wg.Go(func() {
			for _, u := range part {
				u.Flush()
			}
		})
	}
	wg.Wait()
}

// accept takes connections until ctx is done, and returns the error that keeps
// it from taking more.
func (s *server) accept(ctx context.Context, l net.Listener) error {
	retry := backoff.Backoff{Min: minAcceptRetry, Max: maxAcceptRetry}
	var logged time.Time
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			retry.Reset()
			s.admit(l, conn)
		case ctx.Err() != nil:
			return nil
		case oserr.IsTransientAccept(err):
			if time.Since(logged) >= acceptLogInterval {
				s.log.Printf("cannot accept subscribers at %v for now: %v", l.Addr(), oserr.Cause(err))
				logged = time.Now()
			}
			retry.Wait(ctx) // Accept fails when ctx is done
		default:
			return fmt.Errorf("accept at %v: %w", l.Addr(), oserr.Cause(err))
		}
	}
}

// admit serves conn, which l accepted, or refuses it if there are too many.
func (s *server) admit(l net.Listener, conn net.Conn) {
	peer, local := conn.RemoteAddr().String(), false
	switch l.Addr().Network() {
	case sock.LocalNetwork:
		peer, local = l.Addr().String(), true
	case "unix":
		peer = wire.Printable(l.Addr().String()) // the peers have no names
	}
	if now := int(s.conns.Add(1)); now > s.maxConns && !local { // which holds no descriptor
		// Closed here: goroutines of a crowd would keep its descriptors for longer.
		conn.Close()
		s.conns.Add(-1)
		s.counts.drop("descriptors")
		s.report("refused", peer, "no file descriptors left (ulimit -n)", now-1)
		return
	}
	if transport := s.transport(l); transport == "http" || transport == "https" {
		s.wg.Go(func() { s.answer(conn, transport, peer) })
		runtime.Gosched() // or else a crowd would be accepted before the first requests are read
		return
	}
	u := newSubscriber(s, conn, s.transport(l), s.format)
	u.quiet = local && !s.all
	s.wg.Go(func() { u.serve(peer) })
}

// answer answers the requests of conn, which becomes a subscriber if one asks for that.
func (s *server) answer(conn net.Conn, transport, peer string) {
	if !s.front.Serve(conn) {
		conn.Close()
		s.conns.Add(-1)
		return
	}
	u := newSubscriber(s, conn, transport, wire.SSE)
	s.wg.Go(func() { u.serve(peer) }) // with a small stack
}

// transport returns what subscribers of a listener are counted as.
func (s *server) transport(l net.Listener) string {
	return cmp.Or(s.transports[l], l.Addr().Network())
}
