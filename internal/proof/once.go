package proof

import (
	"maps"
	"slices"

	"net-watcher/internal/wire"
)

// farewell is how long a server that ends waits for subscribers that do not read, in ms.
const farewell = 1000

// once is what is known of a server.
type once struct {
	serve *Record
	due   int64 // ms, when it is to end by -once; never before that is known
	done  int64 // ms, when a receiver in its process has handed on what it is due by

	began, changed int64 // ms, when the last run of COMMAND began, and the last change came
	mayEnd         bool  // a change came in the last run: the server may end, or run COMMAND again
}

// onces checks that a server with -once ends with its first batch that has something which
// is not unreadable, after that was handed on, or, with COMMAND, with the first run, and
// with -initial at the start, if a target is there. With -restart and -settle, another run
// may follow one in which a change came. No other server ends by itself.
func (h History) onces() (found []Violation) {
	servers, local := make(map[int]*once), make(map[string]int)
	settles := make(map[string]bool) // by receiver: a change ends a run, and must settle first
	for i := range h {
		r := &h[i]
		if r.Kind == Options {
			settles[r.Reader] = r.Restart && r.Settle > 0
		}
		number := r.Server
		if r.Reader != "" && r.Kind != Join {
			number = local[r.Reader]
		}
		s := servers[number]
		switch {
		case r.Kind == Serve:
			servers[number] = &once{serve: r, due: never, done: never}
			if r.Once && r.Name == "" && r.Initial && slices.ContainsFunc(r.Events, isThere) {
				servers[number].due, servers[number].done = r.T, r.T
			}
		case r.Kind == Join && r.Name == "local":
			local[r.Reader] = number
		case s == nil || !s.serve.Once && r.Name != "once":
		case r.T > s.due+maxDelay+farewell:
			found = append(found, violation(Reliable, i, "server %d goes on, though it was to end by -once at %d ms", number, s.due))
			delete(servers, number) // one violation is enough
		case r.Kind == Publish && s.serve.Name == "" && slices.ContainsFunc(r.Events, runs):
			s.due = min(s.due, r.T)
		case r.Kind == Handled && s.serve.Name == "" && slices.ContainsFunc(r.Events, runs):
			s.done = min(s.done, r.T)
		case r.Kind == Publish && slices.ContainsFunc(r.Events, runs):
			s.changed = r.T
		case r.Kind == Run:
			s.began = r.T
		case r.Kind == Ran && s.serve.Name == "command" && r.Name == "":
			s.done = min(s.done, r.T)
			if s.mayEnd = settles[r.Reader] && s.changed > s.began; !s.mayEnd {
				s.due = min(s.due, r.T)
			}
		case r.Kind == End && r.Name == "once" && s.due == never && !s.mayEnd:
			found = append(found, violation(Honest, i, "server %d has ended by -once, and not by what is to end it", number))
			delete(servers, number)
		case r.Kind == End && r.Name == "once" && s.done == never:
			found = append(found, violation(Reliable, i, "server %d has not handed on what ended it by -once", number))
		}
		if r.Kind == End && r.Reader == "" {
			delete(servers, number)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(servers)) {
		if last := len(h) - 1; h[last].T > servers[number].due+maxDelay+farewell {
			found = append(found, violation(Reliable, last, "server %d has not ended, though it was to by -once at %d ms", number, servers[number].due))
		}
	}
	return found
}

// runs reports whether a change is a reason for -once, and for a run of COMMAND.
func runs(e wire.Event) bool { return e.Change != wire.Unreadable }

// isThere reports whether a target can be read.
func isThere(watching wire.Event) bool { return !watching.Missing && watching.Error == "" }
