//go:build !linux

package main

import (
	"net"
	"time"
)

// reading reads all connections, in a goroutine each.
type reading struct{ s *subscribers }

// newReading returns a reading that goes on until the process ends.
func newReading(s *subscribers) (*reading, error) { return &reading{s}, nil }

// add begins to read conn.
func (r *reading) add(conn net.Conn) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	u := r.s.addLocked(conn)
	go r.run(u)
	return nil
}

// run reads what u is told.
func (r *reading) run(u *subscriber) {
	buf := make([]byte, 256)
	for {
		n, err := u.conn.Read(buf)
		now := time.Now()
		r.s.mu.Lock()
		r.s.readLocked(u, buf[:n], now)
		if err != nil {
			r.s.loseLocked(err)
		}
		r.s.mu.Unlock()
		if err != nil {
			return
		}
	}
}
