// Net-watcher looks at files once a second and tells everyone who is connected
// to it what changed.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// usage is what -h prints; the README shows the same text.
const usage = `usage: net-watcher [flags] FILE...

Looks at files once a second and tells everyone who connects what changed.

  -file PATH         a file to watch, as FILE; may be repeated
  -listen ADDRESS    where to serve; may be repeated (default localhost:60300)
  -interval DURATION how often to look, such as 500ms; at least 1ms (default 1s)
  -format FORMAT     how to speak to a subscriber that does not say what it
                     wants: text or json (default text)
  -socket-mode MODE  permissions of a Unix socket, octal (default 0600)
  -v                 say more on the console: each change and each subscriber
  -version           print the version
  -h                 print this

ADDRESS is host:port, host or :port (every interface), or a Unix socket:
unix:PATH or anything with a path separator. Flags may stand before or after
FILEs; after -- everything is a FILE. A FILE need not be there yet.

A subscriber that sends the line json gets JSON lines from then on, one that
sends the line text gets text.

Exit status: 0 stopped by a signal, 1 something failed, 2 wrong usage.

examples:
  net-watcher target.txt                       then: nc localhost 60300
  net-watcher -interval 200ms -format json a.conf b.conf
  net-watcher -listen /run/watch.sock /etc/hosts     then: nc -U /run/watch.sock
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(os.Stderr, "net-watcher: %v (-h tells more)\n", err)
		os.Exit(2)
	}
	fmt.Fprintf(os.Stderr, "net-watcher: %v\n", err)
	os.Exit(1)
}

// run is the program: it does what the arguments say until that is done or ctx
// is. The error is a usageError if the arguments are at fault.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(stdout, usage)
		return err
	case err != nil:
		return usageError{err}
	case o.version:
		_, err = fmt.Fprintln(stdout, version())
		return err
	}
	return watch(ctx, o, log.New(stderr, "", 0))
}

// usageError is an error in how the program was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// version says which program this is.
func version() string {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = cmp.Or(info.Main.Version, version)
	}
	return fmt.Sprintf("net-watcher %s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// options is what the command line says.
type options struct {
	files      []string
	addresses  []address
	interval   time.Duration
	format     format
	socketMode fs.FileMode
	verbose    bool
	version    bool
}

// parseOptions reads the command line. It returns flag.ErrHelp for -h.
func parseOptions(args []string) (*options, error) {
	o := &options{interval: time.Second, socketMode: 0o600}
	set := flag.NewFlagSet("net-watcher", flag.ContinueOnError)
	set.SetOutput(io.Discard) // main says it
	set.Func("file", "", o.addFile)
	set.Func("listen", "", o.addListen)
	set.Func("interval", "", o.setInterval)
	set.Func("format", "", o.setFormat)
	set.Func("socket-mode", "", o.setSocketMode)
	set.BoolVar(&o.verbose, "v", false, "")
	set.BoolVar(&o.version, "version", false, "")

	// Package flag stops at the first FILE and after "--"; only the latter is
	// for good.
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		read, rest := args[:len(args)-set.NArg()], set.Args()
		n := min(1, len(rest))
		if len(read) > 0 && read[len(read)-1] == "--" {
			n = len(rest)
		}
		for _, file := range rest[:n] {
			if err := o.addFile(file); err != nil {
				return nil, err
			}
		}
		args = rest[n:]
	}

	if len(o.files) == 0 && !o.version {
		return nil, errors.New("no file named (try: net-watcher target.txt)")
	}
	if len(o.addresses) == 0 {
		return o, o.addListen("localhost:" + defaultPort)
	}
	return o, nil
}

func (o *options) addFile(name string) error {
	if name == "" {
		return errors.New("a file's name may not be empty")
	}
	if n := len(name) - 1; n > 0 && os.IsPathSeparator(name[n]) && filepath.VolumeName(name) != name[:n] {
		name = name[:n]
	}
	if !slices.Contains(o.files, name) {
		o.files = append(o.files, name)
	}
	return nil
}

func (o *options) addListen(s string) error {
	a, err := parseAddress(s)
	if err != nil {
		return err
	}
	o.addresses = append(o.addresses, a)
	return nil
}

func (o *options) setInterval(s string) (err error) {
	o.interval, err = time.ParseDuration(s)
	if err != nil {
		return errors.New("not a duration, such as 2s or 500ms")
	}
	if o.interval < time.Millisecond {
		return errors.New("at least 1ms is needed")
	}
	return nil
}

func (o *options) setFormat(s string) error {
	var ok bool
	if o.format, ok = parseFormat(s); !ok {
		return errors.New("there are text and json")
	}
	return nil
}

func (o *options) setSocketMode(s string) error {
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mode > 0o777 {
		return errors.New("not octal permissions, such as 0660")
	}
	o.socketMode = fs.FileMode(mode)
	return nil
}

// watch watches the files and serves what changes until ctx is done.
func watch(ctx context.Context, o *options, log *log.Logger) error {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	var lines []string
	for _, a := range o.addresses {
		ls, err := listen(ctx, a, o.socketMode)
		if err != nil {
			return err
		}
		listeners = append(listeners, ls...)
		lines = append(lines, announce(ls)...)
	}

	p := newPoll(o.files, o.interval)
	watching, err := p.start()
	if err != nil {
		return err
	}
	for i, e := range watching {
		if i == 10 && !o.verbose {
			log.Printf("watching %d more", len(watching)-i)
			break
		}
		log.Printf("%s every %v", &e, o.interval)
	}
	for _, line := range lines {
		log.Print(line)
	}

	ctx, cancel := context.WithCancel(ctx)
	f := newFeed(watching)
	s := &server{feed: f, console: &console{log: log, all: o.verbose}, format: o.format}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for events := range p.changes(ctx) {
			f.publish(events)
			if o.verbose {
				for _, e := range events {
					log.Print(&e)
				}
			}
		}
	})
	return s.serve(ctx, listeners...)
}

// announce says where the listeners of one ADDRESS listen, how to try that,
// and who can reach it.
func announce(ls []net.Listener) []string {
	if a, ok := ls[0].Addr().(*net.UnixAddr); ok {
		name := printable(a.Name)
		return []string{fmt.Sprintf("listening on %s (try: nc -U %s)", name, name)}
	}
	var where []string
	for _, l := range ls {
		where = append(where, l.Addr().String())
	}
	a := ls[0].Addr().(*net.TCPAddr)
	host := a.IP.String()
	if len(ls) > 1 || a.IP.IsUnspecified() {
		host = "localhost"
	}
	lines := []string{fmt.Sprintf("listening on %s (try: nc %s %d)", strings.Join(where, " and "), host, a.Port)}
	if !a.IP.IsLoopback() {
		lines = append(lines, fmt.Sprintf("warning: %s is open to the network: whoever can reach it is told file names and times", where[0]))
	}
	return lines
}
