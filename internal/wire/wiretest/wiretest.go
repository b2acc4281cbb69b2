// Package wiretest makes events for tests, and shows lines of the wire in a form
// that is short enough to compare with a literal. Only tests import it.
package wiretest

import (
	"fmt"
	"strings"
	"testing"

	"net-watcher/internal/wire"
)

// Change returns a Modified event of a target whose size, time and state are all
// n.
func Change(target string, n int64) wire.Event {
	return wire.Event{
		Type: wire.Changed, Timestamp: n, File: target, Change: wire.Modified,
		Size: &n, State: fmt.Sprint(n),
	}
}

// Missing returns the Watching events of targets that do not exist, the state of
// each of which is 0.
func Missing(targets ...string) []wire.Event {
	var events []wire.Event
	for _, name := range targets {
		events = append(events, wire.Event{
			Type: wire.Watching, File: name, Targets: len(targets), Missing: true, State: "0",
		})
	}
	return events
}

// Short returns lines of any format without their times:
// "[json] watching a, modified b 3", where the number is the size. The state
// follows if it is neither 0 nor the size. A comment of SSE is ":", and its blank lines
// are left out if each is where it belongs.
func Short(tb testing.TB, lines []byte) string {
	tb.Helper()
	var parts []string
	format := ""
	if s, isSSE := strings.CutSuffix(string(lines), wire.SSE.End()); isSSE {
		for event := range strings.SplitSeq(s, wire.SSE.End()) {
			if event == strings.TrimSuffix(wire.Comment, wire.SSE.End()) {
				parts = append(parts, event)
				continue
			}
			line, ok := strings.CutPrefix(event, "data: ")
			if !ok {
				tb.Errorf("%q in %q", event, lines)
			}
			parts = append(parts, strings.TrimPrefix(Short(tb, []byte(line)), "[json] "))
		}
		return "[sse] " + strings.Join(parts, ", ")
	}
	for line := range strings.Lines(string(lines)) {
		if line[0] != '{' {
			format = "[text] "
			parts = append(parts, strings.TrimSpace(line[len(wire.TimeLayout):]))
			continue
		}
		format = "[json] "
		e, err := wire.Decode([]byte(line))
		if err != nil {
			tb.Errorf("%q: %v", line, err)
		}
		part := e.String()
		if e.Size != nil {
			part += fmt.Sprintf(" %d", *e.Size)
		}
		if e.State != "0" && (e.Size == nil || fmt.Sprint(*e.Size) != e.State) {
			part += " state " + e.State
		}
		parts = append(parts, part)
	}
	return format + strings.Join(parts, ", ")
}
