package proof

import "testing"

// COMMAND runs at the start, on a change, and on what has come while it ran.
const commandScript = `
0 config a b
0 op create a 1
0 op create b 2
100 serve 1 watching a 1 =A, watching b 2 =B
150 join c 1 1
151 got 1 watching a 1 =A, watching b 2 =B
152 run c
153 ran c 0
1000 op write a 3
1500 publish 1 modified a 3 =A3
1501 got 1 modified a 3 =A3
1502 handled c modified a 3 =A3
1503 run c modified a 3 =A3
2000 op write b 4
2500 publish 1 modified b 4 =B4
2501 got 1 modified b 4 =B4
2502 handled c modified b 4 =B4
3000 op write a 5
3000 fault fail b !input/output error
3500 publish 1 modified a 5 =A5, unreadable b !input/output error =BX
3501 got 1 modified a 5 =A5, unreadable b !input/output error =BX
3502 handled c modified a 5 =A5, unreadable b !input/output error =BX
3600 ran c 0
3601 run c modified b 4 =B4, modified a 5 =A5
3700 ran c 0
4000 heal fail b
4500 publish 1 readable b 4 =B4
4501 got 1 readable b 4 =B4
4502 handled c readable b 4 =B4
4503 run c readable b 4 =B4
4600 ran c 0
5000 calm
12000 fresh watching a 5 =A5, watching b 4 =B4
`

func TestCommand(t *testing.T) {
	unseen := []string{"150 join c 1 1", "150 join c 1 1\n150 handled c command", "1502 handled c modified a 3 =A3", "", "2502 handled c modified b 4 =B4", "",
		"3502 handled c modified a 5 =A5, unreadable b !input/output error =BX", "", "4502 handled c readable b 4 =B4", ""}
	testRows(t, commandScript,
		breaks("Never two", "two runs at once", "3601 run c", "3599 run c"),
		breaks("Never two", "a second run while the first one hangs", "153 ran c 0", ""),
		breaks("Never two", "no run after the last change", "4503 run c readable b 4 =B4\n4600 ran c 0", ""),
		breaks("Never two", "no run after the last change, and the client ends later", "4503 run c readable b 4 =B4\n4600 ran c 0", "", "12000 fresh watching a 5 =A5, watching b 4 =B4", "12000 fresh watching a 5 =A5, watching b 4 =B4\n12001 end c stopped"),
		breaks("Never two", "the last run is before the last change", "3601 run c modified b 4 =B4, modified a 5 =A5\n3700 ran c 0\n", "3601 run c modified b 4 =B4\n3700 ran c 0\n", "4503 run c readable b 4 =B4\n4600 ran c 0", ""),
		breaks("Never two", "COMMAND never runs", "1502 handled c modified a 3 =A3", "1502 handled c command modified a 3 =A3", "152 run c\n153 ran c 0", "", "1503 run c modified a 3 =A3", "",
			"3600 ran c 0\n3601 run c modified b 4 =B4, modified a 5 =A5\n3700 ran c 0", "", "4503 run c readable b 4 =B4\n4600 ran c 0", ""),
		breaks("Reliable", "a change is left out", "3601 run c modified b 4 =B4,", "3601 run c"),
		breaks("Ordered", "the changes of a run are swapped", "3601 run c modified b 4 =B4, modified a 5 =A5", "3601 run c modified a 5 =A5, modified b 4 =B4"),
		breaks("Reliable", "a target is left out of what is collapsed", "3601 run c modified b 4 =B4, modified a 5 =A5", "3601 run c missed a =A5"),
		breaks("Once", "a change comes to two runs", "3601 run c", "3601 run c modified a 3 =A3,"),
		breaks("Once", "a change comes to a run twice", "3601 run c", "3601 run c modified b 4 =B4,"),
		breaks("Honest", "a change that was not handed on", "1503 run c", "1503 run c modified b 4 =B4,"),
		breaks("Honest", "a missed with an older state", "3601 run c modified b 4 =B4, modified a 5 =A5", "3601 run c missed b =B, missed a =A5"),
		breaks("Honest", "what is unreadable", "3601 run c modified b 4 =B4, modified a 5 =A5", "3601 run c modified b 4 =B4, modified a 5 =A5, unreadable b !input/output error =BX"),
		breaks("Honest", "a run without a change", "3700 ran c 0", "3700 ran c 0\n3701 run c\n3702 ran c 0"),

		sound("the run at the start comes after one on what was missed", "152 run c\n153 ran c 0", "", "1503 run c modified a 3 =A3", "1503 run c modified a 3 =A3\n1504 ran c 0\n1505 run c"),
		breaks("Honest", "two runs at the start", "153 ran c 0", "153 ran c 0\n154 run c\n155 ran c 0"),
		sound("no run at the start", "152 run c\n153 ran c 0", ""),
		sound("collapsed", "3601 run c modified b 4 =B4, modified a 5 =A5", "3601 run c missed b =B4, missed a =A5"),
		sound("in part collapsed", "3601 run c modified b 4 =B4, modified a 5 =A5", "3601 run c missed b =B4, modified a 5 =A5"),
		breaks("Reliable", "the changes of a run that has failed are gone", "3600 ran c 0", "3600 ran c 1"),
		breaks("Honest", "the changes of a run that has failed come collapsed, with an older state", "3600 ran c 0\n3601 run c", "3600 ran c 1\n3601 run c missed a =A,"),
		sound("a run that has failed, and again", "3600 ran c 0\n3601 run c", "3600 ran c 1\n3601 run c modified a 3 =A3,"),
		sound("a run that has failed, then collapsed", "3600 ran c 0\n3601 run c modified b 4 =B4, modified a 5 =A5", "3600 ran c 1\n3601 run c missed b =B4, missed a =A5"),
		sound("a run that has failed, and what came then collapsed", "3600 ran c 0\n3601 run c modified b 4 =B4, modified a 5 =A5", "3600 ran c 1\n3601 run c modified a 3 =A3, missed b =B4, missed a =A5"),
		sound("a run at the start that has failed", "153 ran c 0", "153 ran c 1\n154 run c\n155 ran c 0"),
		sound("a run that fails twice", "3600 ran c 0\n3601 run c", "3600 ran c 1\n3600 run c modified a 3 =A3\n3601 ran c 1\n3601 run c modified a 3 =A3,"),
		sound("the last run does not end", "4600 ran c 0", ""),
		sound("what is handed on is not seen", unseen...),
		breaks("Never two", "what is handed on is not seen, and COMMAND never runs", append(unseen, "152 run c\n153 ran c 0", "", "1503 run c modified a 3 =A3", "",
			"3600 ran c 0\n3601 run c modified b 4 =B4, modified a 5 =A5\n3700 ran c 0", "", "4503 run c readable b 4 =B4\n4600 ran c 0", "")...),
		breaks("Reliable", "what is handed on is not seen, and a change is left out", append(unseen, "3601 run c modified b 4 =B4,", "3601 run c")...),
		sound("the client ends before the last run", "4503 run c readable b 4 =B4\n4600 ran c 0", "4503 end c stopped"),
	)
}
