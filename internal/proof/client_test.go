package proof

import "testing"

// A client hands on all that it gets, over a reconnect and a restart of the server.
const clientScript = `
0 config a b
0 op create a 1
0 op create b 2
100 serve 1 watching a 1 =A, watching b 2 =B
150 join c 1 1
151 got 1 text watching a 1, watching b 2
152 got 1 watching a 1 =A, watching b 2 =B
1000 op write a 3
1500 publish 1 modified a 3 =A3
1501 got 1 modified a 3 =A3
1502 handled c modified a 3 =A3
1600 leave 1
2000 op write b 4
2500 publish 1 modified b 4 =B4
2600 join c 1 2
2601 got 2 watching a 3 =A3, watching b 4 =B4
2602 handled c missed b 4 =B4 @2602
3000 end 1 stopped
3000 leave 2
3100 op remove a
3200 serve 2 watching a missing =0, watching b 4 =B4
3300 join c 2 3
3301 got 3 watching a missing =0, watching b 4 =B4
3302 handled c missed a =0 @3302
4000 op create a 5
4000 op write b 6
4500 publish 2 created a 5 =A5, modified b 6 =B6
4501 got 3 created a 5 =A5, modified b 6 =B6
4502 handled c created a 5 =A5, modified b 6 =B6
5000 calm
12000 fresh watching a 5 =A5, watching b 6 =B6
`

func TestClient(t *testing.T) {
	testRows(t, clientScript,
		breaks("Reliable", "a change is not handed on", "1502 handled c modified a 3 =A3", ""),
		breaks("Reliable, Convergent", "the last change is not handed on", "4502 handled c created a 5 =A5, modified b 6 =B6", "4502 handled c created a 5 =A5"),
		breaks("Reliable, Convergent", "nothing is handed on any more", "4502 handled c created a 5 =A5, modified b 6 =B6", ""),
		breaks("Reliable", "what was missed over a reconnect is not reported", "2602 handled c missed b 4 =B4 @2602", ""),
		breaks("Reliable", "what was missed over a restart is not reported", "3302 handled c missed a =0 @3302", ""),
		breaks("Honest", "a missed of what did not change over a reconnect", "2602 handled c", "2602 handled c missed a 3 =A3,"),
		breaks("Once", "a missed of what did not change over a restart", "3302 handled c missed a =0 @3302", "3302 handled c missed a =0 @3302, missed b 4 =B4"),
		breaks("Honest", "a missed with an older state", "2602 handled c missed b 4 =B4 @2602", "2602 handled c missed b 2 =B @2602"),
		breaks("Honest", "a change that it did not get", "1502 handled c", "1502 handled c modified b 7 =B7,"),
		breaks("Honest", "a change before it got it", "1502 handled c modified a 3 =A3", "1400 handled c modified a 3 =A3"),
		breaks("Once", "a change comes twice", "1502 handled c", "1502 handled c modified a 3 =A3,"),
		breaks("Once", "a change comes again after a reconnect", "2602 handled c missed b 4 =B4 @2602", "2602 handled c modified a 3 =A3, missed b 4 =B4"),
		breaks("Once", "a missed comes twice", "2602 handled c", "2602 handled c missed b 4 =B4 @2602,"),
		breaks("Ordered, Convergent", "two changes are swapped", "4502 handled c created a 5 =A5, modified b 6 =B6", "4502 handled c modified b 6 =B6, created a 5 =A5\n4503 handled c missed a 3 =A3"),

		sound("one by one", "4502 handled c created a 5 =A5, modified b 6 =B6", "4502 handled c created a 5 =A5\n4503 handled c modified b 6 =B6"),
		sound("changes and a missed at once", "2602 handled c missed b 4 =B4 @2602", "", "3302 handled c missed a =0 @3302", "3302 handled c missed b 4 =B4, missed a =0"),
		sound("the client ends", "4502 handled c created a 5 =A5, modified b 6 =B6", "4502 end c stopped\n4502 leave 3"),
		sound("the connection ends within the greeting", "3301 got 3 watching a missing =0, watching b 4 =B4", "3301 got 3 watching a missing =0\n3303 leave 3\n3304 join c 2 4\n3305 got 4 watching a missing =0, watching b 4 =B4", "4501 got 3", "4501 got 4"),
		sound("a server's missed is handed on", "2500 publish 1 modified b 4 =B4", "2500 publish 1 modified b 4 =B4\n2700 op write b 14\n2900 publish 1 modified b 14 =B14\n2901 got 2 missed b 14 =B14 @2900\n2902 handled c missed b 14 =B14 @2900",
			"3200 serve 2 watching a missing =0, watching b 4 =B4", "3200 serve 2 watching a missing =0, watching b 14 =B14", "3301 got 3 watching a missing =0, watching b 4 =B4", "3301 got 3 watching a missing =0, watching b 14 =B14"),
	)
}
