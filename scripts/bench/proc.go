//go:build linux

package main

import (
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
