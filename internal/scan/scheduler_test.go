package scan

import (
	"testing"
	"time"
)

// The first job of a directory may start at any time. A further one may if calls
// are answered there, or as one of a few, to find out whether they are.
func TestMayStart(t *testing.T) {
	const (
		recent = hungAfter - 1 // since the last start
		long   = hungAfter
	)
	for name, test := range map[string]struct {
		running  int
		answered bool
		since    time.Duration
		crowded  bool
		want     bool
	}{
		"the first":                                     {0, false, recent, false, true},
		"the first, crowded":                            {0, false, recent, true, true},
		"the first after long, crowded":                 {0, true, long, true, true},
		"the second, none answered":                     {1, false, recent, false, false},
		"the second, one answered":                      {1, true, recent, false, true},
		"the second, one answered, crowded":             {1, true, recent, true, false},
		"many, one answered":                            {MaxHelpers - 1, true, recent, false, true},
		"the second after long":                         {1, false, long, false, true},
		"the second after long, crowded":                {1, false, long, true, false},
		"the last probe after long":                     {maxProbesPerDir - 1, false, long, false, true},
		"one more than probes after long":               {maxProbesPerDir, false, long, false, false},
		"one more than probes after long, one answered": {maxProbesPerDir, true, long, false, false},
		"one more than probes, one answered":            {maxProbesPerDir, true, recent, false, true},
	} {
		d := dirQueue{running: test.running, answered: test.answered, last: time.Minute}
		if got := d.mayStart(time.Minute+test.since, test.crowded); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
