package wire

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

// Format is an encoding of events as lines. It indexes arrays of NumFormats
// elements.
type Format int

const (
	Text       Format = iota // for people; programs must not parse it
	JSON                     // for programs
	SSE                      // server-sent events, each a JSON line; no word asks for it
	NumFormats               // the number of formats
)

// Scan is the word by which a subscriber asks for a scan at once.
const Scan = "scan"

// ParseFormat returns the Format named by a word of the command line or of a
// subscriber, and false if the word names none.
func ParseFormat(word string) (Format, bool) {
	switch word {
	case "text":
		return Text, true
	case "json":
		return JSON, true
	}
	return 0, false
}

// Comment is what an SSE stream has now and then, so that nobody takes it for dead. It
// is no event.
const Comment = ":\n\n"

// End returns what ends an event in format f.
func (f Format) End() string {
	if f == SSE {
		return "\n\n"
	}
	return "\n"
}

// Encode returns the events in format f: as lines, each ended by LF, or as SSE.
func Encode(f Format, events []Event) []byte {
	switch f {
	case JSON:
		return encodeJSON(events)
	case SSE:
		var b []byte
		for line := range bytes.Lines(encodeJSON(events)) {
			b = append(append(append(b, "data: "...), line...), '\n')
		}
		return b
	}
	var b []byte
	for i := range events {
		e := &events[i]
		b = time.UnixMilli(e.Timestamp).AppendFormat(b, TimeLayout)
		b = fmt.Appendf(b, " %s\n", e)
	}
	return b
}

// TimeLayout is the time at the beginning of a text line: local time with its
// offset from UTC, always 29 bytes.
const TimeLayout = "2006-01-02T15:04:05.000-07:00"

// Printable returns s as a text line or a message shows it: unchanged if that
// cannot mislead, else quoted as in Go.
func Printable(s string) string {
	plain := utf8.ValidString(s) && strings.Trim(s, " ") == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '"' || !strconv.IsPrint(r) })
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// line is the JSON form of an Event. It embeds that because package json takes only the
// fields of embedded structs for fields of the line.
type line struct {
	Event

	// The bytes of File and Target, if these are not UTF-8: JSON has no other way to
	// say them. (The names are after the model of Borg's JSON.)
	FileBytes   []byte `json:"file_b64,omitzero"`
	TargetBytes []byte `json:"target_b64,omitzero"`
}

// bytesOf returns name if JSON cannot say it, or nil.
func bytesOf(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

func encodeJSON(events []Event) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for _, e := range events {
		if e.Type == Watching {
			e.Timestamp = 0
		} else {
			e.Unreadable = 0
		}
		e.Mtime = e.Mtime.UTC()
		if y := e.Mtime.Year(); y < 0 || y > 9999 {
			e.Mtime = time.Time{} // RFC 3339 has four digits for the year
		}
		if err := enc.Encode(line{e, bytesOf(e.File), bytesOf(e.Target)}); err != nil {
			panic(err) // only the year could fail
		}
	}
	return escapeUnprintable(buf.Bytes())
}

// escapeUnprintable rewrites every character of the JSON lines b that could act
// on a terminal (such as DEL, C1 controls and bidirectional marks) as \uXXXX.
// encoding/json does so only for those below a space.
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

// Decode reads one JSON line, with or without its line end. It ignores fields
// that it does not know, and fields with another type than the known one; absent
// fields are zero. The error says that the line is no JSON object.
func Decode(b []byte) (Event, error) {
	var l struct {
		line
		Mtime anyTime `json:"mtime"` // of the two with this name, the one that counts
	}
	err := json.Unmarshal(b, &l)
	if err != nil && !(json.Valid(b) && bytes.HasPrefix(bytes.TrimSpace(b), []byte("{"))) {
		return Event{}, fmt.Errorf("not a JSON line: %w", err)
	}
	l.File = cmp.Or(string(l.FileBytes), l.File)
	l.Target = cmp.Or(string(l.TargetBytes), l.Target)
	l.Event.Mtime = l.Mtime.Time
	return l.Event, nil
}

// anyTime is a time that is zero if JSON has anything else in its place, as Node's numbers.
// Package json ends with the first error of an Unmarshaler, and would leave out all fields
// that come later.
type anyTime struct{ time.Time }

func (t *anyTime) UnmarshalJSON(b []byte) error {
	if t.Time.UnmarshalJSON(b) != nil {
		t.Time = time.Time{}
	}
	return nil
}
