package proof

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// What is written is read again, and judged as before.
func TestReadWrite(t *testing.T) {
	for _, script := range []string{walkScript, summaryScript, clientScript, commandScript, legalScript, reportsScript, faultsScript, restartScript, settledScript, limitsScript} {
		h := parse(t, script)
		var b bytes.Buffer
		check.Must(t, h.Write(&b))
		got, err := Read(&b)
		check.Must(t, err)
		check.Equal(t, "read", h, got)
	}
}

// A recorder that was killed leaves the beginning of a line.
func TestReadTorn(t *testing.T) {
	h, err := Read(strings.NewReader(`{"t":0,"kind":"config"}` + "\n" + `{"t":5,"ki`))
	if err == nil || len(h) != 1 {
		t.Errorf("got %d records, error %v", len(h), err)
	}
}

// A line of either format is the event that it was made of, as far as it says.
func TestDecodeLine(t *testing.T) {
	size := int64(3)
	for _, e := range []wire.Event{
		{Type: wire.Watching, File: "a", Protocol: 1, Interval: 5, Targets: 2, Size: &size, State: "A"},
		{Type: wire.Watching, File: "a b", Missing: true, State: "0"},
		{Type: wire.Watching, File: "a", Error: "input/output error", State: "X"},
		{Type: wire.Watching, File: "\x1b", Error: "\x1b", State: "X"},
		{Type: wire.Changed, Timestamp: 5, File: "d/a b", Target: "d", Change: wire.Created, Size: &size, State: "B"},
		{Type: wire.Changed, Timestamp: 5, File: " d", Change: wire.Unreadable, Error: "permission denied", State: "B"},
		{Type: wire.Changed, Timestamp: 5, File: "d", Change: wire.Missed, State: "B"},
	} {
		for in := range wire.NumFormats {
			line := wire.Encode(in, []wire.Event{e})
			got, err := DecodeLine(line)
			check.Must(t, err)
			check.Equal(t, string(line), keysOf(&e)[in], keysOf(&got)[in])
			if text := got.State == ""; text != (in == wire.Text) {
				t.Errorf("%s has the state %q", line, got.State)
			}
		}
	}
	e, err := DecodeLine([]byte(time.UnixMilli(0).Format(wire.TimeLayout) + " watching d (2 unreadable below it)"))
	check.Must(t, err)
	check.Equal(t, "without the count", wire.Event{Type: wire.Watching, File: "d"}, e)
	for _, line := range []string{"", "x", "2026 modified a", "{"} {
		if e, err := DecodeLine([]byte(line)); err == nil {
			t.Errorf("%q is %+v", line, e)
		}
	}
}

func TestFormed(t *testing.T) {
	testRows(t, settledScript,
		breaks("Formed", "an event of a connection that has ended", "12500 got 1 text watching d, watching e 2", "12500 leave 1\n12501 leave 1"),
		breaks("Formed", "a batch of a server that has ended", "12500 got 1", "12300 end 1 stopped\n12301 end 1 stopped\n12500 got 1"),
		breaks("Formed", "a join of no server", "12500 got 1", "12500 join x 7 9\n12500 got 1"),
		breaks("Formed", "no operation", "1000 op write d/a 3", "1000 op write d/a 3\n1000 op grow d/a 9"),
		breaks("Formed", "two configurations", "5000 calm", "5000 config d e\n5000 calm"),
		breaks("Formed", "an operation after calm", "5000 calm", "5000 calm\n5001 op chmod d/a"),
		breaks("Formed", "fresh too early", "5000 calm", "5001 calm"),
	)
	h := parse(t, walkScript)
	h[3].T = 20000
	if got := broken(h[:5]); got != "Formed" {
		t.Errorf("out of order: breaks %q", got)
	}
}

var historyFile = flag.String("history", "", "the file of a history that TestFile judges")

// TestFile judges a history of a file as Write writes it.
func TestFile(t *testing.T) {
	name := *historyFile
	if name == "" {
		name = filepath.Join(t.TempDir(), "history.jsonl")
		f, err := os.Create(name)
		check.Must(t, err)
		check.Must(t, parse(t, commandScript).Write(f))
		check.Must(t, f.Close())
	}
	f, err := os.Open(name)
	check.Must(t, err)
	defer f.Close()
	h, err := Read(f)
	check.Must(t, err)
	for _, v := range h.Validate() {
		t.Errorf("%v\n%+v", v, h[v.Index])
	}
}
