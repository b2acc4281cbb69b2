package main

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// The thread that gets the signals is not one that calls of the file system can
// hang in.
func TestFirstThread(t *testing.T) {
	const all = 200 // more threads than there are
	threads, end := make(chan int, all), make(chan struct{})
	var wg sync.WaitGroup
	for range all {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			threads <- syscall.Gettid()
			<-end
		})
	}
	for range all {
		if <-threads == os.Getpid() {
			t.Error("a goroutine runs on the first thread")
		}
	}
	close(end)
	wg.Wait()
}
