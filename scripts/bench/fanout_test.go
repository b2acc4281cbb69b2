//go:build linux

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The figures for gnuplot are in blocks, in the order of networks.
func TestFanoutTSV(t *testing.T) {
	results := []*fanoutResult{
		{network: "unix", n: 10, cpu: []float64{1, 2, 9}, bareCPU: []float64{1}, rssIdle: 2048, rssEvents: 4096},
		{network: "tcp", n: 10, cpu: []float64{3}, bareCPU: []float64{2}, rssIdle: 1024, rssEvents: 1024},
		{network: "tcp", n: 20, cpu: []float64{4}, bareCPU: []float64{2}, rssIdle: 1024, rssEvents: 1536},
	}
	want := "# subscribers, µs of CPU per delivery, of the bare write, MB of memory, after events\n" +
		"\"tcp\"\n10\t3.00\t2.00\t1.0\t1.0\n20\t4.00\t2.00\t1.0\t1.5\n\n\n" +
		"\"tls\"\n\n\n" +
		"\"unix\"\n10\t2.00\t1.00\t2.0\t4.0\n"
	if diff := cmp.Diff(want, fanoutTSV(results)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
