package proof

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"net-watcher/internal/wire"
)

// Kind is what a Record is about. The comments name the fields that it has beside T.
type Kind string

const (
	Config Kind = "config" // the first one: Interval, Scan, Targets, Content, Only, Ignore

	// Serve: Server has scanned for the first time, since T-Took; Events are its Watching
	// events. With Once it is to end by itself; by the end of COMMAND if Name is "command".
	// Initial is as with Options.
	// Publish: it has published the batch Events. A server that is killed may have sent
	// more than a witness got: whoever records adds what any reader got.
	// End: Server, or the client Reader, has ended; Name says how, "stopped" or "killed", or
	// "once" because of -once, which Serve then has, or "scanned" because of -scan, with the
	// exit status Value, or "failed" instead, with -once. A server scans no more from T-Took on.
	Serve   Kind = "serve"
	Publish Kind = "publish"
	End     Kind = "end"

	// Join: Reader is about to connect to Server as Conn, a number that is unique in the
	// run. It stands before the server can accept. One in the server's process has the Name
	// "local", and joins before anything is published. Got: it received the lines Events, as
	// many as came at a time. Leave: the connection has ended, because of Name.
	// A client that was started again is another Reader.
	Join  Kind = "join"
	Got   Kind = "got"
	Leave Kind = "leave"

	// Handled: the client Reader has handed on Events, to stdout, or to COMMAND if Name is
	// "command". One who cannot see the latter records one without Events, which says that
	// there is a COMMAND.
	Handled Kind = "handled"
	Run     Kind = "run" // COMMAND of Reader has begun, with Events as its input

	// Ran: it has ended, with the exit status Value; Name is "killed" if it was told to end,
	// at T-Took. With the Name "not started" it could not be started, and none has ended.
	Ran Kind = "ran"

	// Options: the client Reader, which is about to begin, has Only, Ignore, Settle, Restart,
	// Initial: what is there at the start counts as changed, Ask: it asks for a scan, and ends
	// when that is done, Once: it ends with its first connection. Of one without this record
	// it is not known when COMMAND is to run.
	Options Kind = "options"

	// Op: the file system has changed: Name, Path, To, Size, as on tree.apply. It began at
	// T-Took and was visible at T. A size never comes again in a run. No target is, or is
	// below, a symbolic link, and none leads in circles.
	Op Kind = "op"

	// Fault: from here on calls about Path, and about what is below it, fail with Error
	// (Name is "fail"), hang ("hang"), take long ("slow") or tell nothing ("inconclusive",
	// with Error). Permissions fail of a directory or a target, and only these hang: of an
	// entry there need not be a call. Path "" is the whole process, which then may be late
	// with anything ("stop"). With Reader, the connection of that one is disturbed.
	// Heal: the fault of this Name, Path and Reader has ended, between T-Took and T; calls
	// of before may be late for Value ms more.
	Fault Kind = "fault"
	Heal  Kind = "heal"

	Calm  Kind = "calm"  // nothing changes or fails any more
	Fresh Kind = "fresh" // Events are the Watching events of a server that was started after Calm

	Usage Kind = "usage" // Name (memory, ...) is at Value, and may be at Limit
	Delay Kind = "delay" // Name (a subscriber, a scan) was late by Value ms, while Cause was disturbed
	Left  Kind = "left"  // Name (socket, process, ...) at Path was left behind, or is not ours and was removed
)

// Record is something that has happened in a run. Unused fields are zero.
type Record struct {
	T    int64 `json:"t"` // ms since the run began
	Kind Kind  `json:"kind"`

	Interval int64    `json:"interval,omitzero"` // ms between scans
	Scan     int64    `json:"scan,omitzero"`     // ms that a scan may take where nothing is slow
	Targets  []string `json:"targets,omitzero"`
	Content  bool     `json:"content,omitzero"`
	Only     []string `json:"only,omitzero"` // patterns that choose
	Ignore   []string `json:"ignore,omitzero"`
	Settle   int64    `json:"settle,omitzero"` // ms
	Restart  bool     `json:"restart,omitzero"`
	Once     bool     `json:"once,omitzero"`
	Initial  bool     `json:"initial,omitzero"`
	Ask      bool     `json:"ask,omitzero"`

	Server int    `json:"server,omitzero"` // from 1 on
	Reader string `json:"reader,omitzero"`
	Conn   int    `json:"conn,omitzero"`

	Name  string `json:"name,omitzero"`
	Path  string `json:"path,omitzero"` // with slashes, none at the end; targets are such paths
	To    string `json:"to,omitzero"`
	Size  int64  `json:"size,omitzero"`
	Took  int64  `json:"took,omitzero"` // ms
	Error string `json:"error,omitzero"`
	Cause string `json:"cause,omitzero"`
	Value int64  `json:"value,omitzero"`
	Limit int64  `json:"limit,omitzero"`

	Events []wire.Event `json:"events,omitzero"`
}

// History is the records of a run, in the order of T.
type History []Record

// Write writes h as JSON lines.
func (h History) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	for i := range h {
		if err := enc.Encode(&h[i]); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	return nil
}

// Read reads what Write has written. With an error, it returns the records before it.
func Read(r io.Reader) (History, error) {
	var h History
	dec := json.NewDecoder(r)
	for {
		var record Record
		switch err := dec.Decode(&record); {
		case err == io.EOF:
			return h, nil
		case err != nil:
			return h, fmt.Errorf("record %d: %w", len(h), err)
		}
		h = append(h, record)
	}
}

// DecodeLine returns a line that a reader got, maybe of an event stream, as an event. That
// of a line of text has no State and no Target. A name with ": " or " (" in it cannot be told from what follows.
func DecodeLine(line []byte) (wire.Event, error) {
	text := strings.TrimPrefix(strings.TrimRight(string(line), "\r\n"), "data: ")
	if strings.HasPrefix(text, "{") {
		return wire.Decode([]byte(text))
	}
	head, rest, _ := strings.Cut(text, " ")
	word, rest, _ := strings.Cut(rest, " ")
	at, err := time.Parse(wire.TimeLayout, head)
	if err != nil || rest == "" {
		return wire.Event{}, fmt.Errorf("no line of an event: %q", text)
	}
	e := wire.Event{Type: wire.Changed, Timestamp: at.UnixMilli(), Change: wire.Change(word)}
	separator := ": "
	if word == string(wire.Watching) {
		e.Type, e.Change, separator = wire.Watching, "", " ("
	}
	name, err := strconv.QuotedPrefix(rest)
	if err != nil {
		name, _, _ = strings.Cut(rest, separator)
	}
	e.File, e.Error = unquote(name), strings.TrimPrefix(rest[len(name):], separator)
	if e.Type == wire.Watching {
		if why, ok := strings.CutPrefix(e.Error, "unreadable: "); ok {
			e.Error = strings.TrimSuffix(why, ")")
		} else {
			e.Missing, e.Error = e.Error == "not there)", ""
		}
	}
	e.Error = unquote(e.Error)
	return e, nil
}

// unquote returns what Printable made s of.
func unquote(s string) string {
	if plain, err := strconv.Unquote(s); err == nil && s[0] == '"' {
		return plain
	}
	return s
}

// first returns the index of the first record of the kind, or -1.
func (h History) first(k Kind) int {
	return slices.IndexFunc(h, func(r Record) bool { return r.Kind == k })
}

// form checks that h is one that can be judged.
func (h History) form() (found []Violation) {
	if h.first(Config) != 0 {
		return []Violation{violation(Formed, 0, "the first record is not config")}
	}
	servers, conns := make(map[int]bool), make(map[int]bool)
	calm, deadline := h.first(Calm), h.deadline()
	for i, r := range h {
		wrong, isCalm := "", calm >= 0 && i > calm
		switch {
		case i > 0 && (r.Kind == Config || r.T < h[i-1].T):
			wrong = "is a second config, or before the last record"
		case (r.Kind == Publish || r.Kind == Join || r.Kind == End && r.Reader == "") && !servers[r.Server]:
			wrong = "is of a server that does not serve"
		case (r.Kind == Got || r.Kind == Leave) && !conns[r.Conn]:
			wrong = "is of a connection that does not exist"
		case r.Kind == Op && !slices.Contains(ops, r.Name):
			wrong = "is no operation"
		case (r.Kind == Op || r.Kind == Fault) && isCalm || r.Kind == Fresh && r.T < deadline:
			wrong = "is not calm"
		}
		if wrong != "" {
			found = append(found, violation(Formed, i, "%s %s", r.Kind, wrong))
		}
		servers[r.Server] = r.Kind == Serve || servers[r.Server] && r.Kind != End
		conns[r.Conn] = r.Kind == Join || conns[r.Conn] && r.Kind != Leave
	}
	return found
}
