package main

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"net-watcher/internal/faults"
	"net-watcher/internal/proof"
	"net-watcher/internal/wire"
)

// recorder notes what happens in a chain.
type recorder struct {
	begin time.Time

	mu      sync.Mutex // guards the fields below, and those of all ends
	history proof.History
	server  int          // the number of the one that connections are to; 0 while there is none
	serving bool         // it accepts them
	waiting []*readerEnd // that have connected before that
	conns   int
	locals  []*readerEnd // in the process of the server

	late  time.Duration // with which new connections are late
	lates []*readerEnd  // that are
}

// add adds a record, with the time.
func (r *recorder) add(record proof.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(record)
}

func (r *recorder) addLocked(record proof.Record) {
	record.T = time.Since(r.begin).Milliseconds()
	record.Events = slices.Clone(record.Events)
	r.history = append(r.history, record)
}

// listen notes that connections are to this server from now on.
func (r *recorder) listen(server int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = server
}

// serve notes the Serve of a server that is about to accept, and those who wait for that.
func (r *recorder) serve(serve proof.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(serve)
	r.serving = true
	for _, e := range r.waiting {
		e.joinLocked()
	}
	r.waiting = nil
}

// publish notes a batch, unless its server was killed.
func (r *recorder) publish(server int, events []wire.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serving && r.server == server {
		r.addLocked(proof.Record{Kind: proof.Publish, Server: server, Events: events})
	}
}

// end notes the end of a server, once, which has taken so long.
func (r *recorder) end(server int, how string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server != server {
		return
	}
	if r.serving {
		r.addLocked(proof.Record{Kind: proof.End, Server: server, Name: how, Took: took.Milliseconds()})
	}
	for _, e := range r.locals { // they go with it
		e.leaveLocked(how)
		if how == "killed" {
			r.addLocked(proof.Record{Kind: proof.End, Reader: e.reader, Name: how})
		}
	}
	r.server, r.serving, r.waiting, r.locals = 0, false, nil, nil
}

// dialing is the key of a readerEnd in the context of Dial.
type dialing struct{}

// dialed notes a new connection, for a Network.
func (r *recorder) dialed(ctx context.Context, link *faults.Link) {
	e, isReader := ctx.Value(dialing{}).(*readerEnd)
	if !isReader {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns++
	e.id, e.link = r.conns, link
	if r.late > 0 {
		r.lates = append(r.lates, e)
		e.delay(r.late)
		r.addLocked(proof.Record{Kind: proof.Fault, Name: "late", Reader: e.reader})
	}
	if r.serving {
		e.joinLocked()
	} else {
		r.waiting = append(r.waiting, e)
	}
}

// setLate makes new connections late by some time, and those no longer that were. It returns
// by how much those were late at most: what is on its way arrives by then.
func (r *recorder) setLate(late time.Duration) (before time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.lates {
		e.delay(0)
		r.addLocked(proof.Record{Kind: proof.Heal, Name: "late", Reader: e.reader, Value: r.late.Milliseconds()})
	}
	before, r.late, r.lates = r.late, late, nil
	return before
}

// dialLocal connects a reader in the process of the server to that.
func (r *recorder) dialLocal(ctx context.Context, reader string, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	e := newReaderEnd(r, reader)
	e.local = true
	r.mu.Lock()
	if !r.serving {
		r.mu.Unlock()
		return nil, net.ErrClosed
	}
	r.conns++
	e.id = r.conns
	e.joinLocked()
	r.locals = append(r.locals, e)
	r.mu.Unlock()
	var err error
	if e.Conn, err = dial(ctx); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		e.leaveLocked(err.Error())
		return nil, err
	}
	return e, nil
}

// readerEnd is a reader's end of a connection, which records what is read.
type readerEnd struct {
	net.Conn              // is set by its reader alone
	sock     *faults.Conn // the same, or what is below its TLS
	record   *recorder
	reader   string
	link     *faults.Link
	lines    func(b []byte) ([]string, error) // those that are complete with b
	id       int
	shaking  bool // it needs a TLS handshake while Conn is sock
	local    bool // in the process of the server
	joined   bool // the server may accept it
	left     bool

	reading, closed bool // by its reader
}

func newReaderEnd(record *recorder, reader string) *readerEnd {
	return &readerEnd{record: record, reader: reader, lines: new(proof.Plain).Lines}
}

// delay makes late what passes either way from now on.
func (e *readerEnd) delay(by time.Duration) {
	e.link.ToServer.Delay(by)
	e.link.ToClient.Delay(by)
}

func (e *readerEnd) joinLocked() {
	if !e.left {
		e.joined = true
		join := proof.Record{Kind: proof.Join, Reader: e.reader, Server: e.record.server, Conn: e.id}
		if e.local {
			join.Name = "local"
		}
		e.record.addLocked(join)
	}
}

// Read records the lines that are complete, and the end.
func (e *readerEnd) Read(b []byte) (int, error) {
	e.record.mu.Lock()
	e.reading = true
	e.record.mu.Unlock()
	n, err := e.Conn.Read(b)
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	e.reading = false
	e.gotLocked(b[:n])
	switch {
	case err != nil && !isTimeout(err):
		e.leaveLocked(err.Error())
	case e.closed:
		e.leaveLocked("closed")
	}
	return n, err
}

func (e *readerEnd) gotLocked(b []byte) {
	if e.left {
		return
	}
	lines, err := e.lines(b)
	var events []wire.Event
	for _, line := range lines {
		event, err := proof.DecodeLine([]byte(line))
		if err != nil {
			event = nonsense(line)
		}
		events = append(events, event)
	}
	if err != nil {
		events = append(events, nonsense(err.Error()))
	}
	if len(events) > 0 {
		e.record.addLocked(proof.Record{Kind: proof.Got, Reader: e.reader, Conn: e.id, Events: events})
	}
}

// nonsense returns what is recorded of what no server sends.
func nonsense(text string) wire.Event {
	return wire.Event{Type: wire.Changed, File: text, Change: "nonsense"}
}

// over has the reader send and receive by conn from now on.
func (e *readerEnd) over(conn net.Conn) {
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	e.Conn = conn
}

// outer returns the connection by which the reader sends and receives.
func (e *readerEnd) outer() net.Conn {
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	return e.Conn
}

// say sends something, or as much of it as can be sent at once; over TLS all or nothing,
// and nothing before the handshake is done.
func (e *readerEnd) say(word string) {
	conn := e.outer()
	switch {
	case conn == e.sock && e.shaking:
	case conn == e.sock:
		e.sock.WriteNow([]byte(word))
	case e.link.ToServer.Room() >= len(word)+100: // TLS adds less than 100 bytes
		io.WriteString(conn, word)
	}
}

// Close records the end, unless a Read is under way, which does.
func (e *readerEnd) Close() error {
	err := e.outer().Close()
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	e.closed = true
	if !e.reading {
		e.leaveLocked("closed")
	}
	return err
}

// leaveLocked notes the end of the connection, once.
func (e *readerEnd) leaveLocked(why string) {
	if e.joined && !e.left {
		e.record.addLocked(proof.Record{Kind: proof.Leave, Reader: e.reader, Conn: e.id, Name: why})
	}
	e.left = true
}

// hasLeft reports whether the connection has ended for its reader.
func (e *readerEnd) hasLeft() bool {
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	return e.left
}
