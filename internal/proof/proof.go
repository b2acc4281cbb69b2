// Package proof judges by the promises of docs/promises.md what a run of net-watcher
// has done. Only tests and scripts import it.
//
//	record.go    a History: what a writer, servers, readers, clients and COMMANDs did
//	chain.go     what each server has published, and how its targets were at each point
//	legal.go     Legal, Ordered: each event may follow those before it
//	walk.go      Ordered, Once, Reliable, Honest: what a connection got is a walk on the
//	             chain of its server
//	client.go    the same of what a client handed on; Never two: what the runs of COMMAND get
//	command.go   Never two: when COMMAND runs
//	asked.go     Reliable, Timely: when a scan that a client asks for is done
//	once.go      Reliable, Honest: when a server ends by itself
//	chosen.go    what patterns choose
//	disk.go      how the file system was at each time, and what kept scans from seeing it
//	reports.go   Reliable, Honest, Timely: the chains against the file system
//	stream.go    the lines of an answer over HTTP
//	settled.go   Convergent, Timely: when who has what; Isolated, Bounded, Clean
//
// The writer never repeats a size, so each state of a target is a version; only those of
// what is not there and of what is unreadable come again. Where that makes a place in a
// chain ambiguous, all places that are possible are followed.
//
// All is pure: a History is read, and never changed.
package proof

import (
	"cmp"
	"fmt"
	"slices"
)

// Promise is one of those in docs/promises.md. Formed is one of who records: without it,
// the others mean nothing.
type Promise string

const (
	Legal      Promise = "Legal"
	Ordered    Promise = "Ordered"
	Once       Promise = "Once"
	Reliable   Promise = "Reliable"
	Honest     Promise = "Honest"
	Convergent Promise = "Convergent"
	Timely     Promise = "Timely"
	Isolated   Promise = "Isolated"
	Bounded    Promise = "Bounded"
	NeverTwo   Promise = "Never two"
	Clean      Promise = "Clean"
	Formed     Promise = "Formed"
)

// The validators return how h breaks the promise. One that is not Formed breaks no other.
func (h History) Legal() []Violation { return h.only(Legal, History.transitions) }
func (h History) Ordered() []Violation {
	return h.only(Ordered, History.batches, History.walks, History.clients)
}
func (h History) Once() []Violation { return h.only(Once, History.walks, History.clients) }
func (h History) Reliable() []Violation {
	return h.only(Reliable, History.walks, History.clients, History.onces, History.answers, History.reports)
}
func (h History) Honest() []Violation {
	return h.only(Honest, History.walks, History.clients, History.onces, History.reports)
}
func (h History) Convergent() []Violation { return h.only(Convergent, History.settled) }
func (h History) Timely() []Violation {
	return h.only(Timely, History.answers, History.reports, History.delivery)
}
func (h History) Isolated() []Violation { return h.only(Isolated, History.limits) }
func (h History) Bounded() []Violation  { return h.only(Bounded, History.limits) }
func (h History) NeverTwo() []Violation { return h.only(NeverTwo, History.clients) }
func (h History) Clean() []Violation    { return h.only(Clean, History.limits) }

// Validate returns how h breaks any of the promises.
func (h History) Validate() []Violation {
	return h.only("", History.transitions, History.batches, History.walks, History.clients, History.onces,
		History.answers, History.reports, History.settled, History.delivery, History.limits)
}

// only returns what the checks find of the promise, "" for all, in the order of records.
func (h History) only(p Promise, checks ...func(History) []Violation) []Violation {
	found := h.form()
	if found == nil {
		for _, check := range checks {
			found = append(found, check(h)...)
		}
	}
	found = slices.DeleteFunc(found, func(v Violation) bool { return p != "" && v.Promise != p })
	slices.SortStableFunc(found, func(a, b Violation) int { return cmp.Compare(a.Index, b.Index) })
	return found
}

// Violation is a promise that was broken.
type Violation struct {
	Promise Promise
	Index   int    // of the record that shows it
	Text    string // what is wrong, in a sentence
}

func (v Violation) String() string {
	return fmt.Sprintf("record %d: %s: %s", v.Index, v.Promise, v.Text)
}

// violation returns the Violation of p at the record with the index.
func violation(p Promise, index int, format string, args ...any) Violation {
	return Violation{p, index, fmt.Sprintf(format, args...)}
}
