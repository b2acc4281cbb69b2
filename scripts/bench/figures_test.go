//go:build linux

package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFigures(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	cpu := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	reports := []report{
		{at(-500), cpu(100), "heart"}, // before
		{at(500), cpu(200), "heart"},
		{at(500), cpu(200), "a"}, // before its append
		{at(1500), cpu(300), "heart"},
		{at(1500), cpu(300), "a"},
		{at(3500), cpu(500), "heart"}, // one scan did not see it
		{at(4500), cpu(600), "heart"},
		{at(4500), cpu(600), "b"},
		{at(4600), cpu(600), "a"},     // again
		{at(9000), cpu(900), "heart"}, // after
	}
	appends := map[string]time.Time{"a": at(1000), "b": at(1500), "never": at(2000)}
	got, err := newFigures(reports, appends, "heart", begin, at(5000))
	want := figures{perSecond: 100, period: 1, perScan: 100, delay: 1.75, worst: 3, unreported: 1, appends: 3}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(figures{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := newFigures(reports[:2], appends, "heart", begin, at(5000)); err == nil {
		t.Error("one report shows how long a scan takes")
	}
}

func TestTable(t *testing.T) {
	table := newTable()
	for round := range 2 {
		table.add(cLoop{}.name(), figures{perSecond: 10, period: 1, perScan: 10, rss: 1, peak: 2})
		table.add("net-watcher", figures{perSecond: 12, period: 1, perScan: 12 + 4*float64(round), delay: 0.5, worst: 1, rss: 5, peak: 6, unreported: round, appends: 20})
	}
	want := "| C loop | 10.0 | 1.00 s | 10.0 | 1.00 | 1.0 (2.0) | |\n" +
		"| net-watcher | 12.0 | 1.00 s | 14.0 | 1.40 | 5.0 (6.0) | 0.50 s, 1.00 s (1 of 40 never) |\n\n" +
		"Scans of net-watcher take 1.40 (1.20 to 1.60) times the CPU time of those of C loop.\n"
	_, got, _ := strings.Cut(table.String(), "|--:|\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFileCalls(t *testing.T) {
	traced := []byte(`7 100.5 newfstatat(AT_FDCWD</x>, "target.txt", {st_mode=S_IFREG|0644, ...}, 0) = 0
7 101.5 newfstatat(AT_FDCWD</x>, "target.txt", {st_mode=S_IFREG|0644, ...}, 0) = 0
7 101.6 read(5<socket:[1]>, "", 64) = 0
7 101.6 epoll_ctl(4, EPOLL_CTL_ADD, 5, {}) = 0
7 101.7 mmap(NULL, 1, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x1
7 101.8 openat(AT_FDCWD</x>, "other", O_RDONLY) = 3</x/other>
7 109.5 newfstatat(AT_FDCWD</x>, "target.txt", {}, 0) = 0
garbage
`)
	want := map[string]int{`newfstatat(AT_FDCWD</x>, "target.txt")`: 2, `openat(AT_FDCWD</x>, "other")`: 1}
	if diff := cmp.Diff(want, fileCalls(traced, time.Unix(100, 0), time.Unix(102, 0))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReasons(t *testing.T) {
	said := "2026-11-22T03:14:04.512+01:00 subscriber disconnected: a (2 now): dropped\n" +
		"2026-11-22T03:14:05.512+01:00 subscribers: 3 more connected, 2 more disconnected, 4 more disconnected (broken pipe), 1 more disconnected (dropped: reads too slowly (more than 64 MiB in flight)) (17 now)\n" +
		"2026-11-22T03:14:06.512+01:00 subscribers: 5 more disconnected (broken pipe) (9 now)\n"
	want := "       9 broken pipe\n       1 dropped: reads too slowly (more than 64 MiB in flight)\n"
	if got := reasons([]byte(said)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := subscribersNow([]byte(said)); got != "9" {
		t.Errorf("%s now", got)
	}
}

// Witnesses of the same lines agree, and one that missed a line is found out.
func TestWitnesses(t *testing.T) {
	for _, test := range []struct {
		lines [2]string
		want  string // in the error
	}{
		{[2]string{"t modified a\nt modified b\n", "t modified a\nt modified b\n"}, ""},
		{[2]string{"t modified a\nt modified b\n", "t modified b\nt modified a\n"}, "other events"},
		{[2]string{"t modified a\nt missed b\n", "t modified a\n"}, "missed something"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for _, lines := range test.lines {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Write([]byte("t watching a\n" + lines))
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		witnesses, err := callWitnesses(ctx, 2, []address{parseAddress(l.Addr().String())})
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range witnesses {
			for n := strings.Count(test.lines[i], "\n"); ; {
				if events, err := w.received(); len(events) == n || err != nil {
					break
				}
			}
		}
		_, err = compare(ctx, witnesses)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.lines, err, test.want)
		}
		cancel()
		l.Close()
	}
}

// Bad usage is named as such, before anything is built.
func TestUsage(t *testing.T) {
	for _, args := range []string{"", "x", "poll 1", "poll 1 x", "poll -rounds 0 10 10", "fanout 0", "soak 1s", "soak 20s 3", "poll -x", "growth 3", "growth -seconds 1"} {
		err := run(t.Context(), strings.Fields(args), nil, nil)
		if _, ok := err.(usageError); !ok {
			t.Errorf("%q: %v", args, err)
		}
	}
}
