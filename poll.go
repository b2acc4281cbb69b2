package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"
)

// A look is what one os.Stat told of one file.
type look struct {
	known presence
	size  int64     // bytes; of something present
	mtime time.Time // of something present

	// why says why it could not be looked at. If it is not empty, the fields
	// above are those of the last look that did succeed.
	why string
}

// presence is what is known of whether a file is there.
type presence int

const (
	unknown presence = iota // it could never be looked at
	absent
	present
)

// isDirectory is why a directory cannot be looked at as a file.
const isDirectory = "is a directory"

// newLook turns what os.Stat returned into a look. It returns false if that
// tells nothing, so that the look must be repeated.
func newLook(info fs.FileInfo, err error) (look, bool) {
	switch {
	case err == nil && info.IsDir():
		return look{why: isDirectory}, true
	case err == nil:
		return look{known: present, size: info.Size(), mtime: info.ModTime()}, true
	case isNotThere(err):
		return look{known: absent}, true
	case isOutOfFiles(err):
		return look{}, false
	}
	// An error without words would read as no error.
	return look{why: cmp.Or(cause(err).Error(), "unknown error")}, true
}

// compare returns how is differs from was, "" for not at all, and what to
// compare the next look with.
func compare(was, is look) (Change, look) {
	switch {
	case is.why != "":
		if was.why != "" {
			return "", was
		}
		is.known, is.size, is.mtime = was.known, was.size, was.mtime
		return Unreadable, is
	case is.known == absent:
		if was.known == absent && was.why == "" {
			return "", is
		}
		return Removed, is
	case was.known == absent:
		return Created, is
	case was.known == present && (is.size != was.size || !is.mtime.Equal(was.mtime)):
		return Modified, is
	case was.why != "":
		return Readable, is
	}
	return "", is
}

// tag returns what the look l at name, a path below the target, adds to the
// tag of the target. Tags outlive the process and are compared across
// machines, so this may never change: the first 8 bytes, big endian, of the
// SHA-256 of the fields below. A plain sum of them keeps its worth only with a
// hash whose every bit depends on every bit of the input.
func (l look) tag(name string) uint64 {
	if l.known == absent && l.why == "" {
		return 0
	}
	var b []byte
	if l.why != "" {
		b = append(b, "unreadable "...)
	} else {
		b = append(b, "present "...)
		b = binary.BigEndian.AppendUint64(b, uint64(l.size))
		b = binary.BigEndian.AppendUint64(b, uint64(l.mtime.Unix()))
		b = binary.BigEndian.AppendUint32(b, uint32(l.mtime.Nanosecond()))
	}
	b = append(b, name...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// describe fills in the fields of e that say what l found.
func (l look) describe(e *Event) {
	switch {
	case l.why != "":
		e.Error = l.why
	case l.known == present:
		e.Size, e.Mtime = &l.size, l.mtime
	}
}

// target is one FILE of the command line.
type target struct {
	name string // as given
	last look   // what the next look is compared with
}

// state returns the target's tag in the form of the wire.
func (t *target) state() string {
	return fmt.Sprintf("%016x", t.last.tag(""))
}

// poll watches targets by looking at them again and again. It is not for
// concurrent use.
type poll struct {
	interval time.Duration
	stat     func(string) (fs.FileInfo, error)
	targets  []target
}

// newPoll returns a poll of the named files, whose looks are interval apart.
func newPoll(names []string, interval time.Duration) *poll {
	p := &poll{interval: interval, stat: os.Stat}
	for _, name := range names {
		p.targets = append(p.targets, target{name: name})
	}
	return p
}

// start takes the first look, which everything later is compared with, and
// returns one Watching event per target. It fails if a target is a directory.
func (p *poll) start() ([]Event, error) {
	var events []Event
	for i := range p.targets {
		t := &p.targets[i]
		l, ok := newLook(p.stat(t.name))
		switch {
		case !ok:
			return nil, fmt.Errorf("look at %q: too many open files", t.name)
		case l.why == isDirectory:
			return nil, fmt.Errorf("watch %q: it is a directory (name the files in it)", t.name)
		}
		t.last = l
		e := Event{
			Type:     Watching,
			File:     t.name,
			Protocol: protocol,
			Interval: p.interval.Milliseconds(),
			Targets:  len(p.targets),
			Missing:  l.why == "" && l.known == absent,
			State:    t.state(),
		}
		l.describe(&e)
		events = append(events, e)
	}
	return events, nil
}

// look looks at every target once and returns what changed since the look
// before, without timestamps.
func (p *poll) look() []Event {
	var events []Event
	for i := range p.targets {
		t := &p.targets[i]
		l, ok := newLook(p.stat(t.name))
		if !ok {
			continue // to be repeated, at the next tick
		}
		var change Change
		if change, t.last = compare(t.last, l); change == "" {
			continue
		}
		e := Event{Type: Changed, File: t.name, Change: change, State: t.state()}
		t.last.describe(&e)
		events = append(events, e)
	}
	return events
}

// changes looks at every target once an interval, until ctx is done, and
// yields what each look finds changed, if anything. A look that is late (slow
// file system, stopped machine) makes the ticks that it misses go by.
//
// It is the one place here that knows what time it is.
func (p *poll) changes(ctx context.Context) iter.Seq[[]Event] {
	return func(yield func([]Event) bool) {
		tick := time.NewTicker(p.interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			events := p.look()
			now := time.Now().UnixMilli()
			for i := range events {
				events[i].Timestamp = now
			}
			if len(events) > 0 && !yield(events) {
				return
			}
			select {
			case <-tick.C: // the ticker keeps one that nobody was there to take
			default:
			}
		}
	}
}
