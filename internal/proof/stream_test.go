package proof

import (
	"strings"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
	"net-watcher/internal/wire/wiretest"
)

const (
	healthAnswer = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nno\n\n\n"
	eventsHead   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
)

// A Stream has the events of the answer, however that is split, and says what is none of
// the protocol.
func TestStream(t *testing.T) {
	events := []wire.Event{wiretest.Change("a", 1), wiretest.Change("a", 2)}
	stream := eventsHead + "retry: 1000\n\n" + wire.Comment + string(wire.Encode(wire.SSE, events)) + wire.Comment
	for size := range len(healthAnswer + stream) {
		s, all := &Stream{}, []byte(healthAnswer+stream)
		var got []wire.Event
		for n := size + 1; len(all) > 0; all = all[min(n, len(all)):] {
			lines, err := s.Lines(all[:min(n, len(all))])
			check.Must(t, err)
			for _, line := range lines {
				e, err := DecodeLine([]byte(line))
				check.Must(t, err)
				got = append(got, e)
			}
		}
		check.Equal(t, "events", events, got)
	}
	for _, broken := range []struct{ part, by string }{
		{"200 OK", "404 Not Found"},
		{"event-stream", "plain"},
		{"\r\n\r\nretry", "\r\nContent-Length: 5\r\n\r\nretry"},
		{"}\n\ndata", "}\ndata"},
		{"}\n\ndata", "}\n\n\ndata"},
		{"data: {", "data: "},
		{"data: {", "{"},
		{"data: {", "data:\n{"},
		{":\n\ndata", ":\ndata"},
		{":\n\ndata", "event: x\n\ndata"},
	} {
		if !strings.Contains(stream, broken.part) {
			t.Fatalf("%q is not in the stream", broken.part)
		}
		s := &Stream{}
		if lines, err := s.Lines([]byte(strings.Replace(stream, broken.part, broken.by, 1))); err == nil {
			t.Errorf("%q instead of %q: %d events and no error", broken.by, broken.part, len(lines))
		}
	}
}
