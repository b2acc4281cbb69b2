//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkLook measures a look at one file and at many beside the bare system
// call, in the same run.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("files=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			var names []string
			for i := range n {
				name := filepath.Join(dir, fmt.Sprintf("file%04d", i))
				if err := os.WriteFile(name, nil, 0o666); err != nil {
					b.Fatal(err)
				}
				names = append(names, name)
			}
			p := newPoll(names, time.Second)
			if _, err := p.start(); err != nil {
				b.Fatal(err)
			}
			var looks, bare []time.Duration
			var st syscall.Stat_t
			b.ReportAllocs()
			for b.Loop() {
				begin := time.Now()
				p.look()
				looks = append(looks, time.Since(begin))
				begin = time.Now()
				for _, name := range names {
					if err := syscall.Stat(name, &st); err != nil {
						b.Fatal(err)
					}
				}
				bare = append(bare, time.Since(begin))
			}
			slices.Sort(looks)
			slices.Sort(bare)
			b.ReportMetric(float64(looks[len(looks)/2])/float64(max(bare[len(bare)/2], 1)), "x-bare-stat")
		})
	}
}
