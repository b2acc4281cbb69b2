package main

import (
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
	"time"

	"net-watcher/internal/oserr"
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// usage is what -h prints; docs/guide.md shows the same text.
const usage = `usage: net-watcher [flags] FILE...
       net-watcher -connect ADDRESS [flags] [-- COMMAND [ARG...]]

Polls files once a second and sends every change to all connected clients. With
-connect, acts as such a client: prints the changes, or runs COMMAND on them.

  -file PATH         a file or directory to watch, as FILE; may be repeated
  -listen ADDRESS    where to serve; may be repeated (default localhost:60300)
  -interval DURATION how often to scan, such as 500ms; at least 1ms (default 1s)
  -format FORMAT     text or json (default text): for a subscriber that does not
                     ask for one, and for what is printed
  -socket-mode MODE  permissions of a Unix socket, octal (default 0600)
  -only PATTERN      below directories, only what matches; may be repeated
  -ignore PATTERN    below directories, leave out what matches; may be repeated
  -ignore-from PATH  leave out what matches a line of this file; may be repeated
  -content           compare contents, not times: reads every file at every scan
  -content=changed   the same, but reads only files whose time or size changed
  -fresh             ask the server of a network file system about every file
                     below a directory too
  -connect ADDRESS   follow the server at ADDRESS, and reconnect when needed
  -once              with -connect: end with the first connection
  -initial           with -connect and a COMMAND: run it at the start too
  -v                 log each change, each subscriber, each attempt to connect
  -version           print the version
  -h                 print this

ADDRESS is host:port, host or :port (every interface; with -connect, this host),
or a Unix socket: unix:PATH or anything with a path separator. Flags may stand
before or after FILEs; after -- everything is a FILE, or the COMMAND. A FILE
need not be there yet; of a directory, everything below it is watched.

PATTERN is what .gitignore has: *.tmp at any depth, /build/ a directory of the
target, docs/**/*.html; a later !PATTERN takes back. -ignore wins over -only.

A subscriber that sends the line json gets JSON lines from then on, one that
sends the line text gets text lines. COMMAND gets the changes as JSON lines on
its standard input, and the file and the change of the last one in
NET_WATCHER_FILE and NET_WATCHER_CHANGE.

Exit status: 0 stopped by a signal, 1 something failed, 2 wrong usage.

examples:
  net-watcher target.txt                       then: nc localhost 60300
  net-watcher -interval 200ms -format json a.conf b.conf
  net-watcher -listen ./watch.sock /etc/hosts  then: nc -U ./watch.sock
  net-watcher -connect files.example -- systemctl reload nginx
`

// options is what the command line says.
type options struct {
	files      []string
	listen     []sock.Address
	interval   time.Duration
	format     wire.Format
	socketMode fs.FileMode
	scan       scan.Options

	connect *sock.Address // nil to watch
	once    bool
	initial bool
	command []string

	verbose bool
	version bool

	warnings []string // of patterns in files, for the console
}

// parseOptions reads the command line. It returns flag.ErrHelp for -h.
func parseOptions(args []string) (*options, error) {
	o := &options{interval: time.Second, socketMode: 0o600}
	set := flag.NewFlagSet("net-watcher", flag.ContinueOnError)
	set.SetOutput(io.Discard) // main prints the error
	set.Func("file", "", noDashes(o.addFile))
	set.Func("listen", "", o.addListen)
	set.Func("interval", "", o.setInterval)
	set.Func("format", "", o.setFormat)
	set.Func("socket-mode", "", o.setSocketMode)
	set.Func("only", "", noDashes(o.addOnly))
	set.Func("ignore", "", noDashes(o.addIgnore))
	set.Func("ignore-from", "", noDashes(o.addIgnoreFrom))
	set.BoolFunc("content", "", o.setContent)
	set.BoolVar(&o.scan.Fresh, "fresh", false, "")
	set.Func("connect", "", o.setConnect)
	set.BoolVar(&o.once, "once", false, "")
	set.BoolVar(&o.initial, "initial", false, "")
	set.BoolVar(&o.verbose, "v", false, "")
	set.BoolVar(&o.version, "version", false, "")

	// Package flag stops at the first word that is no flag, and after "--",
	// which is no flag's value; only the latter is for good.
	dashes := false
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		read := args[:len(args)-set.NArg()]
		args = set.Args()
		dashes = len(read) > 0 && read[len(read)-1] == "--"
		if dashes || len(args) == 0 {
			break
		}
		if err := o.addFile(args[0]); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	// What is left is after "--".

	// A flag without effect is an error.
	isUnix := func(a sock.Address) bool { return a.Network == "unix" }
	var err error
	set.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "file", "listen", "interval", "socket-mode", "only", "ignore", "ignore-from", "content", "fresh":
			if o.connect != nil {
				err = fmt.Errorf("-%s cannot be used with -connect", f.Name)
			} else if f.Name == "socket-mode" && !slices.ContainsFunc(o.listen, isUnix) {
				err = errors.New("-socket-mode needs a Unix socket (-listen unix:PATH)")
			} else if f.Name == "socket-mode" && runtime.GOOS == "windows" {
				err = errors.New("-socket-mode has no effect on Windows: the permissions of the socket's directory count")
			}
		case "once", "initial":
			if o.connect == nil {
				err = fmt.Errorf("-%s needs -connect", f.Name)
			}
		case "format":
			if o.connect != nil && dashes {
				err = errors.New("-format has no effect on a COMMAND, which gets JSON lines")
			}
		}
	})
	switch {
	case err != nil || o.version:
		return o, err
	case o.connect == nil:
		return o, o.finishWatch(args)
	case len(o.files) > 0:
		return nil, fmt.Errorf("%q: -connect takes no FILE (a COMMAND goes after --)", o.files[0])
	case dashes && len(args) == 0:
		return nil, errors.New("no COMMAND after --")
	case dashes:
		o.command = args
	case o.initial:
		return nil, errors.New("-initial needs a COMMAND (after --)")
	}
	return o, nil
}

// finishWatch takes in the words after "--", and fills in what was left out.
func (o *options) finishWatch(files []string) error {
	for _, file := range files {
		if err := o.addFile(file); err != nil {
			return err
		}
	}
	seen := make(map[string]bool)
	o.files = slices.DeleteFunc(o.files, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
	if len(o.files) == 0 {
		return errors.New("no FILE given (try: net-watcher target.txt)")
	}
	var err error
	if err, o.warnings = o.scan.Filter.Check(o.files); err != nil {
		return err
	}
	if len(o.listen) == 0 {
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
	f, err := os.Open(name)
	if err != nil {
		return oserr.Cause(err)
	}
	defer f.Close()
	if err := o.filter().Ignore.AddFile(f, name); err != nil {
		return oserr.Cause(err)
	}
	return nil
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
	a, err := sock.Parse(s)
	if err != nil {
		return err
	}
	o.listen = append(o.listen, a)
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

func (o *options) setInterval(s string) (err error) {
	o.interval, err = time.ParseDuration(s)
	if err != nil {
		return errors.New("not a duration, such as 2s or 500ms")
	}
	if o.interval < time.Millisecond {
		return errors.New("must be at least 1ms")
	}
	return nil
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
