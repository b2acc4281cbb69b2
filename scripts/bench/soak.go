//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	honest       = 20
	soakInterval = "200ms" // between scans

	// The last quarter of the samples may be so much above the second. How many
	// subscribers there are is left to chance.
	moreRSSPercent, moreRSSKB = 10, 2048
	moreFDsPercent            = 5
	moreThreads               = 8

	// moreGoroutines is how many more goroutines there may be at the end than in a
	// net-watcher without subscribers: workers of a scan come and go.
	moreGoroutines = 8
)

// soak has n subscribers come, misbehave and go for the duration, while files
// change, and prints what net-watcher holds meanwhile.
func soak(ctx context.Context, stdout io.Writer, n int, duration time.Duration) error {
	if duration < 16*time.Second {
		return usageError{errors.New("less than 16s show nothing")}
	}
	if err := needDescriptors(n + honest + 100); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := newLab(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	for _, name := range []string{"busy", "quiet"} {
		if err := os.WriteFile(l.path(name), nil, 0o666); err != nil {
			return err
		}
	}
	files := []string{"-interval", soakInterval, "busy", "quiet", "later"}
	fresh, _, err := l.serve("fresh", []string{"127.0.0.1:0"}, nil, files...)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	goroutinesFresh, err := fresh.goroutines()
	if err != nil {
		return err
	}
	server, at, err := l.serve("server", []string{"127.0.0.1:0", "unix:socket"}, nil, files...)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	fdsBefore, err := count(server.pid(), "fd")
	if err != nil {
		return err
	}

	// Two thirds come over the Unix socket: the end of a TCP connection that closes
	// first keeps its port for a minute.
	unix := address{"unix", l.path("socket")}
	addresses := []address{parseAddress(at[0]), unix, unix}
	witnesses, err := callWitnesses(ctx, honest, addresses)
	if err != nil {
		return err
	}
	go changeFiles(ctx, l)
	churned := make(chan error, 1)
	go func() { churned <- churn(ctx, n, duration, addresses, witnesses, log.New(stdout, "", 0)) }()

	s, err := sample(ctx, stdout, server, duration)
	if err != nil {
		return err
	}
	var failed []string
	if err := <-churned; err != nil {
		failed = append(failed, err.Error())
	}
	cancel() // the files, and the witnesses
	failed = append(failed, s.grown(stdout)...)

	l.ctx = context.Background()
	err = l.await(server, fmt.Sprintf("no more descriptors than the %d at first", fdsBefore), func() bool {
		fds, err := count(server.pid(), "fd")
		return err == nil && fds <= fdsBefore
	})
	if err != nil {
		return err
	}
	rss, err := kB(server.pid(), "smaps_rollup", "Rss")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "afterwards: RSS %d kB, descriptors back at %d\n", rss, fdsBefore)
	time.Sleep(2 * time.Second)
	goroutines, err := server.goroutines()
	if err != nil {
		return err
	}
	said, _ := os.ReadFile(server.log)
	fmt.Fprintf(stdout, "disconnected, as on the console:\n%s", reasons(said))
	fmt.Fprintf(stdout, "goroutines: %d, %d without subscribers (at most %d more)\n", goroutines, goroutinesFresh, moreGoroutines)
	if goroutines > goroutinesFresh+moreGoroutines {
		failed = append(failed, "goroutines grow")
	}
	if len(failed) > 0 {
		return errors.New(strings.Join(failed, "; "))
	}
	fmt.Fprintln(stdout, "all is well")
	return nil
}

// needDescriptors fails if this process, and so its children, may not have n.
func needDescriptors(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < uint64(n) {
		return fmt.Errorf("%d descriptors are needed, and the limit is %d (ulimit -Hn): use fewer subscribers", n, limit.Max)
	}
	return nil
}

// changeFiles changes one file all the time and others now and then.
func changeFiles(ctx context.Context, l *lab) {
	for i := 1; ctx.Err() == nil; i++ {
		appendTo(l.path("busy"), "x\n")
		if i%50 == 0 {
			appendTo(l.path("quiet"), "x\n")
		}
		switch i % 200 {
		case 100:
			appendTo(l.path("later"), "")
		case 0:
			os.Remove(l.path("later"))
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// appendTo makes or extends a file.
func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// samples is what a server held over time.
type samples struct{ rss, threads, fds []int }

// sample prints and returns what the server holds, until the duration is over.
func sample(ctx context.Context, stdout io.Writer, server *child, duration time.Duration) (samples, error) {
	var s samples
	every := min(duration/16, 10*time.Second)
	fmt.Fprintln(stdout, "     s   RSS kB  threads  descriptors  subscribers")
	for begin, tick := time.Now(), time.Tick(every); time.Since(begin) < duration-every; {
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-tick:
		}
		rss, err1 := kB(server.pid(), "smaps_rollup", "Rss")
		threads, err2 := count(server.pid(), "task")
		fds, err3 := count(server.pid(), "fd")
		if err := errors.Join(err1, err2, err3); err != nil {
			return s, server.failed(err)
		}
		s.rss, s.threads, s.fds = append(s.rss, rss), append(s.threads, threads), append(s.fds, fds)
		said, _ := os.ReadFile(server.log)
		fmt.Fprintf(stdout, "%6.0f %8d %8d %12d %12s\n", time.Since(begin).Seconds(), rss, threads, fds, subscribersNow(said))
	}
	return s, nil
}

// grown prints how the samples grew, and returns which did so too much.
func (s samples) grown(stdout io.Writer) (failed []string) {
	for _, g := range []struct {
		what string
		growth
	}{
		{"RSS", grown(s.rss, moreRSSPercent, moreRSSKB)},
		{"descriptors", grown(s.fds, moreFDsPercent, 0)},
		{"threads", grown(s.threads, 0, moreThreads)},
	} {
		fmt.Fprintf(stdout, "%s: median of the second quarter %d, of the last %d (at most %d)\n", g.what, g.second, g.last, g.limit)
		if !g.flat() {
			failed = append(failed, g.what+" grow")
		}
	}
	return failed
}

// goroutines ends a net-watcher and returns how many goroutines it had: on SIGQUIT,
// Go programs print them.
func (c *child) goroutines() (int, error) {
	c.cmd.Process.Signal(syscall.SIGQUIT)
	<-c.done
	said, err := os.ReadFile(c.log)
	n := len(regexp.MustCompile(`(?m)^goroutine [1-9]`).FindAll(said, -1))
	if err == nil && n == 0 {
		err = errors.New("it did not print its goroutines")
	}
	return n, err
}

// subscribersNow returns the last number of subscribers on a console.
func subscribersNow(said []byte) string {
	all := regexp.MustCompile(`\((\d+) now\)`).FindAllSubmatch(said, -1)
	if len(all) == 0 {
		return "0"
	}
	return string(all[len(all)-1][1])
}

// reasons adds up the reasons for which subscribers were disconnected, in the lines
// of a console that stand for many.
func reasons(said []byte) string {
	sums := make(map[string]int)
	for line := range bytes.Lines(said) {
		if bytes.Contains(line, []byte(" subscribers: ")) { // after the time
			for _, m := range regexp.MustCompile(`(\d+) more disconnected \((.*?)\)(?:,| \(\d+ now)`).FindAllSubmatch(line, -1) {
				n, _ := strconv.Atoi(string(m[1]))
				sums[string(m[2])] += n
			}
		}
	}
	var b strings.Builder
	for _, reason := range slices.SortedFunc(maps.Keys(sums), func(a, b string) int { return sums[b] - sums[a] }) {
		fmt.Fprintf(&b, "%8d %s\n", sums[reason], reason)
	}
	return b.String()
}
