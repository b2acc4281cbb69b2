// Stops the runtime from reading the CPU quota from cgroup files again and again.
//
//go:debug updatemaxprocs=0

// Net-watcher polls files once a second and sends every change to all connected
// clients. With -connect, it acts as such a client.
//
//	main.go        signals, exit status, and run: options to watch or follow
//	options.go     the command line
//	announce.go    what the console has at the start
//	poll.go        the watching half: a tick, a scan, the events of what it found
//	serve.go       the serving half: accept, limits, shutdown
//	subscriber.go  one connection
//	metrics.go     what HTTP shows of both: /healthz, /metrics
//	notify.go      the service manager, systemd
//	receive.go     the other end: changes are printed, or COMMAND runs on them
//	reap_linux.go  children that nothing else waits for
//
// The engines are below internal/. docs/architecture.md has the whole house.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"net-watcher/internal/console"
	"net-watcher/internal/feed"
	"net-watcher/internal/follow"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// Linux delivers a signal to the first thread even while that hangs in a file system
// call, and then nothing would end the program. So the first thread is kept for main,
// which only waits.
func init() { runtime.LockOSThread() }

// gcPercent is GOGC where the environment has none. What is known of a tree stays for
// good, and a scan leaves next to no garbage: so little room for that costs no time, and
// the default, 100, would take as much memory again as the tree.
const gcPercent = 30

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	context.AfterFunc(ctx, func() {
		stop() // a second signal kills
		exitAtLast()
	})
	// With this, writing to a closed pipe is an error, and does not kill the program.
	// (If SIGPIPE were ignored instead, COMMAND would inherit that.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan error)
	go func() { done <- run(ctx, os.Args[1:], os.Stdout, os.Stderr) }()
	err := await(done)
	if err == nil {
		return
	}
	if status, ok := errors.AsType[commandStatus](err); ok {
		os.Exit(int(status))
	}
	status, hint := 1, ""
	if _, ok := errors.AsType[usageError](err); ok {
		status, hint = 2, " (for help: -h)"
	}
	log := console.NewWriter(os.Stderr) // which may be blocked
	fmt.Fprintf(log, "net-watcher: %s%s\n", oneLine(err.Error()), hint)
	log.Wait()
	os.Exit(status)
}

// endSignals returns the signals that end the program. Those that were ignored when it
// started stay ignored: SIGHUP under nohup, SIGINT and SIGQUIT in the background of a
// shell that has no job control.
func endSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM}
	if !signal.Ignored(os.Interrupt) {
		signals = append(signals, os.Interrupt)
	} else {
		// Go's runtime has a handler for SIGQUIT, and does not say what it was before.
		// Shells ignore the two together.
		signal.Ignore(syscall.SIGQUIT)
	}
	switch {
	case signal.Ignored(syscall.SIGHUP):
	case hasTerminal():
		signals = append(signals, syscall.SIGHUP)
	default:
		// A service gets it to reload, after a rotation of logs for example. It is not
		// ignored as under nohup, or COMMAND would inherit that.
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		go logHangups(hangups)
	}
	return signals
}

// hasTerminal reports whether the program has a controlling terminal, the end of which
// sends SIGHUP. It has none under systemd, cron, setsid, and ssh without -t; it has one
// in the background of a shell, though its output may go elsewhere.
func hasTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	terminal.Close()
	return true
}

func logHangups(hangups <-chan os.Signal) {
	log := log.New(console.NewWriter(os.Stderr), "", 0)
	limiter := console.NewLimiter(log, false, func(counts string) string { return "SIGHUP: " + counts })
	for range hangups {
		limiter.Print("ignored", "SIGHUP ignored, nothing is reloaded: to change FILEs, restart the server (clients reconnect, and lose nothing)")
	}
}

// exitAtLast ends the program if it has not ended by itself after a signal: a write
// to a blocked terminal or pipe cannot be cancelled in any other way.
func exitAtLast() {
	time.Sleep(follow.KillDelay + 2*time.Second)
	os.Exit(1)
}

// run is the program: it does what the arguments say until that is done or ctx is
// done. The error is a usageError if the arguments are wrong, and a commandStatus if
// COMMAND has ended the program and failed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args)
	output := console.NewOutput(stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(output, usage)
		return err
	case err != nil:
		return usageError{err}
	case o.version:
		_, err = fmt.Fprintln(output, version())
		return err
	}
	stderrLog := console.NewWriter(stderr)
	defer stderrLog.Wait()
	limiter := console.NewLimiter(log.New(stderrLog, "", 0), o.verbose, func(counts string) string { return counts + " (-v shows each)" })
	defer limiter.Flush()
	for _, line := range o.warnings {
		log.New(stderrLog, "", 0).Print(line)
	}
	receivers, err := newReceivers(o, stdout, stderr, stderrLog.Wait, log.New(limiter, "", 0))
	switch {
	case err != nil:
		return err
	case o.connect != nil:
		return followServer(ctx, o, receivers[0], log.New(limiter, "", 0))
	}
	return watch(ctx, o, receivers, log.New(stderrLog, "", 0))
}

// usageError is an error in the command line.
type usageError struct{ error }

// oneLine returns s with all characters that could act on a terminal escaped as in Go.
func oneLine(s string) string {
	q := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(q[1 : len(q)-1])
}

// version returns what -version prints.
func version() string {
	return fmt.Sprintf("net-watcher %s %s %s/%s", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// watch watches the files, serves the changes, and has the receivers print them and run
// COMMAND on them, until ctx is done or that is done.
func watch(ctx context.Context, o *options, receivers []*receiver, log *log.Logger) error {
	limiter := console.NewLimiter(log, o.verbose, func(counts string) string { return "targets: " + counts })
	defer limiter.Flush()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	secure, handshakes, err := newTLSServer(ctx, o, log)
	if err != nil {
		return err
	}
	listeners, transports, lines, err := listen(ctx, o, secure, log)
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	if err != nil {
		return err
	}

	calls, subscribers := shareFiles(maxFiles(), len(listeners)+handshakes)
	o.scan.MaxCalls = calls
	p := newPoll(ctx, o.files, o.interval, o.scan)
	watching, err := p.start(ctx)
	if err != nil { // ctx is done
		return nil
	}
	p.verbose = o.verbose
	p.say = func(kind, format string, args ...any) { limiter.Print(kind, fmt.Sprintf(format, args...)) }
	start := startLines(watching, o.interval, o.verbose)
	var below [][]string
	for i := range watching {
		below = append(below, p.unreadable(i))
	}
	start = append(start, unreadableLines(below, o.verbose)...)
	for _, line := range append(start, lines...) {
		log.Print(line)
	}

	f := feed.New(watching)
	s := newServer(f, o.format, subscribers, log, o.verbose)
	s.ask, p.scanned = p.ask, s.scanned
	s.transports = transports
	if len(o.web) > 0 {
		s.front = newFront(o, p, s)
	}
	if secure != nil {
		secure.Refused = s.refused
	}
	initial := o.initial && (!o.once || slices.ContainsFunc(watching, isThere))
	publish := func(events []wire.Event) {
		s.counts.change(events)
		f.Publish(events)
		if o.verbose {
			for _, e := range events {
				log.Print(&e)
			}
		}
	}
	n := newNotifier(os.Getenv, log.Printf)
	wg.Go(func() { n.run(ctx, p.isAlive, fmt.Sprintf("scanning every %v, FILEs: %d", o.interval, len(watching))) })
	receive := func(ctx context.Context, r *receiver, c *follow.Client) error { return r.receive(ctx, c, initial) }
	return share(ctx, p, publish, s, listeners, receivers, receive)
}

// listen opens all addresses of o, those with TLS by secure. It returns the listeners, for
// some of them what their subscribers are counted as, and what the console is to have of
// them. After an error, too, the listeners are to be closed.
func listen(ctx context.Context, o *options, secure *sock.TLSServer, log *log.Logger) (all []net.Listener, transports map[net.Listener]string, lines []string, err error) {
	transports = make(map[net.Listener]string)
	for i, a := range slices.Concat(o.listen, o.web) {
		var ls []net.Listener
		if a.IsTLS() {
			ls, err = secure.Listen(ctx, a)
		} else {
			ls, err = a.Listen(ctx, o.socketMode, log.Printf)
		}
		if err != nil {
			return all, nil, nil, err
		}
		all = append(all, ls...)
		isWeb := i >= len(o.listen)
		if isWeb || a.IsTLS() {
			for _, l := range ls {
				transports[l] = transportName(isWeb, a.IsTLS())
			}
		}
		if isWeb {
			lines = append(lines, announceWeb(a, ls, o.certs.CA != "")...)
		} else {
			lines = append(lines, announce(a, ls, isProgram, o.certs.CA != "")...)
		}
	}
	return all, transports, lines, nil
}

// transportName returns what subscribers of an ADDRESS are counted as.
func transportName(isWeb, isTLS bool) string {
	switch {
	case isWeb && isTLS:
		return "https"
	case isWeb:
		return "http"
	}
	return "tls"
}

// share publishes the changes that p finds, and has s serve them on the listeners, and
// receive hand them on for each receiver, which has a client in this process. It returns
// when ctx is done or a receiver is, or when serving fails. No receiver misses a change.
func share(ctx context.Context, p *poll, publish func([]wire.Event), s *server, listeners []net.Listener,
	receivers []*receiver, receive func(context.Context, *receiver, *follow.Client) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	begun := make(chan struct{}, len(receivers))
	ends := make(chan error, len(receivers))
	for _, r := range receivers {
		l := sock.NewLocal(r.name)
		listeners = append(listeners, l)
		c := &follow.Client{Server: r.name, Dial: l.Dial, Log: noLog, Begun: func() { begun <- struct{}{} }}
		wg.Go(func() {
			ends <- receive(ctx, r, c)
			cancel()
		})
	}
	wg.Go(func() {
		for range receivers { // or else they could miss the first changes
			select {
			case <-begun:
			case <-ctx.Done():
			}
		}
		for events := range p.changes(ctx) {
			publish(events)
		}
	})
	err := s.serve(ctx, listeners...)
	cancel()
	wg.Wait()
	close(ends)
	for end := range ends {
		err = cmp.Or(err, end)
	}
	return err
}

// newTLSServer returns what serves the tls:// addresses until ctx is done, nil if there are
// none, and how many handshakes it may have at a time.
func newTLSServer(ctx context.Context, o *options, log *log.Logger) (s *sock.TLSServer, handshakes int, err error) {
	if !o.hasTLS() {
		return nil, 0, nil
	}
	handshakes = min(sock.MaxHandshakes, max(1, maxFiles()/8))
	s, err = sock.NewTLSServer(o.certs, handshakes)
	if err == nil {
		go s.Keep(ctx, log.Printf) // which nothing waits for: the file system may hang
	}
	return s, handshakes, err
}

// noLog is for a client whose server is in the same process: it connects at once, and
// what becomes of the connection is on the server's console.
var noLog = log.New(io.Discard, "", 0)

// isThere reports whether a target can be read.
func isThere(watching wire.Event) bool { return !watching.Missing && watching.Error == "" }

// followServer follows a server, and has the receiver print the changes or run COMMAND on
// them, until ctx is done or that is done.
func followServer(ctx context.Context, o *options, r *receiver, log *log.Logger) error {
	name, dial := o.connect.Name, o.connect.Dial
	if o.connect.IsTLS() {
		secure, err := sock.NewTLSClient(o.certs, log.Printf)
		if err != nil {
			return err
		}
		name = "tls://" + name
		dial = func(ctx context.Context) (net.Conn, error) { return secure.Dial(ctx, *o.connect) }
	}
	return r.receive(ctx, &follow.Client{
		Server:  wire.Printable(name),
		Dial:    dial,
		Once:    o.once,
		Scan:    o.ask,
		Log:     log,
		Verbose: o.verbose,
		Begun:   func() {},
	}, o.initial)
}
