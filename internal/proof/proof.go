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

// Validate returns how h breaks promises, in the order of records. One that is not Formed is
// not judged by the others.
func (h History) Validate() []Violation {
	found := h.form()
	if found == nil {
		chains := h.chains()
		conns := h.conns(chains)
		asks := h.asks(conns)
		found = slices.Concat(h.transitions(chains), batches(chains), walks(conns), h.clients(asks), h.onces(),
			h.answers(asks), h.reports(chains, asks), h.settled(chains, conns), h.delivery(conns), h.limits())
	}
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
