package proof

import (
	"strings"
	"testing"
)

// A server with -once ends with what its receiver has handed on.
const onceScript = `
0 config a
0 op create a 1
100 serve 1 once watching a 1 =A
110 join l 1 1 local
111 got 1 watching a 1 =A
1000 fault fail a !input/output error
1500 publish 1 unreadable a !input/output error =X
1501 got 1 unreadable a !input/output error =X
1502 handled l unreadable a !input/output error =X
2000 heal fail a
2500 publish 1 readable a 1 =A
2501 got 1 readable a 1 =A
2502 handled l readable a 1 =A
2503 end l once
2503 leave 1 closed
2510 end 1 once
5000 calm
`

func TestOnce(t *testing.T) {
	testRows(t, onceScript,
		breaks("Reliable", "the server goes on", "2503 end l once\n2503 leave 1 closed\n2510 end 1 once\n", ""),
		breaks("Reliable", "the receiver has not handed it on", "2502 handled l readable a 1 =A\n", ""),
		breaks("Honest", "the server ends when something is unreadable", "2000 heal fail a\n2500 publish 1 readable a 1 =A\n2501 got 1 readable a 1 =A\n2502 handled l readable a 1 =A\n2503 end l once\n2503 leave 1 closed\n2510 end 1 once\n", "1503 end l once\n1503 leave 1 closed\n1510 end 1 once\n"),
		breaks("Reliable", "the receiver misses the first change", "110 join l 1 1 local\n111 got 1 watching a 1 =A\n", "", "1501 got 1 unreadable a !input/output error =X\n1502 handled l unreadable a !input/output error =X\n",
			"1600 join l 1 1 local\n1600 got 1 watching a !input/output error =X\n"),
		breaks("Reliable", "with -initial the server waits for a change", "once watching", "once initial watching"),
		sound("with -initial the server waits, because nothing is there", "100 serve 1 once watching a 1 =A", "100 serve 1 once initial watching a !input/output error =X", "111 got 1 watching a 1 =A", "111 got 1 watching a !input/output error =X",
			"0 op create a 1", "0 op create a 1\n0 fault fail a !input/output error", "1000 fault fail a !input/output error\n1500 publish 1 unreadable a !input/output error =X\n1501 got 1 unreadable a !input/output error =X\n1502 handled l unreadable a !input/output error =X\n", ""),
		sound("with -initial the server ends at once", "once watching", "once initial watching", onceScript[strings.Index(onceScript, "1000 fault"):strings.Index(onceScript, "5000 calm")], "112 end l once\n112 leave 1 closed\n112 end 1 once\n"),
		sound("the receiver connects again", "1502 handled l unreadable a !input/output error =X\n", "1502 handled l unreadable a !input/output error =X\n1510 leave 1 dropped\n1610 join l 1 2 local\n1611 got 2 watching a !input/output error =X\n",
			"2501 got 1", "2501 got 2", "2503 leave 1", "2503 leave 2"),
		breaks("Honest", "a server without -once ends", "serve 1 once", "serve 1"),
	)
}

// A server with -once and COMMAND ends with the first run.
const onceCommandScript = `
0 config a
0 op create a 1
100 serve 1 once command watching a 1 =A
105 options l
110 join l 1 1 local
111 got 1 watching a 1 =A
1000 op write a 2
1500 publish 1 modified a 2 =B
1501 got 1 modified a 2 =B
1502 handled l command modified a 2 =B
1503 run l modified a 2 =B
4000 ran l 1
4001 end l once
4001 leave 1 closed
4010 end 1 once
5000 calm
`

func TestOnceCommand(t *testing.T) {
	// A change comes in the run, and another run follows.
	late := []string{"4000 ran l 1\n4001 end l once\n4001 leave 1 closed\n4010 end 1 once\n5000 calm", "3000 op write a 3\n" +
		"3900 publish 1 modified a 3 =C\n3901 got 1 modified a 3 =C\n3902 handled l command modified a 3 =C\n4000 ran l 0\n" +
		"4103 run l modified a 3 =C\n6000 ran l 0\n6001 end l once\n6001 leave 1 closed\n6010 end 1 once\n7000 calm"}
	testRows(t, onceCommandScript,
		breaks("Reliable", "the server goes on", "4001 end l once\n4001 leave 1 closed\n4010 end 1 once\n", "9000 leave 1 closed"),
		breaks("Honest", "the server ends before the run", "1503 run l modified a 2 =B\n4000 ran l 1\n", ""),
		breaks("Honest", "it runs at the start", "1000 op write a 2\n1500 publish 1 modified a 2 =B\n1501 got 1 modified a 2 =B\n1502 handled l command modified a 2 =B\n1503 run l modified a 2 =B\n", "1503 run l\n"),
		sound("it runs at the start, with -initial", "105 options l", "105 options l -initial", "1000 op write a 2\n1500 publish 1 modified a 2 =B\n1501 got 1 modified a 2 =B\n1502 handled l command modified a 2 =B\n1503 run l modified a 2 =B\n", "1503 run l\n"),
		sound("-restart ends the first run", "105 options l", "105 options l -restart", "4000 ran l 1", "2000 op write a 3\n2500 publish 1 modified a 3 =C\n2501 got 1 modified a 3 =C\n2502 handled l command modified a 3 =C\n"+
			"2503 ran l 143 killed\n2504 run l modified a 2 =B, modified a 3 =C\n4000 ran l 0"),
		sound("-restart, and the run ends while a change settles", "105 options l", "105 options l -restart -settle=200", "1503 run l", "1703 run l", late[0], late[1]),
		breaks("Reliable", "it goes on after a run in which a change came", "105 options l", "105 options l -restart", late[0], late[1]),
		sound("the server is stopped", "4000 ran l 1\n4001 end l once", "4000 ran l 143 killed\n4001 end l stopped", "4010 end 1 once", "4010 end 1 stopped"),
	)
}
