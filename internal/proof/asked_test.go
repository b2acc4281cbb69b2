package proof

import "testing"

// A client with -scan gets what was changed before it asked, and ends with the greeting
// after that.
const askedScript = `
0 config a b
0 op create a 1
0 op create b 2
100 serve 1 watching a 1 =A, watching b 2 =B
1000 op write a 3
1100 options c -scan
1110 join c 1 1
1111 got 1 text watching a 1, watching b 2
1112 got 1 watching a 1 =A, watching b 2 =B
1120 publish 1 modified a 3 =A3
1121 got 1 modified a 3 =A3
1122 handled c modified a 3 =A3
1130 got 1 watching a 3 =A3, watching b 2 =B
1131 end c scanned
1131 leave 1
2000 op write b 4
2100 publish 1 modified b 4 =B4
5000 calm
12000 fresh watching a 3 =A3, watching b 4 =B4
`

func TestAsked(t *testing.T) {
	nothing := []string{"1120 publish 1 modified a 3 =A3\n1121 got 1 modified a 3 =A3\n1122 handled c modified a 3 =A3\n1130 got 1 watching a 3 =A3, watching b 2 =B", "1130 got 1 watching a 1 =A, watching b 2 =B"}
	testRows(t, askedScript,
		breaks("Reliable", "it ends with the first greeting", "1130 got 1 watching a 3 =A3, watching b 2 =B\n", ""),
		breaks("Reliable", "it ends before a greeting", "1112 got 1 watching a 1 =A, watching b 2 =B\n", "", "1121 got 1 modified a 3 =A3\n1122 handled c modified a 3 =A3\n1130 got 1 watching a 3 =A3, watching b 2 =B\n", ""),
		breaks("Reliable", "the scan is one that began before", append(nothing, "2000 op", "1200 publish 1 modified a 3 =A3\n2000 op")...),
		breaks("Reliable", "what it has found comes after the greeting", "1121 got 1 modified a 3 =A3\n1122 handled c modified a 3 =A3\n1130 got 1 watching a 3 =A3, watching b 2 =B\n", "1120 got 1 watching a 1 =A, watching b 2 =B, modified a 3 =A3\n"),
		breaks("Reliable", "what it has found is not handed on", "1122 handled c modified a 3 =A3\n", ""),
		breaks("Reliable", "what could not be read is not reported", "1000 op write a 3", "1000 op write a 3\n1050 fault fail b !input/output error\n1150 heal fail b"),
		breaks("Timely", "the scan is late", "1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 end c scanned\n1131 leave 1", "1500 got 1 watching a 3 =A3, watching b 2 =B\n1501 end c scanned\n1501 leave 1"),
		breaks("Reliable", "it does not end", "1131 end c scanned\n1131 leave 1\n", "1131 leave 1\n"),
		breaks("Timely", "the scan is never over", "1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 end c scanned\n1131 leave 1\n", "", "2100 publish 1 modified b 4 =B4", "2100 publish 1 modified b 4 =B4\n2101 got 1 modified b 4 =B4\n2102 handled c modified b 4 =B4"),

		sound("nothing was changed", "1000 op write a 3", "1113 op write a 3", "2000 op", "1500 publish 1 modified a 3 =A3\n2000 op", nothing[0], nothing[1]),
		sound("changed while it asks, and reported", "1000 op write a 3", "1113 op write a 3"),
		sound("the scan of an interval has found it", "1110 join", "1105 publish 1 modified a 3 =A3\n1110 join", "text watching a 1", "text watching a 3", "1112 got 1 watching a 1 =A", "1112 got 1 watching a 3 =A3", "1120 publish 1 modified a 3 =A3\n1121 got 1 modified a 3 =A3\n1122 handled c modified a 3 =A3\n", ""),
		sound("the client drops a change after the greeting", "1130 got 1 watching a 3 =A3, watching b 2 =B", "1129 op write b 3\n1130 publish 1 modified b 3 =B3\n1130 got 1 watching a 3 =A3, watching b 2 =B, modified b 3 =B3"),
		sound("what could not be read is reported", "1000 op write a 3", "1000 op write a 3\n1050 fault fail b !input/output error\n1150 heal fail b", "1120 publish 1 modified a 3 =A3", "1120 publish 1 modified a 3 =A3, unreadable b !input/output error =BX",
			"1121 got 1 modified a 3 =A3", "1121 got 1 modified a 3 =A3, unreadable b !input/output error =BX", "1122 handled c modified a 3 =A3", "1122 handled c modified a 3 =A3, unreadable b !input/output error =BX",
			"1130 got 1 watching a 3 =A3, watching b 2 =B", "1130 got 1 watching a 3 =A3, watching b !input/output error =BX"),
		sound("the connection is disturbed", "1100 options", "1100 fault stall @c\n1100 options", "1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 end c scanned\n1131 leave 1", "1500 got 1 watching a 3 =A3, watching b 2 =B\n1501 heal stall @c\n1501 end c scanned\n1501 leave 1"),
		sound("calls are slow", "1100 options", "1100 fault slow a\n1100 options", "1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 end c scanned\n1131 leave 1", "1500 got 1 watching a 3 =A3, watching b 2 =B\n1501 heal slow a\n1501 end c scanned\n1501 leave 1"),
		sound("a scan before it took long, for want of descriptors", "1000 op", "700 fault inconclusive !too many open files\n1050 heal inconclusive\n1000 op", "1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 end c scanned\n1131 leave 1", "1463 got 1 watching a 3 =A3, watching b 2 =B\n1464 end c scanned\n1464 leave 1"),
		breaks("Timely", "a scan before it took long, and not so long", "1000 op", "1000 fault inconclusive !too many open files\n1050 heal inconclusive\n1000 op", "1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 end c scanned\n1131 leave 1", "1463 got 1 watching a 3 =A3, watching b 2 =B\n1464 end c scanned\n1464 leave 1"),
		sound("it is stopped", "1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 end c scanned", "1131 end c stopped"),
		sound("it connects again, and asks again", "1120 publish", "1115 leave 1\n1216 join c 1 2\n1217 got 2 watching a 1 =A, watching b 2 =B\n1220 publish", "1121 got 1", "1221 got 2", "1122 handled", "1222 handled", "1130 got 1", "1230 got 2", "1131 end", "1231 end", "1131 leave 1", "1231 leave 2"),
	)
}

// With COMMAND, that has run on all when the client ends.
const askedCommandScript = `
0 config a b
0 op create a 1
0 op create b 2
100 serve 1 watching a 1 =A, watching b 2 =B
1000 op write a 3
1100 options c -scan -settle=500
1110 join c 1 1
1112 got 1 watching a 1 =A, watching b 2 =B
1120 publish 1 modified a 3 =A3
1121 got 1 modified a 3 =A3
1122 handled c command modified a 3 =A3
1130 got 1 watching a 3 =A3, watching b 2 =B
1131 run c modified a 3 =A3
1150 ran c 0
1151 end c scanned
1151 leave 1
`

func TestAskedCommand(t *testing.T) {
	testRows(t, askedCommandScript,
		breaks("Never two", "COMMAND has not run", "1131 run c modified a 3 =A3\n1150 ran c 0\n", ""),
		breaks("Never two", "COMMAND could not be started, and the status is 0", "1131 run c modified a 3 =A3\n1150 ran c 0\n", "1131 ran c 0 not started\n"),
		breaks("Never two", "COMMAND has failed, and the status is 0", "1150 ran c 0", "1150 ran c 1"),
		breaks("Never two", "COMMAND has not failed, and the status is not 0", "1151 end c scanned", "1151 end c scanned 1"),
		breaks("Never two", "COMMAND does not wait for -settle, before the scan is over", "1131 run", "1125 run"),
		breaks("Never two", "COMMAND waits, though there is no more", "1131 run c modified a 3 =A3\n1150 ran c 0\n1151 end c scanned\n1151 leave 1", "1151 leave 1\n5300 run c modified a 3 =A3\n5350 ran c 0\n5351 end c scanned"),

		sound("nothing was changed", "1000 op write a 3\n", "", "1120 publish 1 modified a 3 =A3\n1121 got 1 modified a 3 =A3\n1122 handled c command modified a 3 =A3\n1130 got 1 watching a 3 =A3, watching b 2 =B\n1131 run c modified a 3 =A3\n1150 ran c 0\n", "1130 got 1 watching a 1 =A, watching b 2 =B\n"),
		sound("-once, and the connection ends before the scan", "-settle=500", "-settle=500 -once", "1130 got 1 watching a 3 =A3, watching b 2 =B\n", "1130 leave 1\n", "1151 end c scanned\n1151 leave 1", "1151 end c failed"),
		breaks("Never two", "the connection ends before the scan, and COMMAND does not wait", "1130 got 1 watching a 3 =A3, watching b 2 =B\n", "1130 leave 1\n", "1151 end c scanned\n1151 leave 1", "1151 end c stopped"),
		sound("COMMAND has failed", "1150 ran c 0", "1150 ran c 3", "1151 end c scanned", "1151 end c scanned 3"),
		sound("COMMAND could not be started", "1131 run c modified a 3 =A3\n1150 ran c 0\n", "1131 ran c 0 not started\n", "1151 end c scanned", "1151 end c scanned 126"),
	)
}
