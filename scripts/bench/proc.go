//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usedCPU returns the CPU time that all threads of a process have used, as the
// kernel's scheduler accounts it, in ns.
func usedCPU(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process %d has no schedstat (it has ended, or the kernel has no CONFIG_SCHED_INFO)", pid)
	}
	sum := time.Duration(0)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // that thread has ended
		}
		d, err := parseSchedstat(b)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// parseSchedstat returns the first number of a schedstat, which is ns of CPU time.
func parseSchedstat(b []byte) (time.Duration, error) {
	first, _, _ := strings.Cut(string(b), " ")
	ns, err := strconv.ParseInt(first, 10, 64)
	return time.Duration(ns), err
}

// ticksPerSecond is USER_HZ, which is 100 on every architecture that Go supports.
const ticksPerSecond = 100

// tickedCPU returns the CPU time of a process, with that of threads that have ended,
// in steps of 10 ms.
func tickedCPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

// parseStat returns utime and stime of /proc/PID/stat. The name of the program, in
// parentheses, may have any character.
func parseStat(b []byte) (time.Duration, error) {
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("no process status: %q", b)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("no process status: %q", b)
	}
	return time.Duration(user+system) * time.Second / ticksPerSecond, nil
}

// kB returns a field in kB of a file of a process: Rss of smaps_rollup, which is
// exact, or VmRSS and VmHWM of status, which lag behind.
func kB(pid int, file, field string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	return parseKB(b, field)
}

func parseKB(b []byte, field string) (int, error) {
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
		}
	}
	return 0, fmt.Errorf("no field %s", field)
}

// count returns how many of "fd" or "task" a process has.
func count(pid int, what string) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, what))
	return len(list), err
}

// firstLine returns what follows the prefix, and a colon, in the first line of a
// file that has it.
func firstLine(file, prefix string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == prefix {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
