//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endTime is how long a process may take to end after SIGTERM: 7 s, and some for a machine
// with much to do.
const endTime = 10 * time.Second

// catchTime is how long a process may take until it catches signals, where there is much
// to do.
const catchTime = 2 * time.Second

// child is a process that a round has started.
type child struct {
	cmd      *exec.Cmd
	log      string // the file that has its stderr
	begun    time.Time
	done     chan struct{}
	err      error // how it ended; to be read when done is closed
	expected bool  // it is to end
}

// start starts a process, as the user uid if that is not 0. stdout may be nil. The kernel
// ends the process if this one dies.
func (r *round) start(log string, uid int, stdout *os.File, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(args[0], args[1:]...), log: r.path(log), begun: time.Now(), done: make(chan struct{})}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if uid != 0 {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	if stdout != nil {
		c.cmd.Stdout = stdout
	}
	f, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c.cmd.Stderr = f
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	r.children = append(r.children, c)
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) signal(s syscall.Signal) { c.cmd.Process.Signal(s) }

// end sends SIGTERM or SIGKILL and waits. The error says what is wrong with how it ended.
func (c *child) end(s syscall.Signal) error {
	if !c.alive() {
		return c.died()
	}
	c.expected = true
	c.signal(s)
	select {
	case <-c.done:
	case <-time.After(endTime):
		c.signal(syscall.SIGKILL)
		return fmt.Errorf("%s did not end within %v", c.log, endTime)
	}
	exit, _ := errors.AsType[*exec.ExitError](c.err)
	atOnce := exit != nil && exit.Sys().(syscall.WaitStatus).Signaled() && time.Since(c.begun) < catchTime // by what it did not catch yet
	if s == syscall.SIGTERM && c.err != nil && !atOnce {
		return fmt.Errorf("%s: after SIGTERM: %w", c.log, c.err)
	}
	return nil
}

func (c *child) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// died returns an error if the process has ended, and was not to.
func (c *child) died() error {
	if c.alive() || c.expected {
		return nil
	}
	console, _ := os.ReadFile(c.log)
	return fmt.Errorf("%s ended by itself: %w\n%s", c.log, c.err, console[max(0, len(console)-3000):])
}

// usage returns how much memory in MB, and how many descriptors and threads, a process has.
func usage(pid int) (memory, files, threads int, err error) {
	dir := fmt.Sprint("/proc/", pid)
	status, err1 := os.ReadFile(dir + "/status")
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			memory, _ = strconv.Atoi(strings.Fields(value)[0])
		}
	}
	fds, err2 := os.ReadDir(dir + "/fd")
	tasks, err3 := os.ReadDir(dir + "/task")
	return memory / 1024, len(fds), len(tasks), errors.Join(err1, err2, err3)
}

// runDelay returns how long the threads of a process have waited for a processor, all
// together.
func runDelay(pid int) (sum time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		var ran, waited int64 // ns
		fmt.Sscan(string(b), &ran, &waited)
		sum += time.Duration(waited)
	}
	return sum
}

// idleFiles returns how many descriptors a process has while it makes no calls.
func idleFiles(pid int) int {
	least := math.MaxInt
	for range 20 {
		if _, files, _, err := usage(pid); err == nil {
			least = min(least, files)
		}
		time.Sleep(interval * time.Millisecond / 7)
	}
	return least
}

// processes returns those of all processes that match, as a text by number. match gets the
// command line and what is behind the name in /proc/PID/stat.
func processes(match func(line, stat string) bool) map[int]string {
	found := make(map[int]string)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		line, _ := os.ReadFile(dir + "/cmdline")
		stat, _ := os.ReadFile(dir + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		if pid != os.Getpid() && match(string(line), rest) {
			found[pid] = fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// stay returns those processes that match now and are still there 2 s later: what ends just
// now has some time.
func stay(match func(line, stat string) bool) []string {
	found := processes(match)
	for range 20 {
		if len(found) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		now := processes(match)
		maps.DeleteFunc(found, func(pid int, _ string) bool { return now[pid] == "" })
	}
	return slices.Collect(maps.Values(found))
}

// staying returns the processes that have the text in their command lines, and stay.
func staying(text string) []string {
	return stay(func(line, _ string) bool { return strings.Contains(line, text) })
}

// zombies returns those of the parent, if they stay.
func zombies(parent int) []string {
	return stay(func(_, stat string) bool { return strings.HasPrefix(stat, fmt.Sprintf("Z %d ", parent)) })
}
