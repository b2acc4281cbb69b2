//go:build !linux

// Command robust tries to break the promises of net-watcher. It is for Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "robust: this is for Linux")
	os.Exit(1)
}
