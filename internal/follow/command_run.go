package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"net-watcher/internal/backoff"
	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

const (
	// KillDelay is how long a run of a command may take to end after SIGTERM, and
	// how long something that it leaves behind may keep its standard input or
	// output open.
	KillDelay = 5 * time.Second

	// longRun is how long a run may take before the log names it, if changes wait
	// for its end: far longer than a reload or a small build.
	longRun = time.Minute

	// maxEnvValue is the longest value that a command gets in its environment, in
	// bytes: far longer than a path may be, and well below the 128 KiB above
	// which Linux does not start the command.
	maxEnvValue = 32 << 10
)

// Process is what runs a command once.
type Process interface {
	Pid() int
	Wait() error    // waits until it has ended, and returns how, if it has failed
	String() string // how it has ended, after Wait

	// End waits for what is to end with it, after Wait, and returns its exit status as
	// Command.Status has it.
	End() int
}

// neverStarted is the status of a command that could not be started, as in a shell.
const neverStarted = 126

// execution is a Process of the system.
type execution struct {
	cmd        *exec.Cmd
	endSession func() // see cancelBySession
}

func (x execution) Pid() int       { return x.cmd.Process.Pid }
func (x execution) String() string { return x.cmd.ProcessState.String() }

func (x execution) Wait() error {
	err := x.cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		// It has succeeded; something that it has started keeps its standard input or
		// output open.
		return nil
	}
	return err
}

func (x execution) End() int {
	x.endSession()
	return exitStatus(x.cmd.ProcessState)
}

// run is one run of a command.
type run struct {
	process Process
	ctx     context.Context // done when the run is to end
	cancel  func()
	begin   time.Time
}

// since returns how long r has taken, as messages show it.
func (r *run) since() time.Duration { return time.Since(r.begin).Round(time.Millisecond) }

// name returns the command's name as messages show it.
func (c *Command) name() string { return wire.Printable(c.args[0]) }

// start starts a run on input. Whatever prevents that may pass by itself (a program
// that is being replaced, a lack of memory, processes or descriptors), and another
// try costs little: so start tries until it succeeds, also on the events that come
// meanwhile. It returns nil if ctx is done, and, with the status, if Close was called after
// a first try.
func (c *Command) start(ctx context.Context, input *pending) *run {
	retry := backoff.Backoff{Min: minRetry, Max: maxRetry}
	begin := time.Now()
	for tries := 0; ; tries++ {
		r, err := c.tryStart(ctx, input.events)
		switch {
		case err == nil:
			if tries > 0 {
				c.log.Printf("%s could be started after %v", c.name(), time.Since(begin).Round(time.Millisecond))
			}
			if c.Verbose {
				c.log.Printf("%s started (process %d, events: %d)", c.name(), r.process.Pid(), len(input.events))
			}
			return r
		case ctx.Err() != nil:
			return nil
		case tries == 0 || c.Verbose:
			c.log.Printf("cannot start %s, retrying: %v", c.name(), oserr.Cause(err))
		}
		if !retry.Wait(ctx) {
			return nil
		}
		select {
		case p, ok := <-c.next:
			if !ok {
				c.status = neverStarted
				return nil
			}
			input.add(p.events)
		default:
		}
	}
}

// tryStart tries once to start a run on events.
func (c *Command) tryStart(ctx context.Context, events []wire.Event) (*run, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{ctx: ctx, cancel: cancel, begin: time.Now()}
	var err error
	if r.process, err = c.Start(ctx, events); err != nil {
		cancel()
		return nil, err
	}
	return r, nil
}

// execute starts a process on events. As execvp(3) does, it has the shell run what the
// system cannot execute by itself.
func (c *Command) execute(ctx context.Context, events []wire.Event) (Process, error) {
	file, start, err := find(c.args[0])
	if err != nil {
		return nil, err
	}
	p, err := c.exec(ctx, c.args, events)
	switch {
	case errors.Is(err, syscall.ENOEXEC) && isText(start):
		return c.exec(ctx, append([]string{"/bin/sh", file}, c.args[1:]...), events)
	case errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("%w (the file is there, but its loader is not? try: ldd %s)", oserr.Cause(err), wire.Printable(file))
	}
	return p, err
}

// exec starts args on events.
func (c *Command) exec(ctx context.Context, args []string, events []wire.Event) (Process, error) {
	var last wire.Event
	if len(events) > 0 {
		last = events[len(events)-1]
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = bytes.NewReader(wire.Encode(wire.JSON, events))
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	cmd.Env = append(environ(), "NET_WATCHER_FILE="+envValue(last.File), "NET_WATCHER_CHANGE="+envValue(string(last.Change)))
	cmd.WaitDelay = c.killDelay
	started, endSession := cancelBySession(cmd, func() {
		c.log.Printf("%s cannot be ended: it, or what it has started, runs as another user, as with sudo (ps -s %d)", c.name(), cmd.Process.Pid)
	})
	if err := cmd.Start(); err != nil {
		endSession()
		return nil, err
	}
	started()
	return execution{cmd, endSession}, nil
}

// wait waits for the end of r, and reports whether r has succeeded. With Restart, it
// ends r when there is a reason for the next run, and returns that.
func (c *Command) wait(ctx context.Context, r *run) (ok bool, restart *pending) {
	defer r.cancel()
	done := make(chan error)
	var took time.Duration
	var failed bool
	go func() {
		err := r.process.Wait()
		took, failed = r.since(), err != nil && r.ctx.Err() == nil
		if failed { // here, because await may be waiting for changes to settle
			c.log.Printf("%s failed after %v: %v", c.name(), took, err)
		}
		done <- err
	}()
	named, restart, err := c.await(ctx, done, r)
	if !failed && (named || c.Verbose) {
		c.log.Printf("%s ended after %v: %v", c.name(), took, r.process)
	}
	c.status = r.process.End()
	return err == nil, restart
}

// await returns what done receives at the end of r, and whether the log has named r
// before. The program does not know whether a process waits for something, was
// stopped (SIGSTOP) or will never end; an operator can find out. With Restart, await
// cancels r when there is a reason for the next run, and returns that too.
func (c *Command) await(ctx context.Context, done <-chan error, r *run) (named bool, restart *pending, err error) {
	tick := time.Tick(longRun)
	var next <-chan pending
	if c.Restart {
		next = c.next
	}
	for {
		select {
		case err := <-done:
			return named, restart, err
		case p, ok := <-next:
			next = nil
			if ok {
				c.settle(ctx, &p)
				restart = &p
				r.cancel()
			}
		case <-tick:
			if !named && len(c.next) > 0 {
				named = true
				c.log.Printf("%s has run for %v, and changes wait for its end (process %d)", c.name(), r.since(), r.process.Pid())
			}
		}
	}
}

// environ returns the environment, without what a service manager says to this process
// alone: a command that speaks sd_notify(3) would report its own start and end, and life.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == "NOTIFY_SOCKET" || name == "WATCHDOG_PID" || name == "WATCHDOG_USEC"
	})
}

// envValue returns s, or "" if no environment can hold s.
func envValue(s string) string {
	if len(s) > maxEnvValue || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}
