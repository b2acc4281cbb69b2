//go:build linux

package main

import (
	"os"
	"testing"
)

func TestParse(t *testing.T) {
	if got, err := parseSchedstat([]byte("1500 20 3\n")); got != 1500 || err != nil {
		t.Errorf("schedstat: %v, %v", got, err)
	}
	if got, err := parseKB([]byte("Name:\tx\nVmHWM:\t    5916 kB\nVmRSS:\t    5900 kB\n"), "VmRSS"); got != 5900 || err != nil {
		t.Errorf("status: %v, %v", got, err)
	}
	for name, err := range map[string]error{
		"schedstat": second(parseSchedstat([]byte("x"))),
		"status":    second(parseKB([]byte("VmRSS: 1 kB\n"), "VmHWM")),
	} {
		if err == nil {
			t.Errorf("%s: nonsense is no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The files of this process have what is read of them.
func TestOwnProcess(t *testing.T) {
	pid := os.Getpid()
	for name, err := range map[string]error{
		"schedstat":    second(usedCPU(pid)),
		"smaps_rollup": second(kB(pid, "smaps_rollup", "Rss")),
		"status":       second(kB(pid, "status", "VmHWM")),
		"fd":           second(count(pid, "fd")),
		"task":         second(count(pid, "task")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := usedCPU(-1); err == nil {
		t.Error("no process is no error")
	}
}
