package scan_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/faults"
	"net-watcher/internal/scan"
)

// Files in several directories change, fail, hang and are slow at random. Every
// step is one of the table of transitions (see driver.follow), no two calls for one
// file are made at once, and after calm the steps add up to the states that a new
// Scanner finds.
func TestModel(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, rand.New(rand.NewPCG(seed, 1)))
				m.begin()
				r := m.record()
				for range 30 {
					for range 1 + m.random.IntN(4) {
						m.act()
					}
					time.Sleep(time.Duration(m.random.IntN(8000)) * time.Millisecond)
				}
				m.calm()
				time.Sleep(time.Minute)
				r.stop()
				m.checkStates()
				if !m.scanner.Idle() {
					t.Error("the scanner is not idle")
				}
				if names := m.fs.Twice(); names != nil {
					t.Errorf("two calls at once for %q", names)
				}
			})
		})
		if t.Failed() {
			return
		}
	}
}

// model is a driver, and the random state of its file system.
type model struct {
	*driver
	random *rand.Rand
	now    map[string]outcome
	delays map[string]time.Duration
	hung   map[string]bool
}

// outcomes are those that a file may have; the first few may be there at the start.
var outcomes = []outcome{missing, small, touched, big, noDescriptors, denied, stale}

// newModel returns a model with up to 4 directories of up to 6 files.
func newModel(t *testing.T, random *rand.Rand) *model {
	ff := faults.Made()
	m := &model{
		random: random, now: make(map[string]outcome),
		delays: make(map[string]time.Duration), hung: make(map[string]bool),
	}
	var names []string
	for dir := range 1 + random.IntN(4) {
		names = append(names, numbered(fmt.Sprint(dir), 1+random.IntN(6))...)
	}
	m.driver = newDriver(t, ff, scan.Options{}, names...)
	for _, name := range names {
		m.set(name, outcomes[random.IntN(4)])
	}
	return m
}

// set makes o the outcome of calls for name.
func (m *model) set(name string, o outcome) {
	m.now[name] = o
	o.put(m.fs, name)
}

// delay makes each call take as long as delays says.
func (m *model) delay() {
	delays := maps.Clone(m.delays)
	m.fs.SlowFunc(func(name string) time.Duration { return delays[name] })
}

// act does something to a file.
func (m *model) act() {
	name := m.paths[m.random.IntN(len(m.paths))]
	switch m.random.IntN(4) {
	case 0, 1:
		m.set(name, outcomes[m.random.IntN(len(outcomes))])
	case 2:
		m.delays[name] = time.Duration(m.random.IntN(2)*m.random.IntN(10_000)) * time.Millisecond
		m.delay()
	case 3:
		if m.hung[name] = !m.hung[name]; m.hung[name] {
			m.fs.Hang(name)
		} else {
			m.fs.Release(name)
		}
	}
}

// calm makes every call be answered at once.
func (m *model) calm() {
	clear(m.delays)
	m.delay()
	for _, name := range m.paths {
		if m.hung[name] {
			m.fs.Release(name)
		}
	}
}
