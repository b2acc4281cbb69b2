//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/proof"
	"net-watcher/internal/wire"
)

// A writer never uses a size twice, and what it has recorded adds up to what is on disk.
func TestWriter(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"t", "spare", "file"} {
		check.Must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	w := &writer{
		rec: new(recorder), rand: rand.New(rand.NewPCG(1, 1)), isRoot: true, fail: func(err error) { t.Error(err) },
		places: []place{
			{target: "/t", real: dir + "/t", spare: dir + "/spare"},
			{target: "/file/f", real: dir + "/file/f", spare: dir + "/spare", isFile: true},
		},
	}
	w.burst(3000)
	sizes, ops := make(map[int64]bool), make(map[string]int)
	tree := map[string]*int64{"/t": nil} // the size of a file
	move := func(from, to string) {
		for name, size := range tree {
			if rest, ok := strings.CutPrefix(name, from); ok && (rest == "" || rest[0] == '/') {
				delete(tree, name)
				if to != "" {
					tree[to+rest] = size
				}
			}
		}
	}
	for _, r := range w.rec.h {
		ops[r.Name]++
		switch r.Name {
		case "create", "write":
			if sizes[r.Size] {
				t.Fatalf("size %d comes again", r.Size)
			}
			sizes[r.Size] = true
			if r.Name == "create" {
				tree[r.Path] = new(int64)
			}
			*tree[r.Path] = r.Size
		case "mkdir":
			tree[r.Path] = nil
		case "link":
			tree[r.Path] = tree[r.To]
		case "remove":
			move(r.Path, "")
		case "rename":
			if from, isFile := tree[r.Path], tree[r.Path] != nil; !isFile || from != tree[r.To] {
				move(r.Path, r.To)
			}
		}
	}
	got, want := make(map[string]int64), make(map[string]int64)
	for name, size := range tree {
		if want[name] = -1; size != nil {
			want[name] = *size
		}
	}
	for _, p := range w.places {
		filepath.WalkDir(p.real, func(name string, d fs.DirEntry, err error) error {
			if err == nil {
				info, err := d.Info()
				check.Must(t, err)
				if got[p.target+name[len(p.real):]] = -1; !d.IsDir() {
					got[p.target+name[len(p.real):]] = info.Size()
				}
			}
			return nil
		})
	}
	check.Equal(t, "tree", want, got)
	for _, op := range []string{"create", "write", "touch", "mkdir", "remove", "rename", "link"} {
		if ops[op] < 10 {
			t.Errorf("%d times %s in 3000 steps, want 10 or more", ops[op], op)
		}
	}
}

// What is pinned stays where it is.
func TestPinned(t *testing.T) {
	for _, row := range []struct {
		name         string
		root, others bool // pinned for root, for others
	}{{"/t", true, true}, {"/t/a", true, true}, {"/t/a/b", false, true}, {"/t/ab", false, false}, {"", false, false}} {
		w := writer{pinned: "/t/a", isRoot: true}
		check.Equal(t, row.name+", root", row.root, w.isPinned(row.name))
		w.isRoot = false
		check.Equal(t, row.name+", another user", row.others, w.isPinned(row.name))
	}
}

// A proxy passes on what the plan says, and records the lines that are whole.
func TestProxy(t *testing.T) {
	for _, network := range []string{"tcp", "tls", "http"} {
		t.Run(network, func(t *testing.T) { testProxy(t, network) })
	}
}

func testProxy(t *testing.T, network string) {
	var events []wire.Event
	for i := range 20 {
		size := int64(i)
		events = append(events, wire.Event{Type: wire.Changed, File: "f", Change: wire.Modified, Size: &size, State: fmt.Sprint(i)})
	}
	sent, end := wire.Encode(wire.JSON, events), "}\n"
	if network == "http" {
		head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1000\n\n"
		sent, end = append([]byte(head), wire.Encode(wire.SSE, events)...), "}\n\n"
	}
	secure, err := newSecure(filepath.Join(t.TempDir(), "secure"))
	check.Must(t, err)
	for _, row := range []struct {
		name  string
		plan  plan
		bytes int // that the reader gets
	}{
		{"everything", plan{}, len(sent)},
		{"pieces", plan{name: "split", after: 10, size: 7}, len(sent)},
		{"cut", plan{name: "cut", after: 300, end: true}, 300},
		{"cut at once", plan{name: "cut", end: true}, 0},
		{"stalled", plan{name: "stall", after: 300, stall: 1}, len(sent)},
		{"refused", plan{name: "refuse", end: true}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			check.Must(t, err)
			defer l.Close()
			r := &round{rec: new(recorder), server: &server{number: 1, at: map[string]string{network: l.Addr().String()}}, secure: secure}
			p := &proxy{round: r, network: network}
			if network == "tls" {
				l = tls.NewListener(l, secure.config)
			}
			reader, conn := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.pass(conn, "r", &row.plan)
				conn.Close()
			}()
			if row.plan.name != "refuse" {
				server, err := l.Accept()
				check.Must(t, err)
				server.Write(sent)
				server.(interface{ CloseWrite() error }).CloseWrite()
				defer server.Close()
			}
			got, _ := io.ReadAll(reader)
			<-done
			check.Equal(t, "received", string(sent[:row.bytes]), string(got))
			events, kinds := 0, make(map[proof.Kind]int)
			for _, x := range r.rec.h {
				kinds[x.Kind]++
				if x.Kind == proof.Got {
					events += len(x.Events)
				}
			}
			check.Equal(t, "lines", bytes.Count(sent[:row.bytes], []byte(end)), events)
			joins := 1
			if row.plan.name == "refuse" {
				joins = 0
			}
			check.Equal(t, "joins and leaves", [2]int{joins, joins}, [2]int{kinds[proof.Join], kinds[proof.Leave]})
			check.Equal(t, "errors", 0, len(r.errs))
		})
	}
}

// event returns a change of f in the target t, or u.
func event(at int64, target, state string) wire.Event {
	size := int64(1)
	return wire.Event{Type: wire.Changed, Timestamp: at, File: target + "/f", Target: target, Change: wire.Modified, Size: &size, State: state}
}

// What is recorded as it comes becomes a history: each row is what goes in, in the order of
// records, and what comes out, without Config.
func TestFinish(t *testing.T) {
	line := func(at, time int64, target, state string) proof.Record {
		return proof.Record{T: at, Kind: proof.Publish, Server: 1, Events: []wire.Event{event(time, target, state)}}
	}
	other := line(2, 7, "t", "E")
	other.Events[0].File = "t/g"
	for _, row := range []struct {
		name, want string
		records    proof.History
	}{
		{"one scan is one batch", "serve@1 publish@2(A,E) publish@3(B) publish@3(C) publish@3(D)", proof.History{
			{T: 1, Kind: proof.Serve, Server: 1},
			line(2, 7, "t", "A"), other, line(3, 7, "u", "B"), line(3, 8, "u", "C"), line(3, 8, "t", "D"),
		}},
		{"two scans in one millisecond", "serve@1 publish@2(A) publish@2(B)", proof.History{
			{T: 1, Kind: proof.Serve, Server: 1}, line(2, 7, "t", "A"), line(2, 7, "t", "B"),
		}},
		{"a follower is greeted before the witness", "serve@4 join@4 got@4()", proof.History{
			{T: 2, Kind: proof.Join, Server: 1, Conn: 1}, {T: 4, Kind: proof.Got, Conn: 1}, {T: 5, Kind: proof.Serve, Server: 1},
		}},
		{"a connection that its reader has left", "serve@1 join@2 join@3", proof.History{
			{T: 1, Kind: proof.Serve, Server: 1}, {T: 2, Kind: proof.Join, Server: 1, Conn: 1}, {T: 3, Kind: proof.Join, Server: 1, Conn: 2},
			{T: 4, Kind: proof.Got, Conn: 1, Events: []wire.Event{event(7, "t", "A")}},
		}},
		{"a connection that ended before", "serve@5", proof.History{
			{T: 2, Kind: proof.Join, Server: 1, Conn: 1}, {T: 3, Kind: proof.Leave, Conn: 1}, {T: 5, Kind: proof.Serve, Server: 1},
		}},
		{"a server that never served", "", proof.History{
			{T: 2, Kind: proof.Join, Server: 1, Conn: 1}, {T: 3, Kind: proof.Leave, Conn: 1}, {T: 3, Kind: proof.End, Server: 1},
		}},
		{"lines that come after the end was asked for", "serve@1 publish@4(A) end@4", proof.History{
			{T: 1, Kind: proof.Serve, Server: 1}, line(6, 7, "t", "A"), {T: 4, Kind: proof.End, Server: 1},
		}},
		{"lines that the witness did not get", "serve@1 join@2 publish@3(A) publish@4(B) end@4 got@5(A,B)", proof.History{
			{T: 1, Kind: proof.Serve, Server: 1}, {T: 2, Kind: proof.Join, Server: 1, Conn: 1}, line(3, 7, "t", "A"),
			{T: 5, Kind: proof.Got, Conn: 1, Events: []wire.Event{event(7, "t", "A"), event(8, "t", "B")}}, {T: 4, Kind: proof.End, Server: 1},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := finish(append(proof.History{{Kind: proof.Config, Targets: []string{"t", "u"}}}, row.records...))
			var got []string
			for _, r := range h[1:] {
				s := fmt.Sprintf("%s@%d", r.Kind, r.T)
				if r.Kind == proof.Publish || r.Kind == proof.Got {
					var states []string
					for _, e := range r.Events {
						states = append(states, e.State)
					}
					s += "(" + strings.Join(states, ",") + ")"
				}
				got = append(got, s)
			}
			check.Equal(t, "history", row.want, strings.Join(got, " "))
		})
	}
}
