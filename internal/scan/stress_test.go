package scan_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// While several writers create, rename and remove at random, every scan reports
// only what fits what was reported before; and at the end all steps together make
// exactly what is on the disk.
func TestTreeStress(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Must(t, os.Mkdir("d", 0o777))
	d := newDriver(t, faults.Real(), scan.Options{}, "d")
	d.begin()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Go(func() { writeAtRandom(rand.New(rand.NewPCG(1, uint64(w))), stop) })
	}
	steps := 0
	for range 300 {
		steps += len(d.scan())
	}
	for steps < 2000 { // writers may be late
		steps += len(d.scan())
	}
	close(stop)
	wg.Wait()
	steps += len(d.scan())
	d.checkSums()
	d.checkTree()
	t.Logf("%d steps, %d paths at the end", steps, len(d.sums[0]))
}

// writeAtRandom changes files and directories below d until stop is closed.
func writeAtRandom(r *rand.Rand, stop <-chan struct{}) {
	name := func() string {
		parts := []string{"d"}
		for range 1 + r.IntN(3) {
			parts = append(parts, fmt.Sprintf("n%d", r.IntN(6)))
		}
		return filepath.Join(parts...)
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		switch r.IntN(5) { // most of these fail, as they may
		case 0:
			os.MkdirAll(name(), 0o777)
		case 1, 2:
			os.WriteFile(name(), make([]byte, r.IntN(100)), 0o666)
		case 3:
			os.Rename(name(), name())
		case 4:
			os.RemoveAll(name())
		}
	}
}
