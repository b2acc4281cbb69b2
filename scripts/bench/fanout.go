//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	fanoutRounds   = 10
	fanoutEvents   = 100    // to all, before memory is read again
	fanoutInterval = "50ms" // between scans
	idleTime       = 200 * time.Millisecond
	quietTime      = 100 * time.Millisecond // until all is quiet after an event

	// spareDescriptors are not for subscribers, and sparePorts not for them either.
	spareDescriptors = 100
	sparePorts       = 1000
)

// networks are what fanout measures, in this order.
var networks = []string{"tcp", "tls", "unix"}

// fanout measures one event to so many subscribers each, and writes the figures to the
// file tsv unless that is "".
func fanout(ctx context.Context, stdout io.Writer, sizes []int, tsv string) error {
	most, err := mostSubscribers()
	if err != nil {
		return err
	}
	if len(sizes) == 0 {
		for _, n := range []int{1000, 10_000} {
			if n < most {
				sizes = append(sizes, n)
			}
		}
		sizes = append(sizes, most)
	}
	var results []*fanoutResult
	var costs, holds []string
	for _, n := range sizes {
		if n > most {
			return fmt.Errorf("%d are too many: the descriptors (ulimit -Hn) and ports here allow %d", n, most)
		}
		for _, network := range networks {
			fmt.Fprintf(os.Stderr, "%s, %d...\n", network, n)
			r, err := fanoutRun(ctx, network, n)
			if err != nil {
				return fmt.Errorf("%s, %d: %w", network, n, err)
			}
			results, costs, holds = append(results, r), append(costs, r.cost()), append(holds, r.hold())
		}
	}
	fmt.Fprintf(stdout, "%s; medians of %d.\n\n", machine(), fanoutRounds)
	fmt.Fprintln(stdout, "One event to all: CPU per delivery in µs, and ms from the first arrival to the last.")
	fmt.Fprintln(stdout, "\n| subscribers | over | CPU | bare write | ratio | first to last | bare loop | ratio |\n|--:|---|--:|--:|--:|--:|--:|--:|")
	fmt.Fprintln(stdout, strings.Join(costs, "\n"))
	fmt.Fprintf(stdout, "\nHolding them: s until all are greeted (none was lost); kB of memory each, idle and after %d events to all; ms of CPU per second of idling, without subscribers and with them; s until the last has left; MB of memory before they come and after they have left, and threads then.\n", fanoutEvents)
	fmt.Fprintln(stdout, "\n| subscribers | over | connect | kB each | after events | idle, none | idle, all | leave | MB before | MB after | threads |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	fmt.Fprintln(stdout, strings.Join(holds, "\n"))
	if tsv == "" {
		return nil
	}
	return os.WriteFile(tsv, []byte(fanoutTSV(results)), 0o666)
}

// fanoutTSV returns the results for gnuplot: a block for each network, under its name.
func fanoutTSV(results []*fanoutResult) string {
	var b strings.Builder
	b.WriteString("# subscribers, µs of CPU per delivery, of the bare write, MB of memory, after events\n")
	for i, network := range networks {
		if i > 0 {
			b.WriteString("\n\n")
		}
		fmt.Fprintf(&b, "%q\n", network)
		for _, r := range results {
			if r.network == network {
				fmt.Fprintf(&b, "%d\t%.2f\t%.2f\t%.1f\t%.1f\n", r.n, medianOf(r.cpu), medianOf(r.bareCPU),
					float64(r.rssIdle)/1024, float64(r.rssEvents)/1024)
			}
		}
	}
	return b.String()
}

// mostSubscribers returns how many the descriptors of a process and the ports of one
// address allow.
func mostSubscribers() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, err
	}
	var low, high int
	if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
		return 0, err
	}
	return min(int(min(limit.Max, 1<<30))-spareDescriptors, high-low-sparePorts), nil
}

// machine says what the figures are of.
func machine() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("Linux %s, %d x %s, %s, %s; load %s", strings.TrimSpace(string(b)), runtime.NumCPU(),
		firstLine("/proc/cpuinfo", "model name"), runtime.Version(), time.Now().Format(time.DateOnly), strings.Join(strings.Fields(string(load))[:3], " "))
}

// fanoutResult is what one run has measured.
type fanoutResult struct {
	network               string
	n                     int
	cpu, bareCPU          []float64 // µs per delivery, by round
	spans, bareSpans      []float64 // ms from first to last, by round
	greeted               float64   // ms
	rssBefore, rssIdle    int       // kB
	rssEvents, rssEnd     int
	idleBefore, idleAfter float64 // ms of CPU per second
	left                  time.Duration
	threads               int
}

func (r *fanoutResult) cost() string {
	c, bc, s, bs := medianOf(r.cpu), medianOf(r.bareCPU), medianOf(r.spans), medianOf(r.bareSpans)
	return fmt.Sprintf("| %d | %s | %.2f | %.2f | %.2f | %.1f | %.1f | %.2f |", r.n, r.network, c, bc, c/bc, s, bs, s/bs)
}

func (r *fanoutResult) hold() string {
	each := func(rss int) float64 { return float64(rss-r.rssBefore) / float64(r.n) }
	return fmt.Sprintf("| %d | %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.1f | %.1f | %d |", r.n, r.network,
		r.greeted/1000, each(r.rssIdle), each(r.rssEvents), r.idleBefore, r.idleAfter, r.left.Seconds(),
		float64(r.rssBefore)/1024, float64(r.rssEnd)/1024, r.threads)
}

// fanoutRun measures n subscribers over one network. The CPU time of an event runs
// from before the file changes until all is quiet; what net-watcher uses anyhow in
// that time, for its scans, is measured in each round, and the median subtracted.
func fanoutRun(ctx context.Context, network string, n int) (*fanoutResult, error) {
	l, err := newLab(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	r := &fanoutResult{network: network, n: n}
	listen, bareListen := "127.0.0.1:0", "127.0.0.1:0"
	var flags []string
	switch network {
	case "unix":
		listen, bareListen = "unix:"+l.path("s"), l.path("b")
	case "tls":
		listen = "tls://" + listen
		flags = []string{"-cert", l.path("cert"), "-key", l.path("key")}
		if err := writeCertificate(l.path("cert"), l.path("key")); err != nil {
			return nil, err
		}
	}
	file := l.path("file")
	if err := appendTo(file, "one\n"); err != nil {
		return nil, err
	}
	server, at, err := l.serve("server", []string{listen}, nil, append(flags, "-interval", fanoutInterval, file)...)
	if err != nil {
		return nil, err
	}
	pid := server.pid()
	time.Sleep(300 * time.Millisecond)
	if r.idleBefore, err = idleCPU(pid, 5); err != nil {
		return nil, err
	}
	if r.rssBefore, err = kB(pid, "smaps_rollup", "Rss"); err != nil {
		return nil, err
	}
	fdsBefore, err := count(pid, "fd")
	if err != nil {
		return nil, err
	}

	// One thread for those that read, so that they do not take both of two
	// processors from those that write.
	one := []string{"GOMAXPROCS=1"}
	size, scheme := fmt.Sprint(n), ""
	if network == "tls" {
		scheme = "tls://"
	}
	subscribers, err := l.start("subscribers", one, l.self, "subscribe", size, scheme+at[0])
	if err != nil {
		return nil, err
	}
	greeted, err := subscribers.expect("greeted")
	if err != nil {
		return nil, err
	}
	r.greeted = greeted.MS
	bare, err := l.start("bare", nil, l.self, "bare-write", size, bareListen)
	if err != nil {
		return nil, err
	}
	bareAt, err := bare.expect("listening")
	if err != nil {
		return nil, err
	}
	others, err := l.start("others", one, l.self, "subscribe", size, bareAt.Address)
	if err != nil {
		return nil, err
	}
	_, err1 := others.expect("connected")
	_, err2 := bare.expect("accepted")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	time.Sleep(500 * time.Millisecond)
	if r.rssIdle, err = kB(pid, "smaps_rollup", "Rss"); err != nil {
		return nil, err
	}

	event := func() (message, error) {
		if err := appendTo(file, "more\n"); err != nil {
			return message{}, err
		}
		return subscribers.expect("event")
	}
	if err := r.rounds(pid, event, bare, others); err != nil {
		return nil, err
	}
	for range fanoutEvents - fanoutRounds - 1 {
		if _, err := event(); err != nil {
			return nil, err
		}
	}
	time.Sleep(500 * time.Millisecond)
	if r.rssEvents, err = kB(pid, "smaps_rollup", "Rss"); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := subscribers.stop(); err != nil {
		return nil, subscribers.failed(err)
	}
	err = l.await(server, "its descriptors to be what they were", func() bool {
		fds, err := count(pid, "fd")
		return err == nil && fds <= fdsBefore
	})
	if err != nil {
		return nil, err
	}
	r.left = time.Since(begin)
	time.Sleep(500 * time.Millisecond)
	if r.rssEnd, err = kB(pid, "smaps_rollup", "Rss"); err != nil {
		return nil, err
	}
	if r.threads, err = count(pid, "task"); err != nil {
		return nil, err
	}
	if err := server.stop(); err != nil {
		return nil, server.failed(err)
	}
	return r, nil
}

// writeCertificate makes a certificate for 127.0.0.1, which signs itself, and its key.
func writeCertificate(cert, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err1 := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	secret, err2 := x509.MarshalPKCS8PrivateKey(private)
	return errors.Join(err1, err2,
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

// rounds measures events by turns: one of net-watcher, one of the bare loop.
func (r *fanoutResult) rounds(pid int, event func() (message, error), bare, others *child) error {
	var used, took []time.Duration
	var idles []float64
	for round := range 1 + fanoutRounds {
		idle, err := idleCPU(pid, 1)
		if err != nil {
			return err
		}
		before, err := usedCPU(pid)
		if err != nil {
			return err
		}
		begin := time.Now()
		arrived, err := event()
		if err != nil {
			return err
		}
		time.Sleep(quietTime)
		after, err := usedCPU(pid)
		if err != nil {
			return err
		}
		end := time.Now()
		if _, err := io.WriteString(bare.in, "\n"); err != nil {
			return bare.failed(err)
		}
		wrote, err := bare.expect("wrote")
		if err != nil {
			return err
		}
		bareArrived, err := others.expect("event")
		if err != nil {
			return err
		}
		time.Sleep(quietTime)
		idles = append(idles, idle)
		if round == 0 {
			continue // to warm up
		}
		used, took = append(used, after-before), append(took, end.Sub(begin))
		r.spans, r.bareSpans = append(r.spans, arrived.MS), append(r.bareSpans, bareArrived.MS)
		r.bareCPU = append(r.bareCPU, wrote.CPU*1000/float64(r.n))
	}
	r.idleAfter = medianOf(idles)
	for i := range used {
		r.cpu = append(r.cpu, (milliseconds(used[i])-r.idleAfter*took[i].Seconds())*1000/float64(r.n))
	}
	return nil
}

// idleCPU returns the median of so many measurements of what a process uses while
// nothing happens, in ms of CPU time per second.
func idleCPU(pid, times int) (float64, error) {
	var all []float64
	for range times {
		before, err := usedCPU(pid)
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		time.Sleep(idleTime)
		after, err := usedCPU(pid)
		if err != nil {
			return 0, err
		}
		all = append(all, milliseconds(after-before)/time.Since(begin).Seconds())
	}
	return medianOf(all), nil
}
