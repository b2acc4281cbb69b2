package main

import (
	"testing"

	"net-watcher/internal/pattern"
	"net-watcher/internal/wire"
)

// Patterns choose among what a client receives.
func TestChosen(t *testing.T) {
	var f pattern.Filter
	f.Only.Add("*.go")
	f.Only.Add("/src/")
	f.Ignore.Add("gen/")
	for _, test := range []struct {
		target, file string
		change       wire.Change
		want         bool
	}{
		{"d", "d/a.go", wire.Modified, true},
		{"d", "d/a.o", wire.Modified, false},
		{"d", "d/e/a.go", wire.Removed, true},
		{"d", "d/gen/a.go", wire.Created, false},
		{"d", "d/src/", wire.Created, true},
		{"d", "d/src/x/", wire.Removed, true},
		{"d", "d/e/src/x", wire.Modified, false},
		{"/", "/src/x", wire.Modified, true},
		{"/", "/a.o", wire.Modified, false},
		{`C:\`, `C:\src/x`, wire.Modified, true},

		// A directory that is only entered.
		{"d", "d/e/", wire.Created, false},
		{"d", "d/e/", wire.Removed, false},
		{"d", "d/e/", wire.Unreadable, true},
		{"d", "d/e/", wire.Readable, true},
		{"d", "d/gen/", wire.Unreadable, false},
		{"d", "d/a.o", wire.Unreadable, false},

		// The target itself, and what no net-watcher sends.
		{"", "d", wire.Missed, true},
		{"", "gen/", wire.Missed, true},
		{"", "a.o", wire.Removed, true},
		{"", "", wire.Modified, true},
		{"d", "e/a.o", wire.Modified, true},
		{"d", "d", wire.Modified, true},
		{"d", "d//x", wire.Modified, false},
		{"d", "d///", wire.Modified, false},
		{"d", "d/", wire.Modified, true},
	} {
		e := wire.Event{Type: wire.Changed, Target: test.target, File: test.file, Change: test.change}
		if got := chosen(&f, &e); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
		if !chosen(nil, &e) {
			t.Errorf("%+v is not chosen without patterns", test)
		}
	}
}
