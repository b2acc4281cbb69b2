//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimes is how often the start is timed.
const startTimes = 50

// timeStart returns how long net-watcher takes from fork to the line that it listens.
func timeStart(l *lab) (took time.Duration, err error) {
	cmd := exec.CommandContext(l.ctx, l.program, "-listen", "unix:start", "target.txt")
	cmd.Dir = l.dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(stderr); s.Scan(); {
		if strings.Contains(s.Text(), " listening on ") {
			took = time.Since(begin)
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("net-watcher: %w", err)
	}
	if took == 0 {
		return 0, errors.New("net-watcher does not say that it listens")
	}
	return took, nil
}

// oneFile measures a net-watcher of one file that does not change, and prints what it
// asks of the file system for that. It is an error if that is more than one stat a
// second.
func oneFile(l *lab, stdout io.Writer, duration time.Duration) error {
	if err := appendTo(l.path("target.txt"), ""); err != nil {
		return err
	}
	server, _, err := l.serve("one file", []string{"unix:one"}, nil, "target.txt")
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	before, err := usedCPU(server.pid())
	if err != nil {
		return err
	}
	begin := time.Now()
	wait(l.ctx, duration)
	after, err := usedCPU(server.pid())
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	rss, err := kB(server.pid(), "status", "VmRSS")
	if err != nil {
		return err
	}
	peak, err := kB(server.pid(), "status", "VmHWM")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nOne file: net-watcher uses %.2f ms of CPU time per second and %.1f MB (peak %.1f).\n",
		milliseconds(after-before)/took, float64(rss)*1024/1e6, float64(peak)*1024/1e6)
	if err := server.stop(); err != nil {
		return server.failed(err)
	}
	var starts []float64
	for range startTimes {
		took, err := timeStart(l)
		if err != nil {
			return err
		}
		starts = append(starts, milliseconds(took))
	}
	slices.Sort(starts)
	fmt.Fprintf(stdout, "From its start to \"listening\": %.1f ms (median of %d, %.1f to %.1f).\n", medianOf(starts), startTimes, starts[0], starts[startTimes-1])
	if _, err := exec.LookPath("strace"); err != nil {
		fmt.Fprintln(os.Stderr, "bench: without strace: apt install strace")
		return nil
	}
	return trace(l, stdout, duration)
}

// trace prints the system calls of such a net-watcher that are about files. What it
// asks the kernel of its sockets, its event loop and its memory is left out.
func trace(l *lab, stdout io.Writer, duration time.Duration) error {
	// strace ends with the program, but not the program with strace: so this ends the
	// program, by the pid that the shell leaves.
	tracer, err := l.start("strace", nil, "strace", "-f", "-ttt", "-y", "-e", "trace=%file,%desc", "-o", "trace",
		"sh", "-c", "echo $$ >pid && exec "+l.program+" -listen unix:traced target.txt")
	if err != nil {
		return err
	}
	if err := l.await(tracer, "listening", func() bool { return len(listening(tracer.log)) == 1 }); err != nil {
		return err
	}
	b, err := os.ReadFile(l.path("pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	begin := time.Now()
	wait(l.ctx, duration)
	end := time.Now()
	syscall.Kill(pid, syscall.SIGTERM)
	<-tracer.done
	traced, err := os.ReadFile(l.path("trace"))
	if err != nil {
		return err
	}
	calls := fileCalls(traced, begin, end)
	fmt.Fprintf(stdout, "Its system calls that are about files, in %v:\n\n", duration)
	for _, call := range slices.Sorted(maps.Keys(calls)) {
		fmt.Fprintf(stdout, "    %d %s\n", calls[call], call)
	}
	// Its scans, the checks of the socket's file, and, each 10 s, what file system it is on.
	expected := regexp.MustCompile(`^(newfstatat\(.*"(target\.txt|traced)"\)|statfs\("(target\.txt|\.)"\))$`)
	for call, n := range calls {
		if !expected.MatchString(call) {
			return fmt.Errorf("a call too many: %s", call)
		}
		if n > int(duration.Seconds())+1 {
			return fmt.Errorf("%d calls in %v", n, duration)
		}
	}
	if len(calls) == 0 {
		return fmt.Errorf("no scan in %v", duration)
	}
	return nil
}

var (
	traceLine = regexp.MustCompile(`^[0-9]+ +([0-9.]+) (([a-z0-9_]+)\((?:AT_FDCWD<?[^,]*, )?[^,)]*)`)
	notFiles  = regexp.MustCompile(`<(anon_inode|socket|UNIX)[^>]*>|MAP_ANONYMOUS`)
)

// fileCalls counts the calls about files in the output of strace -f -ttt -y between
// two times, by their name and their first argument, or the path.
func fileCalls(traced []byte, begin, end time.Time) map[string]int {
	calls := make(map[string]int)
	for line := range bytes.Lines(traced) {
		m := traceLine.FindSubmatch(line)
		if m == nil || notFiles.Match(line) || bytes.HasPrefix(m[3], []byte("epoll_")) {
			continue
		}
		seconds, err := strconv.ParseFloat(string(m[1]), 64)
		if at := time.UnixMicro(int64(seconds * 1e6)); err == nil && !at.Before(begin) && at.Before(end) {
			calls[string(m[2])+")"]++
		}
	}
	return calls
}
