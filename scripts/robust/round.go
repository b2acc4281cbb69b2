//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"net-watcher/internal/proof"
)

const (
	// endOfRound is the time of a round in which no more is disturbed.
	endOfRound = 15 * time.Second

	// connectTime is how long a client may take to connect, once it can: it waits up to
	// 5 s between two tries.
	connectTime = 20 * time.Second

	// rawReaders is how many of the followers are no clients; they come first.
	rawReaders = 5

	// nobody is the user that servers run as where this is root, who may read all.
	nobody = 65534
)

// round is one run of servers and followers.
type round struct {
	self, program string
	dir, memory   string // for all of it; on tmpfs
	rand          *rand.Rand
	rec           *recorder
	out           io.Writer // what it says, if it is the first one
	uid           int
	content       string // a flag of the servers, or ""
	targets       []string
	secure        *secure

	writer   *writer
	proxies  []*proxy
	clients  []*client
	children []*child
	servers  int    // so far
	bindfs   *child // nil if there is none
	hung     bool   // it is stopped
	few      bool   // the server has few descriptors

	mu     sync.RWMutex // guards the fields below; dial holds it
	server *server      // nil if there is none
	errs   []error
}

// newRound returns a round that does what the seed says, with files in a directory of its
// own in work.
func newRound(work, program string, seed uint64, first bool, out io.Writer) *round {
	r := &round{
		program: program, dir: filepath.Join(work, fmt.Sprint(seed)), rand: rand.New(rand.NewPCG(seed, 0)),
		rec: &recorder{begin: time.Now().UnixMilli() - 1}, out: io.Discard,
	}
	if first {
		r.out = out
	}
	r.content = []string{"", "", "-content", "-content=changed"}[r.rand.IntN(4)]
	r.writer = &writer{rec: r.rec, rand: rand.New(rand.NewPCG(seed, 1)), isRoot: os.Getuid() == 0, fail: r.fail}
	if r.writer.isRoot {
		r.uid = nobody
	}
	return r
}

func (r *round) path(name string) string { return filepath.Join(r.dir, name) }

// fail notes an error that is no violation of a history.
func (r *round) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// run does the round, and returns its history, what is on all consoles, and what went wrong
// beside the promises.
func (r *round) run(ctx context.Context, length time.Duration) (proof.History, []byte, error) {
	defer r.cleanUp()
	err := r.setUp()
	if err == nil {
		err = r.play(ctx, length)
	}
	err = errors.Join(err, r.readRuns())
	r.mu.Lock()
	err = errors.Join(append(r.errs, err)...)
	r.mu.Unlock()
	var consoles bytes.Buffer
	logs, _ := filepath.Glob(r.path("*.log"))
	for _, log := range logs {
		b, _ := os.ReadFile(log)
		fmt.Fprintf(&consoles, "== %s\n%s", filepath.Base(log), b)
	}
	return r.rec.history(), consoles.Bytes(), err
}

// setUp makes the directories, the mount and what followers need.
func (r *round) setUp() (err error) {
	if r.self, err = os.Executable(); err != nil {
		return err
	}
	if r.memory, err = os.MkdirTemp("/dev/shm", "robust"); err != nil {
		return err
	}
	for _, dir := range []string{"run", "disk/t", "disk/spare", "file", "file-spare", "fuse/mnt", "behind/t", "behind-spare"} {
		err = errors.Join(err, os.MkdirAll(r.path(dir), 0o755))
	}
	err = errors.Join(err, os.Mkdir(r.memory+"/t", 0o755), os.Mkdir(r.memory+"/spare", 0o755),
		os.Chmod(filepath.Dir(r.dir), 0o755), os.Chmod(r.memory, 0o755), os.Chmod(r.path("run"), 0o777),
		os.WriteFile(r.path("run/foreign"), nil, 0o644))
	if err != nil {
		return err
	}
	if r.secure, err = newSecure(r.path("run/secure")); err != nil {
		return err
	}
	r.writer.places = []place{
		{target: r.memory + "/t", real: r.memory + "/t", spare: r.memory + "/spare"},
		{target: r.path("disk/t"), real: r.path("disk/t"), spare: r.path("disk/spare")},
		{target: r.path("file/f"), real: r.path("file/f"), spare: r.path("file-spare"), isFile: true},
	}
	fmt.Fprintf(r.out, "targets: %s (%s), %s (%s)\n", r.memory, fsType(r.memory), r.dir, fsType(r.dir))
	if err := r.mount(); err != nil {
		fmt.Fprintf(r.out, "no bindfs: %v\n", err)
	} else {
		r.writer.places = append(r.writer.places, place{target: r.path("fuse/mnt/t"), real: r.path("behind/t"), spare: r.path("behind-spare")})
	}
	if r.uid == 0 {
		fmt.Fprintln(r.out, "this is not root: nothing changes where permissions are missing")
	}
	for _, p := range r.writer.places {
		r.targets = append(r.targets, p.target)
		if !p.isFile {
			r.rec.add(proof.Record{Kind: proof.Op, Name: "mkdir", Path: p.target})
		}
	}
	r.rec.add(proof.Record{T: -1, Kind: proof.Config, Interval: interval, Scan: scanTime, Targets: r.targets, Content: r.content != ""})
	r.writer.burst(20)
	for i, f := range []struct{ name, network, server string }{
		{"direct", "tcp", "tcp"}, {"raw1", "tcp", "unix"}, {"raw2", "unix", "tcp"}, {"web", "tcp", "http"}, {"raw3", "unix", "tls"},
		{"print1", "unix", "unix"}, {"print2", "tcp", "tcp"}, {"print3", "tls", "tls"}, {"command1", "tcp", "unix"}, {"command2", "tls", "tcp"},
	} {
		address, rng := "127.0.0.1:0", rand.New(rand.NewPCG(r.rand.Uint64(), 0))
		if f.network == "unix" {
			address = r.path("run/" + f.name + ".socket")
		}
		if f.name == "direct" {
			rng = nil
		}
		p, err := newProxy(r, f.name, f.network, address, f.server, rng)
		if err != nil {
			return err
		}
		r.proxies = append(r.proxies, p)
		if i >= rawReaders {
			r.clients = append(r.clients, &client{round: r, name: f.name, command: strings.HasPrefix(f.name, "command"), proxy: p, tls: f.network == "tls"})
		}
	}
	return nil
}

// mount mounts behind at fuse/mnt.
func (r *round) mount() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return err
	}
	program, err := exec.LookPath("bindfs")
	if err != nil {
		return err
	}
	mnt := r.path("fuse/mnt")
	if r.bindfs, err = r.start("bindfs.log", 0, nil, program, "-f", "-o", "attr_timeout=0,entry_timeout=0", r.path("behind"), mnt); err != nil {
		return err
	}
	for range 200 {
		if fsType(mnt) == "fuse" {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	console, _ := os.ReadFile(r.bindfs.log)
	r.bindfs.expected = true
	r.bindfs.signal(syscall.SIGKILL)
	r.bindfs = nil
	return fmt.Errorf("it does not mount: %s", bytes.TrimSpace(console))
}

// fsType returns the type of the file system of a directory.
func fsType(dir string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return err.Error()
	}
	switch st.Type {
	case 0x01021994:
		return "tmpfs"
	case 0xef53:
		return "ext4"
	case 0x65735546:
		return "fuse"
	}
	return fmt.Sprintf("%#x", st.Type)
}

// play is the round: changes and faults, then calm, a fresh server, and the end of all.
func (r *round) play(ctx context.Context, length time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	var all, writing, watching sync.WaitGroup
	defer all.Wait()
	defer cancel()
	quiet, beQuiet := context.WithCancel(ctx)
	defer beQuiet()
	watched, watchNoMore := context.WithCancel(ctx)
	watching.Go(func() { r.rec.watch(watched, r.watched) })
	defer watching.Wait()
	defer watchNoMore()
	busy, noMore := context.WithTimeout(ctx, length-endOfRound)
	defer writing.Wait()
	defer noMore()

	if err := r.serve(false); err != nil {
		return err
	}
	writing.Go(func() { r.writer.run(busy) })
	for i, p := range r.proxies[:rawReaders] {
		rng := rand.New(rand.NewPCG(r.rand.Uint64(), uint64(i)))
		all.Go(func() { rawReader(ctx, quiet, p.listener.Addr(), rng) })
	}
	for _, c := range r.clients {
		if err := c.start(); err != nil {
			return err
		}
	}
	for busy.Err() == nil {
		if err := r.disturb(busy); err != nil {
			return err
		}
		sleep(busy, upTo(r.rand, 1500*time.Millisecond))
	}
	writing.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}

	beQuiet()
	if r.few {
		if err := r.restart(ctx, syscall.SIGTERM, false); err != nil {
			return err
		}
	}
	if err := r.connectAll(ctx); err != nil {
		return err
	}
	r.writer.burst(10)
	sleep(ctx, 2*(interval+scanTime)*time.Millisecond) // all is reported by then, if the machine lets it
	watchNoMore()
	watching.Wait()
	const calm = (2*interval + 5000 + 100) * time.Millisecond
	at, late := int64(0), true
	for late && ctx.Err() == nil {
		at = r.rec.now()
		sleep(ctx, calm)
		late = time.Duration(r.rec.now()-at)*time.Millisecond > calm+time.Second
	}
	r.rec.add(proof.Record{T: at, Kind: proof.Calm})
	fresh, err := r.launch(proof.Fresh, r.path("run/fresh"), false, false)
	if err == nil {
		err = fresh.await()
	}
	if err != nil {
		return err
	}
	return r.endAll(fresh)
}

// watched returns the processes that must not wait for a processor.
func (r *round) watched() (pids []int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.server != nil {
		pids = append(pids, r.server.pid())
	}
	if r.bindfs != nil {
		pids = append(pids, r.bindfs.pid())
	}
	return pids
}

// connectAll ends all that disturbs followers, and waits until all are connected.
func (r *round) connectAll(ctx context.Context) error {
	for _, p := range r.proxies {
		p.calm()
	}
	for begin := time.Now(); ctx.Err() == nil; sleep(ctx, 10*time.Millisecond) {
		i := slices.IndexFunc(r.proxies, func(p *proxy) bool { return !p.isGood() })
		if i < 0 {
			return nil
		}
		if time.Since(begin) > connectTime {
			return fmt.Errorf("%s did not connect within %v", r.proxies[i].reader, connectTime)
		}
	}
	return ctx.Err()
}

// endAll ends all processes in order, and records what is left behind.
func (r *round) endAll(fresh *server) error {
	r.sample(r.server)
	r.rec.add(proof.Record{
		Kind: proof.Usage, Server: r.server.number, Name: "descriptors, without those of subscribers",
		Value: int64(idleFiles(r.server.pid()) - len(r.proxies) - 1), Limit: int64(idleFiles(fresh.pid()) - 1 + 2),
	})
	for _, c := range r.clients {
		for _, what := range zombies(c.pid()) {
			r.left("process", what)
		}
	}
	err := r.endOne(fresh, syscall.SIGTERM)
	for _, c := range r.clients {
		err = errors.Join(err, c.end(syscall.SIGTERM))
	}
	err = errors.Join(err, r.endServer(syscall.SIGTERM))
	for _, line := range staying(r.path("run/")) {
		r.left("process", line)
	}
	if _, err := os.Lstat(r.path("run/foreign")); err != nil {
		r.left("foreign", r.path("run/foreign"))
	}
	return err
}

// cleanUp ends what still runs and removes all files.
func (r *round) cleanUp() {
	for _, c := range r.children {
		if c != r.bindfs && c.alive() {
			c.expected = true
			c.signal(syscall.SIGKILL)
		}
	}
	if r.bindfs != nil {
		r.bindfs.signal(syscall.SIGCONT)
		r.bindfs.expected = true
		exec.Command("fusermount3", "-u", "-z", r.path("fuse/mnt")).Run()
		r.bindfs.end(syscall.SIGTERM)
	}
	for _, p := range r.proxies {
		p.close()
	}
	for _, c := range r.children {
		<-c.done
	}
	filepath.WalkDir(r.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			os.Chmod(name, 0o755)
		}
		return nil
	})
	os.RemoveAll(r.dir)
	os.RemoveAll(r.memory)
}

// disturb does one thing that a promise has to bear, and undoes it.
func (r *round) disturb(ctx context.Context) error {
	r.sample(r.server)
	var err error
	switch n := r.rand.IntN(20); {
	case n < 3:
		r.stopServer(ctx)
	case n < 6 && r.bindfs != nil:
		err = r.hang(ctx)
	case n < 9:
		err = r.deny(ctx)
	default:
		err = r.disturbProcess(ctx)
	}
	for _, c := range r.children {
		err = errors.Join(err, c.died())
	}
	return err
}

// disturbProcess ends or stops the server or a client.
func (r *round) disturbProcess(ctx context.Context) error {
	sig := syscall.SIGTERM
	if r.rand.IntN(2) == 0 {
		sig = syscall.SIGKILL
	}
	c := r.clients[r.rand.IntN(len(r.clients))]
	switch n := r.rand.IntN(10); {
	case n < 5:
		return r.restart(ctx, sig, r.rand.IntN(3) == 0)
	case n < 8:
		if err := c.end(sig); err != nil {
			return err
		}
		sleep(ctx, upTo(r.rand, time.Second))
		return c.start()
	default:
		heal := r.rec.fault("stop", "", c.reader, "")
		c.signal(syscall.SIGSTOP)
		sleep(ctx, upTo(r.rand, 4*time.Second))
		heal(func() { c.signal(syscall.SIGCONT) })
		return nil
	}
}

// restart ends the server and starts another one, with changes between or none. Some are
// killed while they start.
func (r *round) restart(ctx context.Context, sig syscall.Signal, few bool) error {
	goOn := sync.OnceFunc(r.writer.pause())
	defer goOn()
	if err := r.endServer(sig); err != nil {
		return err
	}
	if r.rand.IntN(3) > 0 {
		goOn()
		sleep(ctx, upTo(r.rand, 1500*time.Millisecond))
	}
	for r.rand.IntN(4) == 0 {
		s, err := r.launch(proof.Serve, r.path("run/socket"), false, false)
		if err != nil {
			return err
		}
		time.Sleep(upTo(r.rand, 20*time.Millisecond))
		if err := r.endOne(s, syscall.SIGKILL); err != nil {
			return err
		}
	}
	goOn()
	r.few = few
	return r.serve(few)
}

// stopServer stops the server for a while, seldom for longer than any of its limits.
func (r *round) stopServer(ctx context.Context) {
	d := upTo(r.rand, 2*time.Second)
	if r.rand.IntN(5) == 0 {
		d = 6 * time.Second
	}
	heal := r.rec.fault("stop", "", "", "")
	r.server.signal(syscall.SIGSTOP)
	sleep(ctx, d)
	heal(func() { r.server.signal(syscall.SIGCONT) })
}

// hang stops bindfs for a while, in which something else may be disturbed.
func (r *round) hang(ctx context.Context) error {
	heal := r.rec.fault("hang", r.path("fuse/mnt"), "", "")
	r.hung = true
	r.bindfs.signal(syscall.SIGSTOP)
	sleep(ctx, upTo(r.rand, 7*time.Second))
	var err error
	if r.rand.IntN(3) == 0 {
		err = r.disturbProcess(ctx)
		sleep(ctx, upTo(r.rand, 2*time.Second))
	}
	heal(func() { r.bindfs.signal(syscall.SIGCONT) })
	r.hung = false
	return err
}

// deny takes the permissions of a directory for a while, in which something else may be
// disturbed.
func (r *round) deny(ctx context.Context) error {
	p := r.writer.places[r.rand.IntN(3)] // not in the mount
	dirs := []string{filepath.Dir(p.real)}
	if !p.isFile {
		dirs = nil
		filepath.WalkDir(p.real, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, name)
			}
			return nil
		})
	}
	if len(dirs) == 0 {
		return nil
	}
	dir := dirs[r.rand.IntN(len(dirs))]
	r.writer.pin(dir)
	defer r.writer.pin("")
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return nil // it has gone
	}
	heal := r.rec.fault("fail", dir, "", syscall.EACCES.Error())
	err := os.Chmod(dir, 0)
	sleep(ctx, upTo(r.rand, 4*time.Second))
	if r.rand.IntN(3) == 0 {
		err = errors.Join(err, r.disturbProcess(ctx))
	}
	heal(func() { err = errors.Join(err, os.Chmod(dir, 0o755)) })
	return err
}
