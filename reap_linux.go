package main

import (
	"os"
	"os/signal"
	"syscall"
)

// await returns what done receives. In the meantime it reaps the children that
// nothing else in the program waits for: process 1 of a container, and a child
// subreaper, become the parent of orphans, and a program that replaces a shell
// (exec) inherits the children of that. Only main may call it.
//
// On Linux a child belongs to the thread that made it, and orphans go to the first
// thread. That is main's own (see init), and package exec starts COMMAND on others,
// which do not end before the program. So waiting for the children of this thread
// alone takes no status away from package exec.
func await(done <-chan error) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		for reaped, err := 1, error(nil); reaped > 0 || err == syscall.EINTR; {
			reaped, err = syscall.Wait4(-1, nil, syscall.WNOHANG|syscall.WNOTHREAD, nil)
		}
		select {
		case err := <-done:
			return err
		case <-ended:
		}
	}
}
