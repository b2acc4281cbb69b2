package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"net-watcher/internal/check"
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
	"net-watcher/internal/sock"
	"net-watcher/internal/web"
	"net-watcher/internal/wire"
)

// TestMain runs the program instead of the tests where that is asked for, so
// that tests can start the real thing.
func TestMain(m *testing.M) {
	if os.Getenv("NET_WATCHER_IS_TESTED") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// realProgram returns the real program with these arguments, to be started.
func realProgram(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	check.Must(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "NET_WATCHER_IS_TESTED=1")
	return cmd
}

// A -settle within which no scan begins is accepted, but it joins nothing.
func TestShortSettle(t *testing.T) {
	const warning = "-settle 999ms is shorter than -interval 1s: COMMAND does not wait for the changes of a second scan"
	for args, want := range map[string][]string{
		"-settle 999ms a -- make":                       {warning},
		"-settle 1s a -- make":                          nil,
		"-settle 20ms -interval 10ms a -- make":         nil,
		"-settle 20ms -connect localhost:60300 -- make": nil, // whose interval is not known
	} {
		o, err := parseOptions(strings.Fields(args))
		check.Must(t, err)
		check.Equal(t, args, want, o.warnings)
	}
}

func TestParseOptions(t *testing.T) {
	local := sock.Address{Network: "tcp", Name: "localhost:60300"}
	filter := new(pattern.Filter)
	filter.Only.Add("*.go")
	filter.Ignore.Add("*.tmp")
	filter.Ignore.Add(".git/")
	sameFilter := cmp.Comparer(func(a, b *pattern.Filter) bool { return reflect.DeepEqual(a, b) })
	for _, test := range []struct {
		args []string
		want options
	}{
		{[]string{"a"}, options{files: []string{"a"}, listen: []sock.Address{local}, interval: time.Second, socketMode: 0o600}},
		{
			[]string{"a", "-interval", "2s", "b", "-file=c", "--format", "json", "d", "-v"},
			options{files: []string{"a", "b", "c", "d"}, listen: []sock.Address{local}, interval: 2 * time.Second, format: wire.JSON, socketMode: 0o600, verbose: true},
		},
		{
			[]string{"-socket-mode", "660", "-listen", "unix:s", "-listen", "::1", "a", "./-b", "a", "-file=-c"},
			options{files: []string{"a", "./-b", "-c"}, listen: []sock.Address{
				{Network: "unix", Name: "s"}, {Network: "tcp", Name: "[::1]:60300"},
			}, interval: time.Second, socketMode: 0o660},
		},
		{
			[]string{"a", "-restart", "b", "-settle", "1m", "-initial", "--", "make", "-v", "--", "c"},
			options{
				files: []string{"a", "b"}, command: []string{"make", "-v", "--", "c"}, restart: true, settle: time.Minute, initial: true,
				interval: time.Second, socketMode: 0o600,
			},
		},
		{
			[]string{"-listen", ":7", "-listen", "-", "-format", "json", "a", "--", "make"},
			options{
				files: []string{"a"}, command: []string{"make"}, listen: []sock.Address{{Network: "tcp", Name: ":7"}}, print: true,
				format: wire.JSON, interval: time.Second, socketMode: 0o600,
			},
		},
		{
			[]string{"-listen", "HTTP://localhost:8080", "-listen", "https://:8443", "-origin", "http://Dev:80", "a", "-cert", "c", "-key", "k"},
			options{
				files: []string{"a"}, web: []sock.Address{{Network: "tcp", Name: "localhost:8080"}, {Network: "tls", Name: ":8443"}},
				origins: []web.Origin{"http://dev"}, certs: sock.CertFiles{Cert: "c", Key: "k"}, interval: time.Second, socketMode: 0o600,
			},
		},
		{
			[]string{"-once", "-initial", "-listen", "-", "a"},
			options{files: []string{"a"}, print: true, once: true, initial: true, interval: time.Second, socketMode: 0o600},
		},
		{
			[]string{"d/", "d", "d///", "e//", "/", "//", "./", "-"},
			options{files: []string{"d", "e", "/", ".", "-"}, listen: []sock.Address{local}, interval: time.Second, socketMode: 0o600},
		},
		{
			[]string{"d", "-ignore", "*.tmp", "-ignore", ".git/", "-only", "*.go", "-content", "-fresh"},
			options{
				files: []string{"d"}, listen: []sock.Address{local}, interval: time.Second, socketMode: 0o600,
				scan: scan.Options{Filter: filter, Content: true, Fresh: true},
			},
		},
		{
			[]string{"-content=changed", "d"},
			options{
				files: []string{"d"}, listen: []sock.Address{local}, interval: time.Second, socketMode: 0o600,
				scan: scan.Options{Content: true, SkipSame: true},
			},
		},
		{
			[]string{"-connect", "there", "-once", "-initial", "--", "make", "-v", ""},
			options{
				connect: &sock.Address{Network: "tcp", Name: "there:60300"}, once: true, initial: true,
				command: []string{"make", "-v", ""}, interval: time.Second, socketMode: 0o600,
			},
		},
		{
			[]string{"-connect", ":7", "-format", "json"},
			options{connect: &sock.Address{Network: "tcp", Name: "localhost:7"}, format: wire.JSON, interval: time.Second, socketMode: 0o600},
		},
		{[]string{"-connect", ":7"}, options{connect: &sock.Address{Network: "tcp", Name: "localhost:7"}, interval: time.Second, socketMode: 0o600}},
		{
			[]string{"-listen", "tls://:7", "-cert", "c", "-key", "k", "-ca", "a", "f"},
			options{
				files: []string{"f"}, listen: []sock.Address{{Network: "tls", Name: ":7"}}, certs: sock.CertFiles{Cert: "c", Key: "k", CA: "a"},
				interval: time.Second, socketMode: 0o600,
			},
		},
		{[]string{"-version"}, options{version: true, interval: time.Second, socketMode: 0o600}},
	} {
		if slices.Contains(test.args, "-socket-mode") && runtime.GOOS == "windows" {
			continue
		}
		got, err := parseOptions(test.args)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		check.Equal(t, fmt.Sprintf("%q", test.args), test.want, *got, cmp.AllowUnexported(options{}, sock.Address{}), sameFilter)
	}
	for _, args := range [][]string{{"-h"}, {"--help"}, {"a", "-h"}} {
		if _, err := parseOptions(args); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// program is the real program, running.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of the console
	done  chan error  // the result of Wait
	said  []string
}

// untimed returns lines of the console without their times.
func untimed(lines string) string {
	return regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\S+ `).ReplaceAllString(lines, "")
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	return startProgram(t, realProgram(t, args...))
}

// startProgram starts cmd, which is a real program.
func startProgram(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, lines: make(chan string, 1000), done: make(chan error, 1)}
	stderr, err := p.cmd.StderrPipe()
	check.Must(t, err)
	check.Must(t, p.cmd.Start())
	go func() {
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			p.lines <- untimed(scanner.Text())
		}
		close(p.lines)
		p.done <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		if t.Failed() {
			for line := range p.lines {
				p.said = append(p.said, line)
			}
			t.Logf("the console of %q:\n%s", cmd.Args, strings.Join(p.said, "\n"))
		}
	})
	return p
}

// await returns what the next line of the console that matches has in its
// first group.
func (p *program) await(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("it ended without saying %q", pattern)
			}
			p.said = append(p.said, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
		case <-timeout:
			p.t.Fatalf("it does not say %q", pattern)
		}
	}
}

// stop ends the program with a signal, where there are signals, and checks that
// it ends well.
func (p *program) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil { // SIGINT may be ignored
		p.t.Logf("not asked to stop, but killed: %v", err)
		p.cmd.Process.Kill()
		<-p.done
		return
	}
	if err := <-p.done; err != nil {
		p.t.Errorf("at the end: %v", err)
	}
}

// The program as its users have it: files, both transports, both formats, and
// a state that another run of it knows again.
func TestProgram(t *testing.T) {
	check.NeedUnix(t)
	dir := check.SocketDir(t)
	target, later, socket := filepath.Join(dir, "target.txt"), filepath.Join(dir, "later.txt"), filepath.Join(dir, "s")
	check.Write(t, target, "1", check.Day1)
	var last wire.Event
	for run := range 2 {
		p := start(t, "-interval", "10ms", target, "-listen", "localhost:0", "-listen", socket, later, "-format", "json", "-v")
		p.await("^watching " + regexp.QuoteMeta(wire.Printable(target)) + " every 10ms$")
		p.await(`later.txt"? \(not there\) every 10ms$`)
		port := p.await(`^listening on \S+:(\d+) .*\(try: .*\)$`)
		p.await(`^listening on .*\(try: .*\)$`)

		tcp := dialTo(t, "tcp", net.JoinHostPort(check.Loopbacks(t)[0], port))
		p.await(`^subscriber connected: .* \(1 now\)$`)
		unix := dialTo(t, "unix", socket)
		p.await(`^subscriber connected: .* \(2 now\)$`)
		greeting := tcp.next()
		if diff := cmp.Diff(greeting, unix.next()); diff != "" {
			t.Errorf("two greetings (-tcp +unix):\n%s", diff)
		}
		if missing := tcp.next(); missing.File != later || !missing.Missing || missing.Targets != 2 {
			t.Errorf("greeting of what is not there: %+v", missing)
		}
		unix.next()
		if run == 0 {
			begin := time.Now()
			check.Write(t, target, "22", check.Day1)
			e := tcp.next()
			for e.Size == nil || *e.Size != 2 || !e.Mtime.Equal(check.Day1) { // it may be seen half done
				e = tcp.next()
			}
			want := wire.Event{
				Type: wire.Changed, Timestamp: e.Timestamp, File: target, Change: wire.Modified,
				Size: new(int64(2)), Mtime: check.Day1, State: e.State,
			}
			check.Equal(t, "events", want, e)
			if at := time.UnixMilli(e.Timestamp); at.Before(begin.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("at %v, and it is %v", at, begin)
			}
			if e.State == greeting.State {
				t.Error("another size, the same state")
			}
			p.await("^modified ")
			last = e
		} else if greeting.State != last.State || *greeting.Size != 2 {
			t.Errorf("after a restart: %+v, want state %s", greeting, last.State)
		}
		p.stop()
		if run == 0 {
			// Whoever is connected at the end is told nothing more.
			for _, peer := range []*peer{tcp, unix} {
				for _, err := peer.lines.ReadByte(); err == nil; {
					_, err = peer.lines.ReadByte()
				}
			}
		}
	}
	if _, err := os.Lstat(socket); err == nil && runtime.GOOS != "windows" {
		t.Error("the socket is left")
	}
}

// Bad input gets one line that names the thing, the right status, and leaves
// everything as it was.
func TestBadInput(t *testing.T) {
	t.Chdir(check.SocketDir(t))
	check.Write(t, "target.txt", "1", check.Day1)
	check.Write(t, "file", "no socket", check.Day1)
	check.Must(t, os.Mkdir("dir", 0o777))
	before, err := os.ReadDir(".")
	check.Must(t, err)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	check.Must(t, err)
	defer taken.Close()
	port := taken.Addr().String()

	long := "./" + strings.Repeat("x", 2000)
	for _, test := range []struct {
		args   string // split at blanks; '' is empty
		status int
		want   string // a pattern
	}{
		{"", 2, `no FILE given \(try: net-watcher target.txt\) \(for help: -h\)`},
		{"-listen localhost:0", 2, `no FILE given .*`},
		{"-frobnicate target.txt", 2, `flag provided but not defined: -frobnicate \(for help: -h\)`},
		{"target.txt -frobnicate", 2, `flag provided but not defined: -frobnicate \(for help: -h\)`},
		{"-\x1b[2J\x01", 2, `flag provided but not defined: -\\x1b\[2J\\x01 .*`},
		{"target.txt -interval", 2, `flag needs an argument: -interval .*`},
		{"target.txt -interval 999us", 2, `invalid value "999us" for flag -interval: must be at least 1ms .*`},
		{"target.txt -interval 87601h", 2, `invalid value "87601h" for flag -interval: must be at most 87600h0m0s .*`},
		{"target.txt -settle 876000h -- make", 2, `invalid value "876000h" for flag -settle: must be at most 87600h0m0s .*`},
		{"target.txt -interval 5", 2, `invalid value "5" for flag -interval: not a duration, such as 2s or 500ms .*`},
		{"target.txt -format xml", 2, `invalid value "xml" for flag -format: must be "text" or "json" .*`},
		{"target.txt -socket-mode 999", 2, `invalid value "999" for flag -socket-mode: not octal permissions, such as 0660 .*`},
		{"target.txt -socket-mode 1777", 2, `invalid value "1777" for flag -socket-mode: .*`},
		{"target.txt -listen a:b:c", 2, `invalid value "a:b:c" for flag -listen: address "a:b:c": not host:port, and not unix:PATH either .*`},
		{"target.txt -listen unix:@x", 2, `invalid value "unix:@x" for flag -listen: .* abstract sockets .*`},
		{"target.txt ''", 2, `a FILE must not be empty .*`},
		{"-file ''", 2, `invalid value "" for flag -file: a FILE must not be empty .*`},
		{"target.txt -listen " + port, 1, `listen tcp ` + regexp.QuoteMeta(port) + `: .* \(for another port: -listen HOST:PORT\)`},
		{"target.txt -listen ./file", 1, `listen on unix socket "./file": path exists and is not a socket`},
		{"target.txt -listen ./dir", 1, `listen on unix socket "./dir": path exists and is not a socket`},
		{"target.txt -listen ./none/s", 1, `listen on unix socket "./none/s": directory not usable: .*`},
		{"target.txt -listen " + long, 1, `listen on unix socket "./x*": path too long by \d+ bytes \(a socket's may have \d+ there\)`},
		{"-file -- target.txt", 2, `invalid value "--" for flag -file: a value is missing .*`},
		{"-ignore -- target.txt", 2, `invalid value "--" for flag -ignore: a value is missing .*`},
		{"target.txt -ignore [", 2, `-ignore: pattern "\[": it matches nothing: it has a \[ without \] .*`},
		{"target.txt -ignore ''", 2, `-ignore: pattern "": it matches nothing .*`},
		{"target.txt -only ./x", 2, `-only: pattern "./x": it matches nothing: write "/x" .*`},
		{"src -ignore=x -ignore src/*.o", 2, `-ignore: pattern "src/\*\.o": it begins with the target, .*: write "/\*\.o", .*`},
		{"src -ignore-from there/is/none", 2, `invalid value "there/is/none" for flag -ignore-from: .* .*`},
		{"d -content=change", 2, `invalid boolean value "change" for -content: must be -content or -content=changed .*`},
		{"-connect localhost -content", 2, `-content cannot be used with -connect .*`},
		{"-connect localhost -interval 1s", 2, `-interval cannot be used with -connect .*`},
		{"-connect localhost -format json -- true", 2, `-format has no effect on a COMMAND, which gets JSON lines .*`},
		{"-connect localhost -socket-mode 660", 2, `-socket-mode cannot be used with -connect .*`},
		{"target.txt -socket-mode 660", 2, `-socket-mode needs a Unix socket \(-listen unix:PATH\) .*`},
		{"target.txt -socket-mode 600 -listen localhost:0", 2, `-socket-mode needs a Unix socket \(-listen unix:PATH\) .*`},
		{"-connect localhost target.txt", 2, `"target.txt": -connect takes no FILE \(a COMMAND goes after --\) .*`},
		{"-connect localhost --", 2, `no COMMAND after -- .*`},
		{"-connect localhost -initial", 2, `-initial needs a COMMAND \(after --\) .*`},
		{"-connect -- make", 2, `invalid value "--" for flag -connect: address "--" looks like a flag .*`},
		{"-connect " + long, 2, `invalid value "./x*" for flag -connect: address "./x*": path too long by \d+ bytes \(a socket's may have \d+ there\) .*`},
		{"-connect h:1/", 2, `invalid value "h:1/" for flag -connect: address "h:1/": a host has no path \(write h:1, .*`},
		{"target.txt -listen *:7000", 2, `invalid value "\*:7000" for flag -listen: address "\*:7000": every interface is written :7000 .*`},
		{"-connect localhost:0", 2, `invalid value "localhost:0" for flag -connect: a server cannot be at port 0 .*`},
		{"-connect localhost -connect ::1", 2, `invalid value "::1" for flag -connect: -connect may be given once .*`},
		{"-connect localhost -once -initial", 2, `-initial needs a COMMAND \(after --\) .*`},
		{"-connect - ", 2, `invalid value "-" for flag -connect: .*`},
		{"target.txt --", 2, `no COMMAND after -- .*`},
		{"-- target.txt", 2, `no FILE given before -- \(what comes after it is the COMMAND\) .*`},
		{"target.txt -initial", 2, `-initial needs a COMMAND \(after --\), or -once .*`},
		{"target.txt -restart", 2, `-restart needs a COMMAND \(after --\) .*`},
		{"target.txt -settle 1s", 2, `-settle needs a COMMAND \(after --\) .*`},
		{"target.txt -settle 1 -- make", 2, `invalid value "1" for flag -settle: not a duration, such as 2s or 500ms .*`},
		{"target.txt -listen tls://localhost:0", 2, `-listen tls:// needs -cert FILE and -key FILE .*`},
		{"target.txt -listen tls://localhost:0 -ca ca.crt", 2, `-listen tls:// needs -cert FILE and -key FILE .*`},
		{"target.txt -listen tls://localhost:0 -cert a", 2, `-cert needs -key FILE, the key of the certificate .*`},
		{"-connect tls://localhost:1 -key a", 2, `-key needs -cert FILE, the certificate of the key .*`},
		{"target.txt -cert a -key b", 2, `-cert has no effect without TLS \(tls://HOST:PORT\) .*`},
		{"target.txt -listen localhost:0 -ca a", 2, `-ca has no effect without TLS \(tls://HOST:PORT\) .*`},
		{"-connect localhost:1 -ca a", 2, `-ca has no effect without TLS \(tls://HOST:PORT\) .*`},
		{"-connect tls://localhost:1 -ca a -ca b", 2, `invalid value "b" for flag -ca: may be given once .*`},
		{"-connect tls://localhost:1 -ca ''", 2, `invalid value "" for flag -ca: a name must not be empty .*`},
		{"-connect tls://localhost:1 -ca none", 1, `-ca "none": .*`},
		{"-connect tls://localhost:1 -ca target.txt", 1, `-ca "target.txt": no certificate in it \(PEM\)`},
		{"-connect tls://localhost:0", 2, `invalid value "tls://localhost:0" for flag -connect: a server cannot be at port 0 .*`},
		{"target.txt -listen tls://localhost:0 -cert none -key target.txt", 1, `-cert "none": .*`},
		{"target.txt -listen localhost:0 -listen tls://localhost:0 -cert target.txt -key target.txt", 1, `-cert "target.txt": no certificate in it \(PEM\)`},
		{"target.txt -listen https://localhost:0", 2, `-listen https:// needs -cert FILE and -key FILE .*`},
		{"target.txt -listen http://localhost", 2, `invalid value "http://localhost" for flag -listen: address "http://localhost": HTTP needs a host and a port, .*`},
		{"target.txt -listen http://localhost:0/x", 2, `invalid value "http://localhost:0/x" for flag -listen: address "http://localhost:0/x": a host has no path \(write http://localhost:0\) .*`},
		{"target.txt -listen https://h:x", 2, `invalid value "https://h:x" for flag -listen: address "https://h:x": no port "x" \(0 to 65535\) .*`},
		{"target.txt -listen http://", 2, `invalid value "http://" for flag -listen: address "http://": HTTP needs .*`},
		{"target.txt -listen ftp://localhost:0", 2, `invalid value .*: ftp:// is not supported .*`},
		{"target.txt -origin http://localhost:1", 2, `-origin needs -listen http://HOST:PORT .*`},
		{"target.txt -listen http://localhost:0 -origin *", 2, `invalid value "\*" for flag -origin: "\*" is no origin .*`},
		{"target.txt -listen http://localhost:0 -format json", 2, `-format has no effect on HTTP, which has JSON .*`},
		{"-connect localhost -origin http://localhost:1", 2, `-origin cannot be used with -connect .*`},
		{"-connect http://localhost:1", 2, `invalid value .* for flag -connect: address "http://localhost:1": HTTP is for browsers: .*`},
		{"target.txt -scan", 2, `-scan needs -connect .*`},
		{"target.txt -format json -- true", 2, `-format has no effect on a COMMAND, which gets JSON lines .*`},
		{"target.txt -- ./none/command", 1, `.*./none/command.*`},
		{"-connect ./none/s -once", 1, `follow ./none/s: .*`},
		{"-connect localhost -- ./none/command", 1, `.*./none/command.*`},
		{"target.txt -listen ./s -listen " + port, 1, `listen tcp .*`},
	} {
		var args []string
		for arg := range strings.FieldsSeq(test.args) {
			args = append(args, strings.Trim(arg, "'"))
		}
		if strings.Contains(test.args, "./") && runtime.GOOS == "windows" {
			test.want = ".*" // its messages are its own
		}
		cmd := realProgram(t, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		check.Must(t, cmd.Start())
		hangs := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		hangs.Stop()
		if got := cmd.ProcessState.ExitCode(); got != test.status {
			t.Errorf("%q: status %d, want %d", test.args, got, test.status)
		}
		if !regexp.MustCompile(`^net-watcher: ` + test.want + "\n$").MatchString(untimed(stderr.String())) {
			t.Errorf("%q: says %q, want %q", test.args, stderr.String(), test.want)
		}
		if stdout.Len() > 0 {
			t.Errorf("%q: on stdout %q", test.args, stdout.String())
		}
	}
	after, err := os.ReadDir(".")
	check.Must(t, err)
	names := func(entries []fs.DirEntry) (names []string) {
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if diff := cmp.Diff(names(before), names(after)); diff != "" {
		t.Errorf("in the folder (-before +after):\n%s", diff)
	}
}

// What is asked for goes to stdout.
func TestStdout(t *testing.T) {
	for arg, want := range map[string]string{
		"-h":       "^" + regexp.QuoteMeta(usage) + "$",
		"-version": `^net-watcher \S+( \(commit \w+, \S+Z\))? go\S+ ` + runtime.GOOS + "/" + runtime.GOARCH + "\n$",
	} {
		out, err := realProgram(t, arg).Output()
		if err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s: %q, %v", arg, out, err)
		}
	}
}

// The guide shows the usage that the program prints, and the README is a first
// screen.
func TestReadme(t *testing.T) {
	texts := pages(t)
	if !strings.Contains(texts["docs/guide.md"], "```\n"+usage+"```\n") {
		t.Error("docs/guide.md does not show the usage as -h prints it")
	}
	if n, most := len(texts["README.md"]), 7<<10; n > most {
		t.Errorf("README.md has %d bytes, want at most %d", n, most)
	}
	for line := range strings.SplitSeq(usage, "\n") {
		if len(line) > 80 {
			t.Errorf("too long for a terminal: %q", line)
		}
	}
}

// On a terminal the changes stand after what the console says before them.
func TestOneTerminal(t *testing.T) {
	l, err := net.Listen("tcp", net.JoinHostPort(check.Loopbacks(t)[0], "0"))
	check.Must(t, err)
	defer l.Close()
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			io.WriteString(conn, `{"type":"watching","file":"f","targets":1}`+"\n"+`{"type":"changed","file":"f","change":"modified"}`+"\n")
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	for range 10 {
		said, err := realProgram(t, "-connect", l.Addr().String(), "-once").CombinedOutput()
		check.Must(t, err)
		if !regexp.MustCompile(`^\S+ following .*\n\S+ modified f\n$`).Match(said) {
			t.Fatalf("it says %q", said)
		}
	}
}

// fullPipe returns a pipe that nobody reads and that takes nothing any more.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	check.NeedUnix(t)
	out, in, err := os.Pipe()
	check.Must(t, err)
	t.Cleanup(func() { out.Close(); in.Close() })
	if err := in.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Skipf("no way to fill a pipe here: %v", err)
	}
	if _, err := in.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a pipe that is not full: %v", err)
	}
	return in
}

// Nobody reads the console of the real program: it does all the same what it
// is there for, and ends well.
func TestConsoleUnread(t *testing.T) {
	stderr := fullPipe(t)
	dir := check.SocketDir(t)
	target, socket := filepath.Join(dir, "target.txt"), filepath.Join(dir, "s")
	check.Write(t, target, "1", check.Day1)
	p := &program{t: t, cmd: realProgram(t, "-v", "-interval", "10ms", "-listen", socket, target), done: make(chan error, 1)}
	p.cmd.Stderr = stderr
	check.Must(t, p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	defer p.cmd.Process.Kill()
	check.Eventually(t, "it listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	for i := range 3 {
		s := dialTo(t, "unix", socket)
		s.expect("[text] watching " + target)
		s.send("json\n")
		if e := s.next(); e.Type != wire.Watching {
			t.Errorf("after the word: %+v", e)
		}
		mtime := check.Day2.Add(time.Duration(i) * time.Second)
		check.Must(t, os.Chtimes(target, mtime, mtime)) // a write may be two changes
		if e := s.next(); e.Change != wire.Modified {
			t.Errorf("after a change: %+v", e)
		}
		s.Close()
	}
	p.stop()
}

// Nor does it keep the program from ending with what has failed.
func TestErrorUnread(t *testing.T) {
	cmd := realProgram(t, "-frobnicate")
	cmd.Stderr = fullPipe(t)
	check.Must(t, cmd.Start())
	defer time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() }).Stop()
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 2 {
		t.Errorf("status %d, want 2", got)
	}
}
