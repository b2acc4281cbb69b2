//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// The client hands on names that are not UTF-8 as they are: to COMMAND, and to the
// reader of JSON lines.
func TestNamesAsTheyAre(t *testing.T) {
	const target, file = "d\xe4", "d\xe4/\xff"
	l, err := net.Listen("tcp", net.JoinHostPort(check.Loopbacks(t)[0], "0"))
	check.Must(t, err)
	defer l.Close()
	changed := []wire.Event{{Type: wire.Changed, Timestamp: 1, File: file, Target: target, Change: wire.Created, State: "1"}}
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			conn.Write(wire.Encode(wire.JSON, []wire.Event{{Type: wire.Watching, File: target, Targets: 1, State: "0"}}))
			conn.Write(wire.Encode(wire.JSON, changed))
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	for _, test := range []struct {
		args string
		want string
	}{
		{"-format json", string(wire.Encode(wire.JSON, changed))},
		{"-- sh -c", fmt.Sprintf("%s\n%s", file, wire.Encode(wire.JSON, changed))},
	} {
		args := append([]string{"-once", "-connect", l.Addr().String()}, strings.Fields(test.args)...)
		if strings.HasPrefix(test.args, "--") {
			args = append(args, `printf '%s\n' "$NET_WATCHER_FILE"; cat`)
		}
		out, err := realProgram(t, args...).Output()
		check.Must(t, err)
		check.Equal(t, test.args, test.want, string(out))
	}
}

// The file of a socket is removed: those that are connected do not notice, and others
// can connect again.
func TestSocketRemoved(t *testing.T) {
	dir := check.SocketDir(t)
	file, socket := filepath.Join(dir, "f"), filepath.Join(dir, "s")
	p := start(t, "-interval", "10ms", "-listen", socket, file)
	p.await("^listening on ")
	before := dialTo(t, "unix", socket)
	before.expect("[text] watching " + file + " (not there)")
	for range 2 {
		check.Must(t, os.Remove(socket))
		p.await("^unix socket .* was removed, and is made again$")
		dialTo(t, "unix", socket).expect("[text] watching " + file + " (not there)")
	}
	check.Must(t, os.WriteFile(file, nil, 0o666))
	before.expect("[text] created " + file)
	p.stop()
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// Named pipes to which nobody writes are refused, where patterns and certificates are to
// come from: to wait for a writer would look as if the program hung. Patterns from a pipe
// that has a writer are used.
func TestNamedPipes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := exec.Command("mkfifo", "pipe").Run(); err != nil {
		t.Skip(err)
	}
	for args, want := range map[string]string{
		"-ignore-from pipe .":                              `invalid value "pipe" for flag -ignore-from: a pipe to which nobody writes`,
		"-listen tls://localhost:0 -cert pipe -key pipe .": `-cert "pipe": no certificate in it (PEM)`,
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		check.Equal(t, args, want, check.Message(err))
	}

	cmd := realProgram(t, "-once", "-initial", "-listen", "-", "-ignore-from", "/dev/stdin", ".")
	cmd.Stdin = strings.NewReader("./x\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `/dev/stdin:1: pattern "./x": it matches nothing`) {
		t.Errorf("%v, %q", err, out)
	}
}
