//go:build !unix

package main

// Here every write waits, and the process cannot know its limit of descriptors.
// See write_unix.go.

func writeNow(uintptr, []byte) (int, error) { return 0, nil }

func maxFiles() int { return 1 << 30 }
