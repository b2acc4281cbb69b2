package proof

import (
	"strings"
	"testing"
)

// legalScript has each row of the table of docs/protocol.md, and each place in a batch.
const legalScript = `
0 config f d
0 op mkdir d
0 op create d/a 1
0 op mkdir d/s
0 op create d/s/x 2
100 serve 1 watching f missing =0, watching d =A
1000 op create f 3
1000 op write d/a 4
1500 publish 1 created f 3 =F3, modified d/a 4 =B
2000 fault fail f !permission denied
2000 fault fail d/s !input/output error
2500 publish 1 unreadable f !permission denied =X, unreadable d/s/ !input/output error =C
3000 heal fail f
3000 heal fail d/s
3000 op write d/s/x 5
3500 publish 1 readable f 3 =F3, readable d/s/ =D, modified d/s/x 5 =E
4000 op remove d/s
4000 op write f 6
4500 publish 1 modified f 6 =F6, removed d/s/x =G, removed d/s/ =H
5000 fault fail f !permission denied
5000 op create d/s 7
5000 op mkdir d/a0
5000 op create d/a0/y 8
5500 publish 1 unreadable f !permission denied =X, created d/a0/ =I, created d/a0/y 8 =J, created d/s 7 =K
6000 op remove f
6000 heal fail f
6500 publish 1 removed f =0
7000 fault fail f !permission denied
7500 publish 1 unreadable f !permission denied =X
8000 op create f 9
8000 heal fail f
8500 publish 1 created f 9 =F9
9000 op remove d
9500 publish 1 removed d/s =L, removed d/a0/y =M, removed d/a0/ =N, removed d/a =O, removed d =0
`

func TestLegal(t *testing.T) {
	testRows(t, legalScript)
	for _, r := range []struct{ name, why, old, new string }{
		{"created of what is there", "follows a file", "modified d/a 4 =B", "created d/a 4 =B, created d/a 4 =B2"},
		{"created of the target itself, which is there", "follows a file", "created f 3 =F3", "created f 3 =F3, created f 3 =F4"},
		{"modified of what is not there", "not a directory", "removed d/s/ =H", "removed d/s/ =H\n4600 publish 1 modified d/s/x 5 =H2"},
		{"modified of a target that is not there", "follows not there", "created f 3 =F3", "modified f 3 =F3"},
		{"modified with the same size and time", "follows a file of 4", "8000 op create f 9", "8000 op create f 9\n7000 publish 1 modified d/a 4 =B7"},
		{"modified after unreadable, as it was", "follows a file of 3", "readable f 3 =F3", "modified f 3 =F3"},
		{"modified of a directory", "follows a directory", "readable d/s/ =D", "readable d/s/ =D, modified d/s/ =D2"},
		{"modified of a target that is a directory", "follows a directory", "modified d/a 4 =B", "modified d =B"},
		{"removed of what is not there", "not a directory", "8500 publish 1 created f 9 =F9", "8500 publish 1 created f 9 =F9\n8600 publish 1 removed d/s/x =P"},
		{"removed twice", "follows not there", "removed f =0", "removed f =0\n6600 publish 1 removed f =0"},
		{"removed of a target that was not there", "follows not there", "created f 3 =F3", "removed f =0"},
		{"a directory removed before what is in it", "has d/s/x", "removed d/s/x =G, removed d/s/ =H", "removed d/s/ =H"},
		{"a target removed before what is in it", "has d/a", "removed d/a =O, removed d =0", "removed d =0"},
		{"unreadable twice", "unreadable since: true", "7500 publish 1 unreadable f !permission denied =X", "7500 publish 1 unreadable f !permission denied =X\n7600 publish 1 unreadable f !input/output error =Y"},
		{"readable of what was not unreadable", "unreadable since: false", "created f 9 =F9", "created f 9 =F9\n8600 publish 1 readable f 9 =F8"},
		{"readable with another size", "follows a file of 3", "readable f 3 =F3", "readable f 4 =F3"},
		{"readable of what was not there", "follows not there", "created f 9 =F9", "readable f 9 =F9"},
		{"created of what was there before it was unreadable", "follows a file of 3", "readable f 3 =F3", "created f 3 =F3"},
		{"a missed that is published", "follows a directory", "7500 publish 1 unreadable", "7400 publish 1 missed d =Q\n7500 publish 1 unreadable"},
		{"a greeting that is published", "no line of a change", "7500 publish 1 unreadable", "7400 publish 1 watching d =K\n7500 publish 1 unreadable"},
		{"something in a directory that cannot be read", "d/s/, which is unreadable", "heal fail d/s", "heal fail d/s\n2600 publish 1 modified d/s/x 5 =E"},
		{"something in a directory that is gone", "d/s/, which is not", "removed d/s/ =H", "removed d/s/ =H\n4600 publish 1 created d/s/x 5 =H2"},
		{"something in a directory before that is there", "has d/a0/y", "created d/a0/ =I, created d/a0/y 8 =J", "created d/a0/y 8 =J, created d/a0/ =I"},
		{"something below a file", "d/s/, which is not", "created d/s 7 =K", "created d/s 7 =K, created d/s/q 8 =K2"},
		{"something below a target that is gone", "d, which is not", "removed d =0", "removed d =0\n9600 publish 1 created d/b 8 =K2"},
		{"something of no target", "no target", "created d/s 7 =K", "created d/s 7 =K, created z/s 8 =K2"},
		{"the same state after a change", "the state of the event before", "modified f 6 =F6", "modified f 6 =F3"},
		{"no state", "no line of a change", "modified f 6 =F6", "modified f 6"},
		{"a size on what is gone", "of something else", "removed f =0", "removed f 6 =0"},
		{"a size on a directory", "of something else", "created d/a0/ =I", "created d/a0/ 5 =I"},
		{"a file is removed as a directory", "has d/a below it", "removed d/a =O", "removed d/a/ =O"},
		{"an mtime without a size", "of something else", "removed f =0", "removed f ~5 =0"},
		{"no size on a file", "of something else", "created d/a0/y 8 =J", "created d/a0/y =J"},
		{"a size on what is unreadable", "of something else", "7500 publish 1 unreadable f !permission denied =X", "7500 publish 1 unreadable f 9 !permission denied =X"},
		{"no reason", "is not unreadable", "7500 publish 1 unreadable f !permission denied =X", "7500 publish 1 unreadable f =X"},
		{"a reason for what can be read", "is not unreadable", "readable f 3 =F3", "readable f 3 !permission denied =F3"},
		{"the start: missing and a size", "no line of a greeting", "watching f missing =0", "watching f missing 3 =0"},
		{"the start: another target", "no line of a greeting", "watching f missing =0", "watching g missing =0"},
		{"the start: a target is left out", "leaves out targets", "watching f missing =0,", ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			if strings.Count(legalScript, r.old) != 1 {
				t.Fatalf("%q is not in the script, or not once", r.old)
			}
			h := parse(t, strings.Replace(legalScript, r.old, r.new, 1))
			if found := h.transitions(h.chains()); len(found) == 0 || !strings.Contains(found[0].Text, r.why) {
				t.Errorf("found %v, want first %q", found, r.why)
			}
		})
	}
}

// With -content, what differs may be seen nowhere; but directories are not modified.
func TestLegalContent(t *testing.T) {
	h := parse(t, strings.Replace(legalScript, "modified d/a 4 =B", "modified d/a 4 =B, modified d/a 4 =B2", 1))
	if found := h.transitions(h.chains()); len(found) != 1 {
		t.Errorf("without: %v", found)
	}
	if h[0].Content = true; len(h.transitions(h.chains())) > 0 {
		t.Errorf("with: %v", h.transitions(h.chains()))
	}
	h = parse(t, strings.Replace(legalScript, "readable f 3 =F3", "readable f 3 ~9 =F3", 1))
	if found := h.transitions(h.chains()); len(found) != 1 {
		t.Errorf("readable, with another time, without: %v", found)
	}
	if h[0].Content = true; len(h.transitions(h.chains())) > 0 {
		t.Errorf("with: %v", h.transitions(h.chains()))
	}
	h = parse(t, strings.Replace(legalScript, "readable d/s/ =D", "readable d/s/ =D, modified d/s/ =D2", 1))
	if h[0].Content = true; len(h.transitions(h.chains())) != 1 {
		t.Errorf("a directory: %v", h.transitions(h.chains()))
	}
}

func TestOrder(t *testing.T) {
	testRows(t, legalScript,
		breaks("Ordered", "targets", "created f 3 =F3, modified d/a 4 =B", "modified d/a 4 =B, created f 3 =F3"),
		breaks("Ordered", "names", "created d/a0/y 8 =J, created d/s 7 =K", "created d/s 7 =K, created d/a0/y 8 =J"),
		breaks("Ordered", "a change before what is removed", "modified f 6 =F6, removed d/s/x =G", "modified f 6 =F6, modified d/a 4 ~9 =Z, removed d/s/x =G", "4000 op remove d/s", "4000 op remove d/s\n4000 op touch d/a"),
		breaks("Ordered", "what is removed", "removed d/s =L, removed d/a0/y =M, removed d/a0/ =N, removed d/a =O", "removed d/a =O, removed d/s =L, removed d/a0/y =M, removed d/a0/ =N"),
		breaks("Legal, Ordered", "readable later", "readable d/s/ =D, modified d/s/x 5 =E", "modified d/s/x 5 =E, readable d/s/ =D"),
	)
}
