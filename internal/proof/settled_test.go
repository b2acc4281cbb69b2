package proof

import "testing"

// Three readers of JSON and text, and a client, one of which is disturbed for a time.
const settledScript = `
0 config d e
0 op mkdir d
0 op create d/a 1
0 op create e 2
100 serve 1 watching d =A, watching e 2 =E
150 join r 1 1
151 got 1 watching d =A, watching e 2 =E
160 join t 1 2
161 got 2 text watching d, watching e 2
170 join c 1 3
171 got 3 watching d =A, watching e 2 =E
180 join s 1 4
181 got 4 watching d =A, watching e 2 =E
1000 op write d/a 3
1000 fault stall @s
1500 publish 1 modified d/a 3 =B
1510 got 1 modified d/a 3 =B
1520 got 2 text modified d/a 3 =B
1530 got 3 modified d/a 3 =B
1531 handled c modified d/a 3 =B
3000 got 4 modified d/a 3 =B
3000 heal stall @s
4000 op write d/a 4
4500 publish 1 modified d/a 4 =C
4510 got 1 modified d/a 4 =C
4520 got 2 text modified d/a 4 =C
4530 got 3 modified d/a 4 =C
4531 handled c modified d/a 4 =C
4540 got 4 modified d/a 4 =C
5000 calm
12000 fresh watching d =C, watching e 2 =E
12500 got 1 text watching d, watching e 2
`

func TestDelivery(t *testing.T) {
	testRows(t, settledScript,
		breaks("Timely", "a change comes late", "1510 got 1", "1601 got 1"),
		breaks("Timely", "a line of text comes late", "1520 got 2", "1601 got 2"),
		breaks("Timely", "a greeting comes late", "151 got 1", "251 got 1"),
		breaks("Timely", "a change is late though another reader is disturbed", "3000 heal stall @s", "3000 heal stall @s\n3001 fault stall @r\n3200 heal stall @r", "4540 got 4", "4700 got 4"),
		breaks("Timely", "a change comes long after the disturbance", "1000 fault stall @s", "", "3000 heal stall @s", "1000 fault stall @s\n1300 heal stall @s"),

		sound("within 100 ms", "1510 got 1", "1600 got 1"),
		sound("it left", "1510 got 1 modified d/a 3 =B", "1511 leave 1", "4510 got 1 modified d/a 4 =C", "", "12500 got 1 text watching d, watching e 2", ""),
		sound("the server ended", "5000 calm", "4501 end 1 stopped\n5000 calm", "4510 got 1 modified d/a 4 =C\n", "", "12500 got 1 text watching d, watching e 2", ""),
		sound("the process was stopped", "1000 fault stall @s", "1000 fault stall @s\n1400 fault stop\n1900 heal stop", "1510 got 1", "1900 got 1"),
	)
}

func TestConvergent(t *testing.T) {
	testRows(t, settledScript,
		breaks("Convergent", "a server has another state than a fresh one", "fresh watching d =C", "fresh watching d =D"),
		breaks("Convergent", "a server has another size than a fresh one", "fresh watching d =C, watching e 2 =E", "fresh watching d =C, watching e 3 =E"),
		breaks("Convergent", "a target is not there any more", "fresh watching d =C, watching e 2 =E", "fresh watching d =C, watching e missing =E"),
		breaks("Convergent, Timely", "a reader lacks the last change", "4510 got 1 modified d/a 4 =C", "", "12500 got 1 text watching d, watching e 2", ""),
		breaks("Convergent, Timely", "a reader gets the last change after the deadline", "4510 got 1 modified d/a 4 =C", "12001 got 1 modified d/a 4 =C"),
		breaks("Convergent, Timely", "a reader of text lacks the last change", "4520 got 2 text modified d/a 4 =C", ""),
		breaks("Reliable, Convergent", "a client has not handed on the last change", "4531 handled c modified d/a 4 =C", ""),
		breaks("Once, Convergent", "a client has last handed on something else", "4531 handled c modified d/a 4 =C", "4531 handled c modified d/a 4 =C\n4532 handled c modified d/a 3 =B\n4533 handled c"),
		breaks("Convergent, Timely", "a connection has no greeting", "180 join s 1 4", "170 join s 1 5\n180 join s 1 4"),

		sound("a reader is not connected", "4510 got 1 modified d/a 4 =C", "4500 leave 1", "12500 got 1 text watching d, watching e 2", ""),
		sound("a reader connects after the deadline", "12500 got 1 text watching d, watching e 2", "12500 join l 1 7"),
		sound("no server is there", "12000 fresh", "5001 end 1 stopped\n12000 fresh", "12500 got 1 text watching d, watching e 2", ""),
		sound("a reader gets it at last, disturbed", "4540 got 4", "6000 got 4", "3000 heal stall @s", "6000 heal stall @s"),
	)
}
