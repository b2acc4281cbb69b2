package proof

import "testing"

// Files and directories come, change and go; one scan takes 50 ms at most.
const reportsScript = `
0 config d e/f
0 op mkdir d
0 op create d/a 1
0 op create d/b 2
0 op mkdir d/s
0 op create d/s/x 3
0 op mkdir e
0 op create e/f 4
100 serve 1 watching d =A, watching e/f 4 =F4
1000 op write d/a 5
1000 op write e/f 6
1500 publish 1 modified d/a 5 =B, modified e/f 6 =F6
2000 op rename d/b d/c
2000 op remove e/f
2500 publish 1 removed d/b =C, created d/c 2 =D, removed e/f =0
3000 op write d/a 7
3100 op write d/a 8
3200 op create d/n 9
3300 op remove d/n
3500 publish 1 modified d/a 8 =E
4000 op rename d/s d/t
4500 publish 1 removed d/s/x =F, removed d/s/ =G, created d/t/ =H, created d/t/x 3 =I
5000 op remove d/t
5000 op create d/t 10
5500 publish 1 removed d/t/x =J, removed d/t/ =K, created d/t 10 =L
20000 end 1 stopped
`

// The start has waited 5 s for another target, and scanned this one meanwhile.
const slowStartScript = `
0 config e
0 op create e 1
1000 op write e 2
4500 op write e 3
5100 serve 1 +5000 watching e 2 =A
5200 publish 1 modified e 3 =B
9000 end 1 stopped
`

func TestSlowStart(t *testing.T) {
	testRows(t, slowStartScript,
		breaks("Timely", "the greeting has what the first scan found", "watching e 2 =A", "watching e 1 =A"),
		breaks("Reliable", "a change while it waited is not reported", "5200 publish 1 modified e 3 =B", ""),
		sound("the greeting has the last change", "watching e 2 =A", "watching e 3 =A", "5200 publish 1 modified e 3 =B", ""),
	)
}

func TestReports(t *testing.T) {
	testRows(t, reportsScript,
		breaks("Reliable", "a change is never reported", "2500 publish 1 removed d/b =C,", "2500 publish 1"),
		breaks("Reliable", "the last change is never reported", ", created d/t 10 =L", ""),
		breaks("Reliable", "a removal is never reported", ", removed e/f =0", ""),
		breaks("Timely", "a change is reported late", "1500 publish 1 modified d/a 5 =B, modified e/f 6 =F6", "1500 publish 1 modified e/f 6 =F6\n2400 publish 1 modified d/a 5 =B"),
		breaks("Timely", "all changes of a scan are late", "5500 publish 1 removed", "6151 publish 1 removed"),
		breaks("Reliable", "a change is reported late, and is over by then", "3500 publish 1 modified d/a 8 =E", "3100 op create d/late 11\n3500 publish 1 modified d/a 8 =E", "5500 publish 1", "5450 op remove d/late\n5500 publish 1"),
		breaks("Honest", "a change that never was", "2500 publish 1", "2300 publish 1 created d/z 12 =Z\n2400 publish 1 removed d/z =B\n2500 publish 1"),
		breaks("Honest", "a file that never was", "created d/c 2 =D, removed e/f =0", "created d/c 2 =D, created d/z 12 =D2, removed e/f =0"),
		breaks("Honest", "a change before it was made", "4000 op rename d/s d/t", "4501 op rename d/s d/t"),
		breaks("Honest", "a removal that never was", "3500 publish 1 modified d/a 8 =E", "3500 publish 1 removed d/c =C2, modified d/a 8 =E"),
		breaks("Honest", "modified, but nothing was written", "2500 publish 1 removed d/b =C,", "2500 publish 1 removed d/b =C, modified d/a 5 ~6 =C2,"),
		breaks("Honest", "an older state comes again", "3500 publish 1 modified d/a 8 =E", "3500 publish 1 modified d/a 8 =E\n3600 publish 1 modified d/a 7 =E2"),
		breaks("Honest", "another size", "created d/t 10 =L", "created d/t 11 =L"),
		breaks("Honest", "the start: another size", "watching e/f 4 =F4", "watching e/f 5 =F4"),
		breaks("Honest", "the start: not there", "watching e/f 4 =F4", "watching e/f missing =0", "modified e/f 6 =F6", "created e/f 6 =F6"),
		breaks("Reliable, Honest", "the other file", "removed d/b =C, created d/c", "removed d/a =C, created d/c", "3500 publish 1 modified d/a 8 =E", "3500 publish 1 created d/a 8 =E"),

		sound("a touch", "2500 publish 1 removed d/b =C,", "2000 op touch d/a\n2500 publish 1 removed d/b =C, modified d/a 5 ~6 =C2,"),
		sound("a touch of what is written then", "3000 op write d/a 7", "3000 op touch d/a"),
		sound("an interval and a scan later", "5500 publish 1 removed", "6050 publish 1 removed"),
		sound("the state before", "3500 publish 1 modified d/a 8 =E", "3500 publish 1 modified d/a 7 =E\n4100 publish 1 modified d/a 8 =E3"),
		sound("an operation that takes long, seen early", "4000 op rename d/s d/t", "", "5000 op remove d/t", "4600 op rename d/s d/t\n5000 op remove d/t",
			"4500 publish 1 removed d/s/x =F, removed d/s/ =G, created d/t/ =H, created d/t/x 3 =I", "4900 publish 1 removed d/s/x =F, removed d/s/ =G, created d/t/ =H, created d/t/x 3 =I"),
		breaks("Honest", "an operation is seen before it began", "4000 op rename d/s d/t", "4600 op rename d/s d/t +50"),
		sound("an operation is seen before it has ended", "4000 op rename d/s d/t", "4600 op rename d/s d/t +100"),
		sound("a hard link", "2500 publish 1 removed d/b =C, created d/c 2 =D,", "2000 op link d/l d/c\n2500 publish 1 removed d/b =C, created d/c 2 =D, created d/l 2 =D2,",
			"3500 publish 1 modified d/a 8 =E", "3400 op write d/l 20\n3500 publish 1 modified d/a 8 =E, modified d/c 20 =E1, modified d/l 20 =E2"),
		sound("a symbolic link", "2500 publish 1 removed d/b =C, created d/c 2 =D,", "2000 op symlink d/l d/a\n2500 publish 1 removed d/b =C, created d/c 2 =D, created d/l 5 =D2,",
			"3500 publish 1 modified d/a 8 =E", "3500 publish 1 modified d/a 8 =E, modified d/l 8 =E2"),
		sound("a symbolic link to a directory, then to nothing", "2500 publish 1 removed d/b =C, created d/c 2 =D,", "2000 op symlink d/l d/s\n2500 publish 1 removed d/b =C, created d/c 2 =D, created d/l 99 =D2,",
			"removed d/s/ =G,", "removed d/s/ =G, removed d/l =G9,"),
		sound("directories are swapped", "4000 op rename d/s d/t\n", "3900 op mkdir d/t\n4000 op swap d/t d/s\n4000 op remove d/s\n"),
		sound("a file and a directory are swapped", "4000 op rename d/s d/t", "3900 op mkdir d/q\n4000 op swap d/q d/c\n4000 op rename d/s d/t",
			"removed d/s/ =G, created d/t/ =H", "removed d/s/ =G, removed d/c =G1, created d/c/ =G2, created d/q 2 =G3, created d/t/ =H"),
		sound("a file takes the place of another", "3500 publish 1 modified d/a 8 =E", "3400 op rename d/c d/a\n3500 publish 1 removed d/c =E1, modified d/a 2 =E"),
		sound("a rename between two names of a file", "2500 publish 1 removed d/b =C, created d/c 2 =D,", "2000 op link d/l d/c\n2001 op rename d/l d/c\n2500 publish 1 removed d/b =C, created d/c 2 =D, created d/l 2 =D2,"),
		sound("a target becomes a directory", "5500 publish 1 removed d/t/x =J, removed d/t/ =K, created d/t 10 =L", "5000 op create e/f 11\n5500 publish 1 removed d/t/x =J, removed d/t/ =K, created d/t 10 =L, created e/f 11 =F11",
			"20000 end", "6000 op remove e/f\n6000 op mkdir e/f\n6500 publish 1 removed e/f =0, created e/f =FD\n20000 end"),
	)
}

// Paths fail, hang, are slow and inconclusive.
const faultsScript = `
0 config d h/f g/f
0 op mkdir d
0 op create d/a 1
0 op mkdir d/s
0 op create d/s/x 2
0 op mkdir h
0 op create h/f 3
0 op mkdir g
0 op create g/f 4
100 serve 1 watching d =A, watching h/f 3 =H3, watching g/f 4 =G4
1000 fault fail d/a !permission denied
1500 publish 1 unreadable d/a !permission denied =B
1600 op write d/a 5
3000 heal fail d/a
3500 publish 1 modified d/a 5 =C
4000 fault fail d/s !input/output error
4500 publish 1 unreadable d/s/ !input/output error =D
4600 op remove d/s/x
4600 op create d/s/y 6
6000 heal fail d/s
6500 publish 1 readable d/s/ =E, removed d/s/x =F, created d/s/y 6 =G
10000 fault hang h/f
10500 op write g/f 7
11000 publish 1 modified g/f 7 =G7
11500 op write h/f 8
15500 publish 1 unreadable h/f !file system not responding for 5s =HX
20000 heal hang h/f
20500 publish 1 modified h/f 8 =H8
21000 fault inconclusive d/a !too many open files
21500 op write d/a 9
26600 publish 1 unreadable d/a !too many open files =I
30000 heal inconclusive d/a
30500 publish 1 modified d/a 9 =J
31000 fault slow h/f
31500 op write h/f 10
34500 publish 1 modified h/f 10 =H10
35000 heal slow h/f
40000 fault inconclusive d/a !too many open files
40500 heal inconclusive d/a
50000 end 1 stopped
`

func TestFaults(t *testing.T) {
	testRows(t, faultsScript,
		breaks("Honest", "removed while it is only unreadable", "unreadable d/a !permission denied =B", "removed d/a =B", "modified d/a 5 =C", "created d/a 5 =C"),
		breaks("Honest", "a directory is removed while it is only unreadable", "unreadable d/s/ !input/output error =D", "removed d/s/x =D1, removed d/s/ =D", "readable d/s/ =E, removed d/s/x =F, created d/s/y 6 =G", "created d/s/ =E, created d/s/y 6 =G"),
		breaks("Honest", "the reason is that of something else", "unreadable d/a !permission denied =B", "unreadable d/a !input/output error =B"),
		breaks("Honest", "unreadable before the fault", "1000 fault fail", "1550 fault fail"),
		breaks("Honest", "unreadable though nothing fails", "11000 publish 1", "10900 publish 1 unreadable d/s/y !input/output error =G2\n11000 publish 1"),
		breaks("Honest", "hung though it hangs elsewhere", "15500 publish 1", "15500 publish 1 unreadable g/f !file system not responding for 5s =GX\n16000 publish 1 readable g/f 7 =G7\n16000 publish 1"),
		breaks("Honest", "hung too early", "15500 publish 1 unreadable", "13500 publish 1 unreadable"),
		breaks("Honest", "inconclusive calls are reported at once", "26600 publish 1", "22000 publish 1"),
		breaks("Honest", "a few inconclusive calls are reported", "40500 heal inconclusive d/a", "40500 heal inconclusive d/a\n41000 publish 1 unreadable d/a !too many open files =K\n41500 publish 1 readable d/a 9 =L"),
		breaks("Reliable", "unreadable is never reported", "1500 publish 1 unreadable d/a !permission denied =B", ""),
		breaks("Timely", "unreadable is reported late", "1500 publish 1 unreadable", "2400 publish 1 unreadable"),
		breaks("Reliable", "hung is never reported", "15500 publish 1 unreadable h/f !file system not responding for 5s =HX", ""),
		breaks("Reliable", "inconclusive is never reported", "26600 publish 1 unreadable d/a !too many open files =I", ""),
		breaks("Reliable", "readable is never reported", "6500 publish 1 readable d/s/ =E, removed d/s/x =F, created d/s/y 6 =G", ""),
		breaks("Timely", "readable is reported late", "3500 publish 1 modified", "4400 publish 1 modified", "3000 heal fail d/a", "3000 heal fail d/a\n3001 op touch d/a"),
		breaks("Honest", "readable while it fails", "1600 op write d/a 5", "1600 op write d/a 5\n2800 publish 1 readable d/a 1 =A\n2900 publish 1 unreadable d/a !permission denied =B"),
		breaks("Reliable", "what is in a directory is not reported when it is readable again", ", removed d/s/x =F, created d/s/y 6 =G", ""),
		breaks("Timely", "what hangs elsewhere delays a target", "11000 publish 1 modified g/f 7 =G7\n", "", "15500 publish 1 unreadable h/f !file system not responding for 5s =HX", "15500 publish 1 unreadable h/f !file system not responding for 5s =HX, modified g/f 7 =G7"),
		breaks("Honest", "removed after it hung, though it is there", "20500 publish 1 modified h/f 8 =H8", "20500 publish 1 removed h/f =0\n20501 publish 1 created h/f 8 =H8"),
		breaks("Reliable", "a slow target is reported after it is slow no more, and more", "34500 publish 1 modified h/f 10 =H10\n", ""),

		sound("calls tell nothing for one reason and then for another", "26600 publish 1 unreadable d/a !too many open files =I", "24000 heal inconclusive d/a\n24000 fault inconclusive d/a !cannot allocate memory\n26600 publish 1 unreadable d/a !cannot allocate memory =I"),
		breaks("Honest", "calls tell nothing, and nothing again after a while", "26600 publish 1 unreadable d/a !too many open files =I", "22000 heal inconclusive d/a\n22500 publish 1 modified d/a 9 =H9\n24000 fault inconclusive d/a !too many open files\n26600 publish 1 unreadable d/a !too many open files =I",
			"30500 publish 1 modified d/a 9 =J", "30500 publish 1 readable d/a 9 =J"),
		sound("a directory is denied while what is in it hangs", "50000 end", "41000 fault hang d/s\n42000 fault fail d !permission denied\n42000 heal hang d/s\n42000 publish 1 unreadable d/s/ !permission denied =K\n42100 heal fail d\n43000 publish 1 readable d/s/ =L\n50000 end"),
		breaks("Honest", "a directory is denied, and what is in it is reported", "50000 end", "42000 fault fail d !permission denied\n42000 publish 1 unreadable d/s/ !permission denied =K\n42100 heal fail d\n43000 publish 1 readable d/s/ =L\n50000 end"),
		sound("a slow target hangs", "34500 publish 1", "36600 publish 1 unreadable h/f !file system not responding for 5s =HX\n36700 publish 1", "35000 heal slow h/f", "36600 heal slow h/f"),
		sound("a slow target is late", "34500 publish 1", "36000 publish 1"),
		sound("a fault is too short to be seen", "40000 fault", "39000 fault fail d/a !permission denied\n39100 heal fail d/a\n40000 fault"),
		sound("unreadable for another reason then", "1600 op write d/a 5", "1600 op write d/a 5\n1700 heal fail d/a\n1700 fault fail d/a !input/output error", "3000 heal fail d/a", "3000 heal fail d/a"),
		sound("unreadable, and removed with its directory", "6000 heal fail d/s\n6500 publish 1 readable d/s/ =E, removed d/s/x =F, created d/s/y 6 =G", "5000 op remove d/s\n5500 publish 1 removed d/s/x =E, removed d/s/ =F\n6000 heal fail d/s"),
		sound("a target below a directory that fails", "50000 end", "41500 fault fail g !stale file handle\n42000 publish 1 unreadable g/f !stale file handle =GX\n43000 heal fail g\n43500 publish 1 readable g/f 7 =G7\n50000 end"),
		sound("a fault ends in the millisecond of a report, and begins", "3000 heal fail d/a", "3500 heal fail d/a\n3500 fault fail d/a !permission denied\n3501 heal fail d/a"),
		sound("a directory that fails becomes a file that fails", "6000 heal fail d/s\n6500 publish 1 readable d/s/ =E, removed d/s/x =F, created d/s/y 6 =G",
			"5000 op remove d/s\n5000 op create d/s 30\n5500 publish 1 unreadable d/s !input/output error =D1\n6000 heal fail d/s\n6500 publish 1 removed d/s/x =E, removed d/s/ =F, readable d/s 30 =G"),
		sound("a directory that fails becomes a file that fails, and a directory again", "6000 heal fail d/s\n6500 publish 1 readable d/s/ =E, removed d/s/x =F, created d/s/y 6 =G",
			"5000 op remove d/s\n5000 op create d/s 30\n5500 publish 1 unreadable d/s !input/output error =D1\n5600 op remove d/s\n5600 op mkdir d/s\n6000 heal fail d/s\n6500 publish 1 readable d/s/ =E, removed d/s/x =F, removed d/s =G"),
		sound("a target that hung is a directory now", "20500 publish 1 modified h/f 8 =H8", "19000 op mkdir h/g\n19000 op swap h/f h/g\n20100 publish 1 removed h/f =0, created h/f =HD\n20200 op swap h/f h/g\n20500 publish 1 removed h/f =0, created h/f 8 =H8"),
		sound("an old error, after two slow calls", "50000 end", "41000 fault fail d/a !permission denied\n41100 heal fail d/a\n41050 fault slow d/b\n43000 heal slow d/b\n42500 fault slow d/c\n47000 heal slow d/c\n"+
			"47500 publish 1 unreadable d/a !permission denied =K\n47600 publish 1 readable d/a 9 =L\n50000 end"),
		sound("readable before it is recorded", "3000 heal fail d/a", "3510 heal fail d/a +20"),
		breaks("Honest", "readable before the fault could have ended", "3000 heal fail d/a", "3510 heal fail d/a +5"),
		sound("late after a slow call", "34500 publish 1", "39000 publish 1", "35000 heal slow h/f", "35000 heal slow h/f *4000"),
		sound("a link to what fails", "0 op create g/f 4", "0 op create g/f 4\n0 op create z 50\n0 op symlink d/l z", "50000 end", "41000 fault fail z !permission denied\n41500 publish 1 unreadable d/l !permission denied =Z\n42000 heal fail z\n42500 publish 1 readable d/l 50 =J\n50000 end"),
		sound("stopped", "34500 publish 1 modified h/f 10 =H10\n", "34000 fault stop\n", "35000 heal slow h/f", "35000 heal slow h/f\n38000 heal stop\n38500 publish 1 modified h/f 10 =H10"),
	)
}

// A server is stopped, another one is killed, and both are started again. Before, a target
// has changed or not, and the third one cannot read its targets at first.
const restartScript = `
0 config d e
0 op mkdir d
0 op create d/a 1
0 op mkdir e
0 op create e/b 2
100 serve 1 watching d =A, watching e =E
1000 op write d/a 3
1500 publish 1 modified d/a 3 =B
4000 end 1 stopped
5000 op write d/a 4
6000 serve 2 watching d =C, watching e =E
7000 op write e/b 5
7500 publish 2 modified e/b 5 =F
9000 fault hang d
9000 fault fail e !permission denied
9200 end 2 killed
9300 op create d/c 6
9300 op create e/c 7
15000 serve 3 watching d !initial scan not finished after 5s =X, watching e !permission denied =X
16000 heal hang d
16000 heal fail e
16500 publish 3 readable d =G, readable e =H, created e/b 5 =I, created e/c 7 =J
17000 op write d/c 8
17500 publish 3 modified d/c 8 =K
18000 op remove d
18500 publish 3 removed d/c =L, removed d/a =M, removed d =0
30000 end 3 stopped
`

func TestRestart(t *testing.T) {
	testRows(t, restartScript,
		breaks("Reliable", "changed meanwhile, and the state is the same", "serve 2 watching d =C", "serve 2 watching d =B"),
		breaks("Honest", "not changed meanwhile, and the state is another", "watching d =C, watching e =E", "watching d =C, watching e =E2"),
		breaks("Honest", "not changed at all", "5000 op write d/a 4", ""),
		breaks("Reliable", "a change after the restart is not reported", "7500 publish 2 modified e/b 5 =F", ""),
		breaks("Reliable", "a change before the end is not reported", "4000 end", "2000 op write d/a 9\n4000 end"),
		breaks("Reliable", "what could not be read before is not reported", ", created e/c 7 =J", ""),
		breaks("Honest", "the start: unreadable for no reason", "9000 fault hang d", "15500 fault hang d", "17000 op write d/c 8", "17000 op write d/c 8\n17001 fault hang d\n18000 heal hang d"),

		sound("a change just before the end", "4000 end", "3900 op write d/a 9\n4000 end"),
		sound("the end takes long", "4000 end 1 stopped", "2000 op write d/a 9\n4000 end 1 stopped 1950"),
		sound("the start: calls tell nothing of what is below, for long", "9000 fault fail e !permission denied", "9000 fault inconclusive e/b !too many open files", "watching e !permission denied =X", "watching e !too many open files =X", "16000 heal fail e", "14900 heal inconclusive e/b", ", created e/b 5 =I, created e/c 7 =J", ""),
		sound("the start: a directory that cannot be read any more, and is a file then", "9000 fault fail e !permission denied", "14960 fault fail e !permission denied", "0 op create e/b 2", "0 op create e/b 2\n0 op create z 50", "16000 heal fail e", "15500 op swap e z\n16000 heal fail e",
			"readable e =H, created e/b 5 =I, created e/c 7 =J", "removed e/c =H1, removed e/b =H2, removed e =0, created e 50 =H3"),
		sound("the start: a reason of before the one at the end", "9000 fault fail e !permission denied", "9000 fault fail e !permission denied\n9000 fault inconclusive d/a !too many open files", "15000 serve 3", "11000 heal fail e\n11000 fault fail e !input/output error\n15000 serve 3", "16000 heal hang d", "16000 heal inconclusive d/a\n16000 heal hang d"),
		sound("what hung at the start is gone", "9300 op create d/c 6", "9300 op remove d", "16500 publish 3 readable d =G, readable", "16500 publish 3 removed d =0, readable", "17000 op write d/c 8", "", "17500 publish 3 modified d/c 8 =K", "",
			"18000 op remove d", "", "18500 publish 3 removed d/c =L, removed d/a =M, removed d =0", ""),
		sound("it hangs and fails at the start, and is readable alone", "9000 fault hang d", "9000 fault hang d\n9000 fault fail d !input/output error", "16000 heal hang d", "15900 heal fail d\n16000 heal hang d"),
		sound("the same state, with changes below what cannot be read", "4000 end", "2000 op mkdir e/s\n2000 op create e/s/x 30\n2400 publish 1 created e/s/ =E1, created e/s/x 30 =E2\n2500 fault fail e/s !permission denied\n3000 publish 1 unreadable e/s/ !permission denied =E3\n3500 op remove e/s/x\n4000 end",
			"watching d =C, watching e =E", "watching d =C, watching e =E3", "7500 publish 2 modified e/b 5 =F", "6500 heal fail e/s\n7500 publish 2 readable e/s/ =E4, modified e/b 5 =F", "created e/c 7 =J", "created e/c 7 =J, created e/s/ =J2"),
		sound("changes while the first scan hangs", "16000 heal hang d", "15500 op write d/a 20\n15500 op create d/n 21\n16000 heal hang d", "removed d/c =L, removed d/a", "removed d/n =L0, removed d/c =L, removed d/a"),
		sound("no descriptors at the start, but for some calls", "4000 end", "3800 op mkdir d/s\n3900 fault inconclusive !too many open files\n4000 end", "7000 op write e/b 5", "6900 heal inconclusive\n7000 op write e/b 5", "removed d/c =L", "removed d/s/ =L0, removed d/c =L"),
		sound("a fault at both ends", "4000 end", "3000 fault fail e/b !permission denied\n3500 publish 1 unreadable e/b !permission denied =E1\n4000 end", "watching d =C, watching e =E", "watching d =C, watching e =E1", "\n7000 op", "\n6500 heal fail e/b\n7000 op"),
	)
}

// A file becomes a directory while a server starts, and that cannot be listed.
const startScript = `
0 config f
0 op create f 1
0 op mkdir g
0 op create g/a 2
4950 fault inconclusive f !too many open files
4970 op swap f g
5000 serve 1 watching f missing =0
10000 publish 1 unreadable f !too many open files =X
12000 heal inconclusive f
12500 publish 1 created f =A, created f/a 2 =B
20000 end 1 stopped
`

func TestReportsStart(t *testing.T) {
	testRows(t, startScript,
		breaks("Honest", "it was a file by then", "4970 op", "5001 op"),
		breaks("Honest", "it was a directory before", "4970 op", "4900 op"),
		breaks("Reliable", "it is never unreadable", "10000 publish 1 unreadable f !too many open files =X\n", ""),
	)
}
