package main

import (
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"net-watcher/internal/web"
	"net-watcher/internal/wire"
)

// counts is what the program counts for /metrics, beside what the feed and the scanner
// count. The zero value is ready for use, from any goroutine.
type counts struct {
	sent atomic.Int64 // bytes, to subscribers

	mu          sync.Mutex     // guards the fields below
	subscribers map[string]int // there now, by transport
	drops       map[string]int // by reason
	changes     map[wire.Change]int
}

// subscribe counts one more subscriber of a transport, or one less. With 0, the
// transport is shown though it has none.
func (c *counts) subscribe(transport string, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add(&c.subscribers, transport, more)
}

func (c *counts) drop(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add(&c.drops, reason, 1)
}

func (c *counts) change(events []wire.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range events {
		add(&c.changes, events[i].Change, 1)
	}
}

// now returns copies of the maps.
func (c *counts) now() (subscribers, drops map[string]int, changes map[wire.Change]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.subscribers), maps.Clone(c.drops), maps.Clone(c.changes)
}

func add[K comparable](m *map[K]int, key K, n int) {
	if *m == nil {
		*m = make(map[K]int)
	}
	(*m)[key] += n
}

// newFront returns the front for the http:// ADDRESSes.
func newFront(o *options, p *poll, s *server) *web.Front {
	f := &web.Front{
		Origins:  o.origins,
		Health:   p.health,
		Metrics:  func() []byte { return metrics(p, s) },
		MaxConns: min(maxRequests, max(1, s.maxConns/4)),
	}
	for _, a := range o.web {
		host, _, _ := net.SplitHostPort(a.Name)
		f.Hosts = append(f.Hosts, strings.ToLower(strings.TrimSuffix(host, ".")))
	}
	return f
}

// maxScanAge returns how long ago the last complete scan of a target may have ended.
func (p *poll) maxScanAge() time.Duration { return 3*p.interval + 5*time.Second }

// isAlive reports whether scans are begun. (That they end is for health: to start the
// program again mends no file system.) It may be called from any goroutine.
func (p *poll) isAlive() bool {
	return time.Since(p.epoch)-time.Duration(p.ticked.Load()) <= p.maxScanAge()
}

// health returns whether all targets were scanned lately, and lines about the first ten
// that were not. It may be called from any goroutine.
func (p *poll) health() (ok bool, lines string) {
	const most = 10
	overdue := p.scanner.Overdue(p.maxScanAge())
	if len(overdue) == 0 {
		return true, "ok\n"
	}
	var b strings.Builder
	for _, o := range overdue[:min(most, len(overdue))] {
		fmt.Fprintf(&b, "%s: not scanned for %v: %s\n", wire.Printable(p.names[o.Target]), o.For.Round(time.Second), o.Why)
	}
	if len(overdue) > most {
		fmt.Fprintf(&b, "and %d more\n", len(overdue)-most)
	}
	return false, b.String()
}

// metrics returns the numbers in the text format of Prometheus, version 0.0.4.
func metrics(p *poll, s *server) []byte {
	var b []byte
	family := func(name, kind, help string) {
		b = fmt.Appendf(b, "# HELP net_watcher_%s %s\n# TYPE net_watcher_%[1]s %[3]s\n", name, help, kind)
	}
	one := func(name, kind, help string, value any) {
		family(name, kind, help)
		b = fmt.Appendf(b, "net_watcher_%s %v\n", name, value)
	}
	each := func(name, kind, help, label string, keys []string, value func(key string) int) {
		family(name, kind, help)
		for _, key := range keys {
			b = fmt.Appendf(b, "net_watcher_%s{%s=%q} %d\n", name, label, key, value(key))
		}
	}
	family("build_info", "gauge", "1, and which program this is.")
	b = fmt.Appendf(b, "net_watcher_build_info{version=%q,goversion=%q,os=%q,arch=%q} 1\n", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)

	targets, scans := s.feed.Totals(), p.scanner.Totals()
	one("targets", "gauge", "FILEs that are watched.", targets.Targets)
	one("unreadable_targets", "gauge", "FILEs that cannot be read now.", targets.Unreadable)
	one("overdue_targets", "gauge", "FILEs without a complete scan for three intervals and 5 s.", len(p.scanner.Overdue(p.maxScanAge())))
	one("files", "gauge", "Files and directories that the last complete scans examined.", scans.Files)
	one("interval_seconds", "gauge", "Time between two scans of a FILE (-interval).", p.interval.Seconds())
	one("scans_total", "counter", "Scans of one FILE each.", scans.Scans)
	one("scan_seconds_total", "counter", "Time that scans took, each from its tick to its end.", scans.Time.Seconds())
	one("last_scan_seconds", "gauge", "Time that the last scan took, from its tick to its end.", scans.Last.Seconds())
	one("late_scans_total", "counter", "Scans that ended later than one interval after their tick.", scans.Late)
	one("hung_calls", "gauge", "File system calls without an answer for a second.", scans.Hung)

	subscribers, drops, changes := s.counts.now()
	each("changes_total", "counter", "Changes, by kind.", "change",
		[]string{"created", "modified", "removed", "unreadable", "readable"}, func(key string) int { return changes[wire.Change(key)] })
	each("subscribers", "gauge", "Subscribers that are connected, by transport.", "transport",
		slices.Sorted(maps.Keys(subscribers)), func(key string) int { return subscribers[key] })
	each("dropped_subscribers_total", "counter", "Subscribers that the server closed or refused, by reason: slow (a write took 10 s), memory (too much in flight), descriptors (none left).", "reason",
		[]string{"slow", "memory", "descriptors"}, func(key string) int { return drops[key] })
	one("missed_total", "counter", "Times that a slow subscriber got missed in place of changes.", targets.Missed)
	one("sent_bytes_total", "counter", "Bytes sent to subscribers.", s.counts.sent.Load())
	return b
}
