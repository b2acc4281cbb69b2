//go:build !linux

package main

// await returns what done receives.
func await(done <-chan error) error { return <-done }
