// Package wire is what goes over a socket: the Event, its two encodings, and the
// words that a subscriber may send.
//
// An Event is all that the scanning and the serving side, and server and client,
// have in common. docs/protocol.md is the reference for subscribers; the doc
// comments here say the same to programmers.
//
// Everything in this package is a value or a pure function, and may be used from
// any goroutine.
package wire

import (
	"cmp"
	"fmt"
	"time"
)

// Type is the kind of a line. There will be no third: programs written for older
// line-delimited JSON watchers fail on one.
type Type string

const (
	// Watching describes a target as it is. A subscriber gets one for each target
	// when it connects and whenever it changes format: the greeting.
	Watching Type = "watching"

	// Changed reports a difference from the scan before.
	Changed Type = "changed"
)

// Change is the difference between two scans of one path.
type Change string

const (
	// Created: the path did not exist and now does. Later writes are Modified.
	// Removed, Modified or Unreadable may follow.
	Created Change = "created"

	// Modified: mtime or size differ; with -content, size or contents. Without, the
	// contents may be the same (touch). Several writes between two scans are one
	// Modified.
	Modified Change = "modified"

	// Removed: the path no longer exists. The target is still watched, so Created
	// may follow. An unmounted file system looks the same.
	Removed Change = "removed"

	// Unreadable: the path cannot be examined; Error has the reason. Whether it
	// still exists is unknown until Readable, Modified, Created or Removed follows.
	Unreadable Change = "unreadable"

	// Readable: the path can be examined again and is as last known, or was never
	// known before.
	Readable Change = "readable"

	// Missed: changes of this target were not sent one by one. Size, Mtime and
	// State are the present ones. Anything below the target may have changed.
	Missed Change = "missed"
)

// Protocol is the version of the wire format; Watching lines carry it. It grows
// only if a subscriber written for an earlier one would go wrong.
const Protocol = 1

// Event is one line of the wire. Its JSON form is that of the wire, field by
// field and in this order; names that are not UTF-8 have further fields at the end.
type Event struct {
	Type Type `json:"type,omitzero"`

	// Timestamp is when the scan was collected, in milliseconds since 1970. On Watching
	// it is the time of the greeting, which only the text form has.
	Timestamp int64 `json:"timestamp,omitzero"`

	// File and Target have the bytes of the file system, which may not be UTF-8.
	File   string `json:"file,omitzero"`   // the path that the event is about
	Target string `json:"target,omitzero"` // the target above File; "" if File is the target
	Change Change `json:"change,omitzero"` // on Changed

	Protocol int   `json:"protocol,omitzero"` // on Watching: the constant Protocol
	Interval int64 `json:"interval,omitzero"` // on Watching: milliseconds between scans
	Targets  int   `json:"targets,omitzero"`  // on Watching: lines in this greeting

	Missing bool   `json:"missing,omitzero"` // on Watching: the target does not exist
	Error   string `json:"error,omitzero"`   // on Unreadable and Watching: why File cannot be examined

	// Unreadable is how many things below the target cannot be examined. Only Watching
	// lines have it.
	Unreadable int `json:"unreadable,omitzero"`

	Size  *int64    `json:"size,omitzero"`  // bytes, at the time of the scan; nil if File is no readable file
	Mtime time.Time `json:"mtime,omitzero"` // at the time of the scan; UTC in JSON

	// State is an opaque tag of the target and everything known below it after this
	// event and all before it. Equal tags mean that nothing differs.
	State string `json:"state,omitzero"`
}

// TargetName returns the name of the target that e belongs to.
func (e *Event) TargetName() string { return cmp.Or(e.Target, e.File) }

// Apply makes w, a Watching event, describe its target as it is after the change
// e, which belongs to the same target.
func (w *Event) Apply(e *Event) {
	w.State, w.Unreadable = e.State, e.Unreadable
	if e.Target == "" { // e is about the target itself
		w.Missing = e.Change == Removed
		w.Error, w.Size, w.Mtime = e.Error, e.Size, e.Mtime
	}
}

// AsMissed returns the Missed event for the target that w, a Watching event,
// describes. The timestamp, in milliseconds since 1970, is that of the last
// change that it stands for.
func (w *Event) AsMissed(timestamp int64) Event {
	return Event{
		Type: Changed, Timestamp: timestamp, File: w.File, Change: Missed,
		Size: w.Size, Mtime: w.Mtime, State: w.State,
	}
}

// String returns e as in a line of text, without the time.
func (e *Event) String() string {
	s := Printable(cmp.Or(string(e.Change), string(e.Type)))
	if e.File != "" { // which only servers of another kind leave out
		s += " " + Printable(e.File)
	}
	switch {
	case e.Type == Watching && e.Error != "":
		s += " (unreadable: " + Printable(e.Error) + ")"
	case e.Error != "":
		s += ": " + Printable(e.Error)
	case e.Missing:
		s += " (not there)"
	case e.Type == Watching && e.Unreadable > 0:
		s += fmt.Sprintf(" (%d unreadable below it)", e.Unreadable)
	}
	return s
}
