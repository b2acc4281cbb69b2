package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"net-watcher/internal/oserr"
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
	"net-watcher/internal/sock"
	"net-watcher/internal/web"
	"net-watcher/internal/wire"
)

// usage is what -h prints; docs/guide.md shows the same text.
const usage = `usage: net-watcher [flags] FILE... [-- COMMAND [ARG...]]
       net-watcher -connect ADDRESS [flags] [-- COMMAND [ARG...]]

Polls files once a second, and runs COMMAND on the changes or sends them to all
connected clients. With -connect, acts as such a client: prints the changes of a
server, or runs COMMAND on them.

  -file PATH         a file or directory to watch, as FILE; may be repeated
  -listen ADDRESS    where to serve; may be repeated (default localhost:60300,
                     and nowhere with COMMAND); - prints the changes
  -interval DURATION how often to scan, such as 500ms; at least 1ms (default 1s)
  -format FORMAT     text or json (default text): for a subscriber that does not
                     ask for one, and for what is printed
  -socket-mode MODE  permissions of a Unix socket, octal (default 0600)
  -cert FILE, -key FILE
                     for tls:// and https://: the certificate of this end and
                     its key (PEM)
  -ca FILE           for tls:// and https://: authorities, one of which must
                     have signed the certificate of the other end. Without it a
                     server takes all clients, and a client trusts those of the
                     system
  -origin URL        a web origin whose pages may read from http:// and
                     https://; may be repeated
  -only PATTERN      below directories, only what matches; may be repeated
  -ignore PATTERN    below directories, leave out what matches; may be repeated
  -ignore-from PATH  leave out what matches a line of this file; may be repeated
  -content           compare contents, not times: reads every file at every scan
  -content=changed   the same, but reads only files whose time or size changed
  -fresh             ask the server of a network file system about every file
                     below a directory too

  -connect ADDRESS   follow the server at ADDRESS, and reconnect when needed
  -scan              with -connect: have the server scan now, and end when that
                     is done

  -once              end after the first batch of changes; with -connect, end
                     with the first connection
  -initial           run COMMAND at the start too; with -once, end at once if a
                     FILE is there
  -settle DURATION   run COMMAND when nothing has changed for so long, but after
                     ten times that at the latest
  -restart           end a running COMMAND when something changes, and start it
                     anew, instead of running it once more after its end

  -v                 log each change, each subscriber, each run, each attempt to
                     connect
  -version           print the version
  -h                 print this

ADDRESS is host:port, host or :port (every interface; with -connect, this host),
with tls:// before it for TLS, or a Unix socket: unix:PATH or anything with a
path separator. To listen at, it is also http://HOST:PORT or https://HOST:PORT,
for browsers and for monitoring. Flags may stand before or after FILEs. A FILE
need not be there yet; of a directory, everything below it is watched. A FILE
that begins with - is written ./-x or -file=-x.

PATTERN is what .gitignore has: *.tmp at any depth, /build/ a directory of the
target, docs/**/*.html; a later !PATTERN takes back. -ignore wins over -only.

A subscriber that sends the line json gets JSON lines from then on, one that
sends the line text gets text lines, and for the line scan the server scans now.
COMMAND gets the changes as JSON lines on its standard input, and the file and
the change of the last one in NET_WATCHER_FILE and NET_WATCHER_CHANGE.

Exit status: 0 stopped by a signal, or done; 1 something failed; 2 wrong usage;
with -once and COMMAND, that of COMMAND.

examples:
  net-watcher target.txt                       then: nc localhost 60300
  net-watcher -initial src -- make
  net-watcher -restart -initial -only '*.go' . -- go run .
  net-watcher -listen ./watch.sock /etc/hosts  then: nc -U ./watch.sock
  net-watcher -listen http://localhost:8080 .  then open that in a browser
  net-watcher -connect files.example -- systemctl reload nginx
`

// options is what the command line says.
type options struct {
	files      []string
	listen     []sock.Address
	print      bool           // listen on standard output, so to speak
	web        []sock.Address // to listen at too, for HTTP
	origins    []web.Origin
	interval   time.Duration
	format     wire.Format
	socketMode fs.FileMode
	certs      sock.CertFiles
	scan       scan.Options

	connect *sock.Address // nil to watch
	ask     bool          // for a scan

	once    bool
	initial bool
	settle  time.Duration
	restart bool
	command []string

	verbose bool
	version bool

	warnings []string // of what has no effect, for the console
}

// parseOptions reads the command line. It returns flag.ErrHelp for -h.
func parseOptions(args []string) (*options, error) {
	o := &options{interval: time.Second, socketMode: 0o600}
	set := flag.NewFlagSet("net-watcher", flag.ContinueOnError)
	set.SetOutput(io.Discard) // main prints the error
	set.Func("file", "", noDashes(o.addFile))
	set.Func("listen", "", o.addListen)
	set.Func("interval", "", setDuration(&o.interval))
	set.Func("format", "", o.setFormat)
	set.Func("socket-mode", "", o.setSocketMode)
	set.Func("origin", "", o.addOrigin)
	set.Func("cert", "", setFile(&o.certs.Cert))
	set.Func("key", "", setFile(&o.certs.Key))
	set.Func("ca", "", setFile(&o.certs.CA))
	set.Func("only", "", noDashes(o.addOnly))
	set.Func("ignore", "", noDashes(o.addIgnore))
	set.Func("ignore-from", "", noDashes(o.addIgnoreFrom))
	set.BoolFunc("content", "", o.setContent)
	set.BoolVar(&o.scan.Fresh, "fresh", false, "")
	set.Func("connect", "", o.setConnect)
	set.BoolVar(&o.ask, "scan", false, "")
	set.BoolVar(&o.once, "once", false, "")
	set.BoolVar(&o.initial, "initial", false, "")
	set.Func("settle", "", setDuration(&o.settle))
	set.BoolVar(&o.restart, "restart", false, "")
	set.BoolVar(&o.verbose, "v", false, "")
	set.BoolVar(&o.version, "version", false, "")

	// Package flag stops at the first word that is no flag, and after "--",
	// which is no flag's value; only the latter is for good.
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		read := args[:len(args)-set.NArg()]
		args = set.Args()
		if len(read) > 0 && read[len(read)-1] == "--" {
			o.command = args
			break
		}
		if len(args) == 0 {
			break
		}
		if err := o.addFile(args[0]); err != nil {
			return nil, err
		}
		args = args[1:]
	}

	warnings, err := o.scan.Filter.Check(o.files)
	o.warnings = warnings
	set.Visit(func(f *flag.Flag) { err = cmp.Or(err, o.checkEffect(f.Name)) })
	err = cmp.Or(err, o.checkTLS())
	switch {
	case err != nil || o.version:
		return o, err
	case o.command != nil && len(o.command) == 0:
		return nil, errors.New("no COMMAND after --")
	case o.connect == nil:
		if o.settle > 0 && o.settle < o.interval {
			o.warnings = append(o.warnings, fmt.Sprintf("-settle %v is shorter than -interval %v: COMMAND does not wait for the changes of a second scan", o.settle, o.interval))
		}
		return o, o.finishWatch()
	case len(o.files) > 0:
		return nil, fmt.Errorf("%q: -connect takes no FILE (a COMMAND goes after --)", o.files[0])
	}
	return o, nil
}

// checkEffect returns an error if the flag, which was given, has no effect.
func (o *options) checkEffect(name string) error {
	isUnix := func(a sock.Address) bool { return a.Network == "unix" }
	switch name {
	case "file", "listen", "interval", "socket-mode", "origin", "content", "fresh":
		switch {
		case o.connect != nil:
			return fmt.Errorf("-%s cannot be used with -connect", name)
		case name == "origin" && len(o.web) == 0:
			return errors.New("-origin needs -listen http://HOST:PORT")
		case name != "socket-mode":
		case !slices.ContainsFunc(o.listen, isUnix):
			return errors.New("-socket-mode needs a Unix socket (-listen unix:PATH)")
		case runtime.GOOS == "windows":
			return errors.New("-socket-mode has no effect on Windows: the permissions of the socket's directory count")
		}
	case "cert", "key", "ca":
		if !o.hasTLS() {
			return fmt.Errorf("-%s has no effect without TLS (tls://HOST:PORT)", name)
		}
	case "scan":
		if o.connect == nil {
			return errors.New("-scan needs -connect")
		}
	case "initial":
		if o.command == nil && o.connect == nil && !o.once {
			return errors.New("-initial needs a COMMAND (after --), or -once")
		}
		if o.command == nil && o.connect != nil {
			return errors.New("-initial needs a COMMAND (after --)")
		}
	case "settle", "restart":
		if o.command == nil {
			return fmt.Errorf("-%s needs a COMMAND (after --)", name)
		}
	case "format":
		switch {
		case o.connect != nil && o.command == nil, len(o.listen) > 0, o.print:
		case o.command != nil:
			return errors.New("-format has no effect on a COMMAND, which gets JSON lines")
		case len(o.web) > 0:
			return errors.New("-format has no effect on HTTP, which has JSON")
		}
	}
	return nil
}

// hasTLS reports whether an ADDRESS needs certificates.
func (o *options) hasTLS() bool {
	return o.connect != nil && o.connect.IsTLS() || slices.ContainsFunc(slices.Concat(o.listen, o.web), sock.Address.IsTLS)
}

// checkTLS returns an error if a file that TLS needs is not named.
func (o *options) checkTLS() error {
	switch cert, key := o.certs.Cert != "", o.certs.Key != ""; {
	case cert && !key:
		return errors.New("-cert needs -key FILE, the key of the certificate")
	case key && !cert:
		return errors.New("-key needs -cert FILE, the certificate of the key")
	case !cert && o.connect == nil && o.hasTLS():
		scheme := transportName(!slices.ContainsFunc(o.listen, sock.Address.IsTLS), true)
		return fmt.Errorf("-listen %s:// needs -cert FILE and -key FILE (docs/operations.md makes them in six commands)", scheme)
	}
	return nil
}

// finishWatch fills in what was left out.
func (o *options) finishWatch() error {
	seen := make(map[string]bool)
	o.files = slices.DeleteFunc(o.files, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
	switch {
	case len(o.files) == 0 && o.command != nil:
		return errors.New("no FILE given before -- (what comes after it is the COMMAND)")
	case len(o.files) == 0:
		return errors.New("no FILE given (try: net-watcher target.txt)")
	case len(o.listen)+len(o.web) == 0 && o.command == nil && !o.print:
		return o.addListen("localhost:" + sock.DefaultPort)
	}
	return nil
}

// noDashes keeps a flag whose value was left out from taking the "--" after it.
// (The other flags refuse that by themselves.)
func noDashes(set func(string) error) func(string) error {
	return func(value string) error {
		if value == "--" {
			return errors.New(`a value is missing (or else write ./--, as a pattern '\--')`)
		}
		return set(value)
	}
}

func (o *options) addFile(name string) error {
	if name == "" {
		return errors.New("a FILE must not be empty")
	}
	for n := len(name) - 1; n > 0 && os.IsPathSeparator(name[n]) && filepath.VolumeName(name) != name[:n]; n-- {
		name = name[:n]
	}
	o.files = append(o.files, name)
	return nil
}

// filter returns the Filter to add patterns to. What is wrong with these is checked when
// all FILEs are known.
func (o *options) filter() *pattern.Filter {
	if o.scan.Filter == nil {
		o.scan.Filter = new(pattern.Filter)
	}
	return o.scan.Filter
}

func (o *options) addOnly(s string) error {
	o.filter().Only.Add(s)
	return nil
}

func (o *options) addIgnore(s string) error {
	o.filter().Ignore.Add(s)
	return nil
}

func (o *options) addIgnoreFrom(name string) error {
	// Without O_NONBLOCK, opening a named pipe would wait for someone to write to it.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return oserr.Cause(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return oserr.Cause(err)
	}
	if info, err := f.Stat(); len(b) == 0 && err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		return errors.New("a pipe to which nobody writes")
	}
	return o.filter().Ignore.AddFile(bytes.NewReader(b), name)
}

// setContent takes "true" from -content without a value.
func (o *options) setContent(s string) error {
	switch s {
	case "true", "false":
		o.scan.Content, o.scan.SkipSame = s == "true", false
	case "changed":
		o.scan.Content, o.scan.SkipSame = true, true
	default:
		return errors.New("must be -content or -content=changed")
	}
	return nil
}

func (o *options) addListen(s string) error {
	if s == "-" {
		o.print = true
		return nil
	}
	to, parse := &o.listen, sock.Parse
	if sock.IsHTTP(s) {
		to, parse = &o.web, sock.ParseHTTP
	}
	a, err := parse(s)
	if err == nil {
		*to = append(*to, a)
	}
	return err
}

func (o *options) addOrigin(s string) error {
	origin, err := web.ParseOrigin(s)
	if err != nil {
		return err
	}
	o.origins = append(o.origins, origin)
	return nil
}

func (o *options) setConnect(s string) error {
	if o.connect != nil {
		return errors.New("-connect may be given once")
	}
	a, err := sock.ParseServer(s)
	if err != nil {
		return err
	}
	o.connect = &a
	return nil
}

// setFile returns a function that takes the name of a file, once.
func setFile(name *string) func(string) error {
	return noDashes(func(s string) error {
		switch {
		case s == "":
			return errors.New("a name must not be empty")
		case *name != "":
			return errors.New("may be given once")
		}
		*name = s
		return nil
	})
}

// maxDuration is the longest duration that a flag takes, ten years: a tenth of what a
// time.Duration holds, more or less, so that nothing overflows which counts with several.
const maxDuration = 10 * 365 * 24 * time.Hour

// setDuration returns a function that reads a duration of 1 ms to maxDuration into d.
func setDuration(d *time.Duration) func(string) error {
	return func(s string) (err error) {
		*d, err = time.ParseDuration(s)
		if err != nil {
			return errors.New("not a duration, such as 2s or 500ms")
		}
		switch {
		case *d < time.Millisecond:
			return errors.New("must be at least 1ms")
		case *d > maxDuration:
			return fmt.Errorf("must be at most %v", maxDuration)
		}
		return nil
	}
}

func (o *options) setFormat(s string) error {
	var ok bool
	if o.format, ok = wire.ParseFormat(s); !ok {
		return errors.New(`must be "text" or "json"`)
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
