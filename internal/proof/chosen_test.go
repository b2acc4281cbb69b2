package proof

import "testing"

// What is chosen is reported, and of d/s, which is only entered, that it cannot be read.
// The client r chooses still less: d/s is left out.
const chosenScript = `
0 config d -only=*.c -ignore=x.c
0 op mkdir d
0 op mkdir d/s
0 op create d/a.c 1
0 op create d/b 2
100 serve 1 watching d =A
149 options r -ignore=s/
150 join r 1 1
151 got 1 watching d =A
1000 op create d/s/a.c 3
1000 op create d/s/b 4
1000 op create d/x.c 5
1000 op write d/a.c 6
1500 publish 1 modified d/a.c 6 =B, created d/s/a.c 3 =C
1501 got 1 modified d/a.c 6 =B, created d/s/a.c 3 =C
1502 handled r modified d/a.c 6 =B
2000 fault fail d/s !input/output error
4200 fault fail d/x.c !input/output error
2500 publish 1 unreadable d/s/ !input/output error =D
2501 got 1 unreadable d/s/ !input/output error =D
4000 heal fail d/s
4500 publish 1 readable d/s/ =C
4501 got 1 readable d/s/ =C
5000 op mkdir d/t
5900 heal fail d/x.c
6000 calm
13000 fresh watching d =C
`

func TestChosen(t *testing.T) {
	testRows(t, chosenScript,
		breaks("Legal, Honest", "a file that is not chosen", ", created d/s/a.c 3 =C\n1501", ", created d/b 2 =B2, created d/s/a.c 3 =C\n1501",
			"got 1 modified d/a.c 6 =B,", "got 1 modified d/a.c 6 =B, created d/b 2 =B2,", "1502 handled r modified d/a.c 6 =B", "1502 handled r modified d/a.c 6 =B, created d/b 2 =B2"),
		breaks("Legal", "a directory that is only entered", "5000 op mkdir d/t", "5000 op mkdir d/t\n5500 publish 1 created d/t/ =E\n5500 got 1 created d/t/ =E\n5500 handled r created d/t/ =E",
			"fresh watching d =C", "fresh watching d =E"),
		breaks("Reliable, Honest", "a file that is chosen is not reported", "created d/s/a.c 3 =C\n1501", "created d/q.c 3 =C\n1501"),
		breaks("Honest", "the client hands on what it leaves out", "1502 handled r modified d/a.c 6 =B", "1502 handled r modified d/a.c 6 =B, created d/s/a.c 3 =C"),
		breaks("Reliable", "the client leaves out what it chooses", "1502 handled r modified d/a.c 6 =B", ""),
		breaks("Reliable", "a directory that is only entered cannot be read, and is not reported", "2500 publish 1 unreadable d/s/ !input/output error =D", "", "2501 got 1 unreadable d/s/ !input/output error =D", "",
			"4500 publish 1 readable d/s/ =C", "", "4501 got 1 readable d/s/ =C", ""),
	)
}

// A change restarts COMMAND when nothing has changed for 500 ms.
const timingScript = `
0 config a
0 op create a 1
100 serve 1 watching a 1 =A
140 options c -settle=500 -restart -initial
150 join c 1 1
151 got 1 watching a 1 =A
152 run c
1000 op write a 2
1500 publish 1 modified a 2 =B
1501 got 1 modified a 2 =B
1502 handled c modified a 2 =B
1550 op write a 3
1900 publish 1 modified a 3 =C
1900 got 1 modified a 3 =C
1900 handled c modified a 3 =C
2400 ran c 143 killed
2400 run c modified a 2 =B, modified a 3 =C
2500 ran c 0
4000 calm
20000 fresh watching a 3 =C
`

func TestTiming(t *testing.T) {
	testRows(t, timingScript,
		breaks("Never two", "the run is not ended", "2400 ran c 143 killed\n2400 run", "3000 ran c 0\n3000 run", "2500 ran", "3500 ran"),
		breaks("Never two", "it is ended too early", "2400 ran", "2100 ran", "2400 run", "2100 run"),
		sound("it is ended early, with the client", "2400 ran c 143 killed\n2400 run c modified a 2 =B, modified a 3 =C\n2500 ran c 0", "2100 ran c 143 killed\n2100 end c stopped"),
		sound("it is ended with the client, without -restart", " -restart", "", "2400 run c modified a 2 =B, modified a 3 =C\n2500 ran c 0", "2400 end c stopped"),
		breaks("Never two", "it is ended without -restart", " -restart", ""),
		breaks("Never two", "it is ended too early, and never begins", "2400 ran", "2100 ran", "2400 run c modified a 2 =B, modified a 3 =C\n2500 ran c 0", ""),
		breaks("Never two", "it is ended without a change", "2500 ran c 0", "2500 ran c 143 killed\n2500 run c modified a 2 =B, modified a 3 =C\n2600 ran c 0"),
		breaks("Never two", "it begins too early", "2400 ran c 143 killed\n2400 run", "1600 ran c 0\n2000 run"),
		breaks("Never two", "it begins too late", "2400 ran c 143 killed\n2400 run", "1600 ran c 0\n7000 run", "2500 ran", "7500 ran"),
		breaks("Never two", "it never begins", "2400 run c modified a 2 =B, modified a 3 =C\n2500 ran c 0", ""),
		breaks("Reliable", "the events of a run that was ended are gone", "2500 ran c 0", "2500 ran c 0\n2600 op write a 4\n2700 publish 1 modified a 4 =D\n2700 got 1 modified a 4 =D\n2700 handled c modified a 4 =D\n3200 run c modified a 4 =D\n3300 ran c 0",
			"2500 ran c 0\n2600", "3200 ran c 143 killed\n2600", "20000 fresh watching a 3 =C", "20000 fresh watching a 4 =D"),
		breaks("Honest", "a run at the start without -initial", " -initial", ""),
		sound("without the first run", "152 run c\n", "", "2400 ran c 143 killed\n", ""),
		sound("it could not be started for long", "2400 run", "2400 ran c 0 not started\n7000 run", "2500 ran", "7500 ran"),
		sound("the options are not known", "140 options c -settle=500 -restart -initial", "", "2400 ran c 143 killed\n2400 run", "2600 ran c 0\n2700 run", "2500 ran", "3500 ran"),
	)
}
