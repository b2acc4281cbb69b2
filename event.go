package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Type says which of the two kinds of line an Event is. There will be no
// third: programs written for older line-delimited JSON watchers fail on one.
type Type string

const (
	// Watching describes a target as it is. A subscriber gets one per target
	// when it connects and whenever it changes format.
	Watching Type = "watching"

	// Changed says that something differs from the look before.
	Changed Type = "changed"
)

// Change says what a look found different from the look before it.
type Change string

const (
	// Created: it was not there, and now it is. What is written to it after
	// that look is Modified.
	Created Change = "created"

	// Modified: mtime or size differ. The content may be the same all the
	// same (touch), and several writes between two looks are one Modified.
	Modified Change = "modified"

	// Removed: it is not there any more. The target stays watched, so Created
	// may follow. An unmounted file system looks just like this.
	Removed Change = "removed"

	// Unreadable: it cannot be looked at, and Error says why. It is not known
	// whether it is still there; Readable, Modified, Created or Removed tells
	// once that can be seen again.
	Unreadable Change = "unreadable"

	// Readable: it can be looked at again and is as it was last known, or was
	// never known before.
	Readable Change = "readable"

	// Missed: something happened below this target that was not told one by
	// one. Size, Mtime and State are the present ones; look again.
	Missed Change = "missed"
)

// protocol is the number of the wire format that Watching lines carry.
const protocol = 1

// Event is one line of the wire, and the one thing that the watching and the
// serving side have in common. Its JSON form is that of the wire, field by
// field and in this order; docs/protocol.md has the whole of it.
type Event struct {
	Type Type `json:"type,omitzero"`

	// Timestamp is when the poll saw it, in milliseconds since 1970. On
	// Watching it is when the line was made, and is not on the JSON wire.
	Timestamp int64 `json:"timestamp,omitzero"`

	File   string `json:"file,omitzero"`   // what it is about
	Name   string `json:"-"`               // what a client calls that if a server leaves File out
	Target string `json:"target,omitzero"` // the target it was found under, where that is not File
	Change Change `json:"change,omitzero"` // on Changed

	Protocol int   `json:"protocol,omitzero"` // on Watching: protocol
	Interval int64 `json:"interval,omitzero"` // on Watching: milliseconds between looks
	Targets  int   `json:"targets,omitzero"`  // on Watching: lines in this greeting

	Missing bool   `json:"missing,omitzero"` // on Watching: the target is not there
	Error   string `json:"error,omitzero"`   // why it cannot be looked at

	Size  *int64    `json:"size,omitzero"`  // bytes, of what is there now; nil if nothing is
	Mtime time.Time `json:"mtime,omitzero"` // of what is there now, UTC

	// State is an opaque tag of everything seen below the target once this
	// line and all before it are applied: equal tags, nothing differs.
	State string `json:"state,omitzero"`
}

// apply makes w, which describes a target, describe it after the change e.
func (w *Event) apply(e *Event) {
	w.State = e.State
	if e.Target == "" { // of the target itself
		w.Missing = e.Change == Removed
		w.Error, w.Size, w.Mtime = e.Error, e.Size, e.Mtime
	}
}

// missed returns the event which says that something happened to the target w
// that was not told, the last of it at the time given in milliseconds.
func (w *Event) missed(timestamp int64) Event {
	return Event{
		Type: Changed, Timestamp: timestamp, File: w.File, Name: w.Name, Change: Missed,
		Size: w.Size, Mtime: w.Mtime, State: w.State,
	}
}

// format is a way to say an Event.
type format int

const (
	textLines format = iota // for people, not to be parsed
	jsonLines               // for programs
	formats                 // how many there are
)

// parseFormat returns the format that a word of the command line or of a
// subscriber stands for, and whether there is one.
func parseFormat(word string) (format, bool) {
	switch word {
	case "text":
		return textLines, true
	case "json":
		return jsonLines, true
	}
	return 0, false
}

// encode returns the events as lines in format f, each ended by LF.
func encode(f format, events []Event) []byte {
	if f == jsonLines {
		return encodeJSON(events)
	}
	var b []byte
	for i := range events {
		e := &events[i]
		b = time.UnixMilli(e.Timestamp).AppendFormat(b, textTime)
		b = fmt.Appendf(b, " %s\n", e)
	}
	return b
}

// textTime is how a text line says when: local time with its offset, and
// always 29 bytes.
const textTime = "2006-01-02T15:04:05.000-07:00"

// String returns e as it stands in a line of text, without the time.
func (e *Event) String() string {
	s := printable(cmp.Or(string(e.Change), string(e.Type))) + " " + printable(cmp.Or(e.File, e.Name))
	switch {
	case e.Type == Watching && e.Error != "":
		s += " (unreadable: " + printable(e.Error) + ")"
	case e.Error != "":
		s += ": " + printable(e.Error)
	case e.Missing:
		s += " (not there)"
	}
	return s
}

// printable returns s as a line of text may show it: plain where that cannot
// mislead, else quoted as in Go.
func printable(s string) string {
	plain := utf8.ValidString(s) && strings.Trim(s, " ") == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '"' || !strconv.IsPrint(r) })
	if plain {
		return s
	}
	return strconv.Quote(s)
}

func encodeJSON(events []Event) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for _, e := range events {
		if e.Type == Watching {
			e.Timestamp = 0
		}
		e.Mtime = e.Mtime.UTC()
		if y := e.Mtime.Year(); y < 0 || y > 9999 {
			e.Mtime = time.Time{} // RFC 3339 cannot say it
		}
		if err := enc.Encode(e); err != nil {
			panic(err) // the year was the only thing that could fail
		}
	}
	return escapeUnprintable(buf.Bytes())
}

// escapeUnprintable rewrites every character of the JSON lines b that a
// terminal might act on (DEL, C1 controls, bidirectional marks, ...) as
// \uXXXX. encoding/json does so for those below a space only.
func escapeUnprintable(b []byte) []byte {
	risky := func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }
	if !bytes.ContainsFunc(b, risky) {
		return b
	}
	var out []byte
	for _, r := range string(b) {
		if !risky(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) { // RFC 8259, section 7
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

// decode reads one JSON line, with or without its line end. Fields and types
// that it does not know are no error, nor are fields that are not of the type
// that is known; what the line leaves out is zero.
func decode(line []byte) (Event, error) {
	var e Event
	err := json.Unmarshal(line, &e)
	if err != nil && !(json.Valid(line) && bytes.HasPrefix(bytes.TrimSpace(line), []byte("{"))) {
		return Event{}, fmt.Errorf("not a line of events: %w", err)
	}
	return e, nil
}
