package proof

import "testing"

// A reader gets each event of the chain.
const walkScript = `
0 config d
0 op mkdir d
0 op create d/a 1
100 serve 1 watching d =A
150 join r 1 1
151 got 1 watching d =A
1000 op write d/a 2
1500 publish 1 modified d/a 2 =B
1501 got 1 modified d/a 2 =B
2000 op create d/b 3
2500 publish 1 created d/b 3 =C
2501 got 1 created d/b 3 =C
3000 op write d/a 4
3000 op remove d/b
3500 publish 1 removed d/b =D, modified d/a 4 =E
3501 got 1 removed d/b =D, modified d/a 4 =E
4000 op write d/a 5
4500 publish 1 modified d/a 5 =F
4501 got 1 modified d/a 5 =F
5000 calm
12000 fresh watching d =F
`

func TestWalk(t *testing.T) {
	testRows(t, walkScript,
		breaks("Reliable", "an event is left out", "2501 got 1 created d/b 3 =C", ""),
		breaks("Reliable", "the first event is left out", "1501 got 1 modified d/a 2 =B", ""),
		breaks("Reliable", "an event within a batch is left out", "3501 got 1 removed d/b =D,", "3501 got 1"),
		breaks("Convergent, Timely", "the last event is left out", "4501 got 1 modified d/a 5 =F", ""),
		breaks("Once", "an event comes twice", "2501 got 1", "2501 got 1 created d/b 3 =C,"),
		breaks("Once", "an event comes again later", "3501 got 1", "3501 got 1 modified d/a 2 =B,"),
		breaks("Once", "an event that the greeting has comes again",
			"150 join r 1 1", "", "151 got 1 watching d =A", "", "1501 got 1", "1600 join r 1 1\n1601 got 1 watching d =B,"),
		breaks("Ordered", "two events of a batch are swapped", "removed d/b =D, modified d/a 4 =E\n4000", "modified d/a 4 =E, removed d/b =D\n4000"),
		breaks("Ordered", "two batches are swapped", "1501 got 1", "2502 got 1"),
		breaks("Ordered", "no greeting", "151 got 1 watching d =A", ""),
		breaks("Honest", "an event that was never published", "2501 got 1", "2501 got 1 removed d/a =X,"),
		breaks("Honest", "an event with another state", "2501 got 1 created d/b 3 =C", "2501 got 1 created d/b 3 =B"),
		breaks("Honest", "an event with another size", "2501 got 1 created d/b 3 =C", "2501 got 1 created d/b 4 =C"),
		breaks("Honest", "an event with another time", "2501 got 1 created d/b 3 =C", "2501 got 1 created d/b 3 =C @2400"),
		breaks("Honest", "a greeting that never was", "151 got 1 watching d =A", "151 got 1 watching d =Z"),
		breaks("Honest", "a missed without a hole", "2501 got 1", "2501 got 1 missed d =B @1500, "),
		breaks("Honest", "a missed before any change", "151 got 1 watching d =A", "151 got 1 watching d =A, missed d =A @0"),
		breaks("Honest", "a missed of a state that never was", "2501 got 1 created d/b 3 =C", "2501 got 1 missed d =Z @2500"),
		breaks("Honest", "a missed of another time", "2501 got 1 created d/b 3 =C", "2501 got 1 missed d =C @1500"),
		breaks("Once", "an event that a missed has covered comes again", "3501 got 1", "3501 got 1 missed d =E @3500, removed d/b =D, modified d/a 4 =E\n3501 got 1"),
		breaks("Reliable", "a missed covers less than is left out", "1501 got 1 modified d/a 2 =B", "", "2501 got 1 created d/b 3 =C", "2501 got 1 missed d =B @1500"),
		breaks("Reliable", "a greeting in the middle hides a change", "2501 got 1 created d/b 3 =C", "2501 got 1 watching d =C"),
		breaks("Honest", "a greeting in the middle is of an older state", "2501 got 1 created d/b 3 =C", "2501 got 1 created d/b 3 =C, watching d =B"),
		breaks("Ordered", "text without a greeting", "2501 got 1 created d/b 3 =C", "2501 got 1 text created d/b 3 =C"),
		breaks("Ordered", "JSON after text without a greeting", "151 got 1", "151 got 1 text"),
		breaks("Once", "a change comes in both formats", "2501 got 1", "2501 got 1 text watching d =B, created d/b 3 =C\n2502 got 1 watching d =C, created d/b 3 =C\n2502 got 1"),
		breaks("Reliable", "a change of format hides a change", "2501 got 1 created d/b 3 =C", "2501 got 1 text watching d =B\n2502 got 1 watching d =C"),
		breaks("Once", "a change is received again over a reconnect", "3501 got 1", "2600 leave 1\n2601 join r 1 2\n2602 got 2 watching d =C, created d/b 3 =C\n3501 got 2", "4501 got 1", "4501 got 2"),
		breaks("Once", "a greeting after a reconnect is older than what was received", "3501 got 1", "2600 leave 1\n2601 join r 1 2\n2602 got 2 watching d =B, created d/b 3 =C\n3501 got 2", "4501 got 1", "4501 got 2"),
		breaks("Reliable", "a hole after a reconnect", "3501 got 1 removed d/b =D,", "2600 leave 1\n2601 join r 1 2\n2602 got 2 watching d =C\n3501 got 2", "4501 got 1", "4501 got 2"),

		sound("a missed for a hole", "2501 got 1 created d/b 3 =C", "2501 got 1 missed d =C @2500"),
		sound("a missed for several batches", "1501 got 1 modified d/a 2 =B", "1501 fault stall @r", "2501 got 1 created d/b 3 =C", "2501 got 1 missed d =C @2500\n2502 heal stall @r"),
		sound("a missed for two events", "3501 got 1 removed d/b =D, modified d/a 4 =E", "3501 got 1 missed d =E @3500"),
		sound("lines one by one", "3501 got 1 removed d/b =D, modified d/a 4 =E", "3501 got 1 removed d/b =D\n3502 got 1 modified d/a 4 =E"),
		sound("text", "151 got 1", "151 got 1 text", "1501 got 1", "1501 got 1 text", "2501 got 1", "2501 got 1 text", "3501 got 1", "3501 got 1 text", "4501 got 1", "4501 got 1 text"),
		sound("changes of format", "151 got 1", "151 got 1 text", "1501 got 1 modified d/a 2 =B", "1501 got 1 text modified d/a 2 =B\n1502 got 1 watching d =B",
			"3501 got 1", "2600 got 1 text watching d =C\n3501 got 1 text watching d =C, ", "4501 got 1", "4501 got 1 watching d =E,"),
		sound("a reconnect", "3501 got 1", "2600 leave 1\n2601 join r 1 2\n2602 got 2 watching d =C\n3501 got 2", "4501 got 1", "4501 got 2"),
		sound("a reconnect after changes", "3501 got 1 removed d/b =D, modified d/a 4 =E", "2600 leave 1\n3601 join r 1 2\n3602 got 2 watching d =E", "4501 got 1", "4501 got 2"),
		sound("dropped in the middle of a batch", "3501 got 1 removed d/b =D, modified d/a 4 =E", "3501 got 1 removed d/b =D\n3502 leave 1", "4501 got 1 modified d/a 5 =F", ""),
		sound("dropped before the greeting", "151 got 1 watching d =A", "151 leave 1\n151 join r 1 2", "1501 got 1 modified d/a 2 =B", "152 got 2 watching d =A\n1501 got 2 modified d/a 2 =B", "2501 got 1", "2501 got 2", "3501 got 1", "3501 got 2", "4501 got 1", "4501 got 2"),
	)
}

// A reader of two targets jumps over three batches.
const summaryScript = `
0 config a b
0 op create a 1
0 op create b 2
100 serve 1 watching a 1 =A, watching b 2 =B
150 join r 1 1
151 got 1 watching a 1 =A, watching b 2 =B
200 fault stall @r
1000 op write b 3
1500 publish 1 modified b 3 =B3
2000 op write a 4
2500 publish 1 modified a 4 =A4
3000 op write b 5
3500 publish 1 modified b 5 =B5
3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500
3600 heal stall @r
4000 op remove b
4500 publish 1 removed b =0
4501 got 1 removed b =0
5000 op create b 6
5500 publish 1 created b 6 =B6
5501 got 1 created b 6 =B6
6000 op remove b
6500 publish 1 removed b =0
6501 got 1 removed b =0
7000 calm
14000 fresh watching a 4 =A4, watching b missing =0
`

func TestWalkSummary(t *testing.T) {
	testRows(t, summaryScript,
		breaks("Reliable, Convergent", "a target is left out", "3600 got 1 missed a 4 =A4 @2500,", "3600 got 1"),
		breaks("Convergent", "the last target is left out", ", missed b 5 =B5 @3500", "", "4501 got 1 removed b =0", "", "5501 got 1 created b 6 =B6", "", "6501 got 1 removed b =0", ""),
		breaks("Reliable", "the last target is left out, and its next change comes", ", missed b 5 =B5 @3500", ""),
		breaks("Honest", "a target comes twice", "3600 got 1", "3600 got 1 missed a 4 =A4 @2500,"),
		breaks("Reliable", "a missed carries an older state", "missed b 5 =B5 @3500", "missed b 3 =B3 @1500"),
		breaks("Reliable", "the order is not that of the last changes", "missed a 4 =A4 @2500, missed b 5 =B5 @3500", "missed b 5 =B5 @3500, missed a 4 =A4 @2500"),
		breaks("Honest", "the state of one and the size of another", "missed b 5 =B5 @3500", "missed b 3 =B5 @3500"),
		breaks("Honest", "a greeting of two moments", "151 got 1 watching a 1 =A, watching b 2 =B", "", "3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500", "3600 got 1 watching a 4 =A4, watching b 2 =B"),
		breaks("Honest", "half a greeting in the middle", "3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500", "3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500, watching a 4 =A4"),

		sound("only the first batch was read", "3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500", "3600 got 1 modified b 3 =B3, missed a 4 =A4 @2500, missed b 5 =B5 @3500"),
		sound("only one target has changed", "3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500", "3600 got 1 modified b 3 =B3, modified a 4 =A4, missed b 5 =B5 @3500"),
		sound("a state that comes again", "4501 got 1 removed b =0", "4501 leave 1\n4502 join r 1 2\n4503 got 2 watching a 4 =A4, watching b missing =0", "5501 got 1", "5501 got 2", "6501 got 1", "6501 got 2"),
		sound("the later of two equal states", "4501 got 1 removed b =0", "4501 leave 1", "5501 got 1 created b 6 =B6", "", "6501 got 1 removed b =0", "6502 join r 1 2\n6503 got 2 watching a 4 =A4, watching b missing =0"),
		sound("text of two positions", "151 got 1", "151 got 1 text", "3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500", "3600 got 1 text missed a 4 @2500, missed b 5 @3500",
			"4501 got 1", "4501 got 1 text", "5501 got 1", "5501 got 1 text", "6501 got 1", "6501 got 1 text"),
		sound("cut within a greeting", "151 got 1 watching a 1 =A, watching b 2 =B", "151 got 1 watching a 1 =A\n152 leave 1\n153 join r 1 2\n154 got 2 watching a 1 =A, watching b 2 =B",
			"3600 got 1", "3600 got 2", "4501 got 1", "4501 got 2", "5501 got 1", "5501 got 2", "6501 got 1", "6501 got 2"),
		sound("cut within a summary", "3600 got 1 missed a 4 =A4 @2500, missed b 5 =B5 @3500", "3600 got 1 missed a 4 =A4 @2500\n3601 leave 1", "4501 got 1 removed b =0", "", "5501 got 1 created b 6 =B6", "", "6501 got 1 removed b =0", ""),
	)
}
