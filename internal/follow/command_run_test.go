package follow

import (
	"context"
	"errors"
	"log"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// fakeProcess takes some time, and some more to end when its context is done.
type fakeProcess struct {
	ctx            context.Context
	takes, lingers time.Duration
}

func (fakeProcess) Pid() int       { return 7 }
func (fakeProcess) String() string { return "ended" }
func (fakeProcess) End() int       { return 0 }

func (p fakeProcess) Wait() error {
	select {
	case <-time.After(p.takes):
		return nil
	case <-p.ctx.Done():
		time.Sleep(p.lingers)
		return p.ctx.Err()
	}
}

// fakeCommand is a Command in a bubble that starts fakeProcesses.
type fakeCommand struct {
	*Command
	fail           int // so many more cannot be started
	takes, lingers time.Duration
	began          time.Time
	ctxs           []context.Context // of all tries
	runs           []string          // when they began, and on what
	log            check.Buffer
}

func newFakeCommand(takes, lingers time.Duration) *fakeCommand {
	f := &fakeCommand{takes: takes, lingers: lingers, began: time.Now()}
	f.Command = &Command{args: []string{"c"}, log: log.New(&f.log, "", 0), next: make(chan pending, 1), Start: f.start}
	return f
}

func (f *fakeCommand) start(ctx context.Context, events []wire.Event) (Process, error) {
	f.ctxs = append(f.ctxs, ctx)
	if f.fail > 0 {
		f.fail--
		return nil, errors.New("not now")
	}
	run := []string{time.Since(f.began).String()}
	for _, e := range events {
		run = append(run, e.File)
	}
	f.runs = append(f.runs, strings.Join(run, " "))
	return fakeProcess{ctx, f.takes, f.lingers}, nil
}

// addLater adds a change of each file, one each second.
func (f *fakeCommand) addLater(files ...string) {
	for _, file := range files {
		f.Add([]wire.Event{change(file, 1)})
		time.Sleep(time.Second)
	}
}

// The context of a run is done when the run has ended, and that of a try when it has
// failed.
func TestCommandContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCommand(time.Second, 0)
		f.fail = 1
		f.Start = func(ctx context.Context, events []wire.Event) (Process, error) {
			for _, before := range f.ctxs {
				if before.Err() == nil {
					t.Error("the context of the try or run before is not done")
				}
			}
			return f.start(ctx, events)
		}
		go func() {
			f.addLater("a", "b")
			f.addLater("c")
			f.Close()
		}()
		f.Run(t.Context())
		if len(f.ctxs) < 3 || f.ctxs[len(f.ctxs)-1].Err() == nil {
			t.Errorf("%d contexts, and the last is not done", len(f.ctxs))
		}
	})
}

// Of a program that cannot be started because its context is done, nothing is logged.
func TestCommandStartedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCommand(0, 0)
		ctx, cancel := context.WithCancel(t.Context())
		f.Start = func(ctx context.Context, _ []wire.Event) (Process, error) {
			cancel()
			return nil, ctx.Err()
		}
		f.Trigger()
		f.Run(ctx)
		check.Equal(t, "log", []string(nil), f.log.Take())
	})
}

// What changes while a run that Restart has ended takes its time is in the next run,
// with the change that has ended it.
func TestCommandRestartLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCommand(time.Hour, 5*time.Second)
		f.Restart = true
		go func() {
			f.addLater("a", "b", "c", "d")
			time.Sleep(time.Minute)
			f.Close()
		}()
		f.Run(t.Context())
		check.Equal(t, "runs", []string{"0s a", "6s a b c d"}, f.runs)
	})
}

// Restart ends a run when the changes have settled.
func TestCommandRestartSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCommand(time.Hour, 0)
		f.Restart, f.Settle = true, 1500*time.Millisecond
		go func() {
			f.addLater("a")
			time.Sleep(9 * time.Second)
			f.addLater("b", "c")
			time.Sleep(time.Minute)
			f.Close()
		}()
		f.Run(t.Context())
		check.Equal(t, "runs", []string{"1.5s a", "12.5s a b c"}, f.runs)
	})
}

// The longest value in the environment has 32 KiB.
func TestEnvValue(t *testing.T) {
	for value, want := range map[string]bool{
		strings.Repeat("x", 32<<10):   true,
		strings.Repeat("x", 32<<10+1): false,
		"":                            true,
		"a\x00":                       false,
		"\x00a":                       false,
	} {
		if got := envValue(value) == value; got != want {
			t.Errorf("%d bytes that begin with %.3q: kept %v", len(value), value, got)
		}
	}
}

// The limits of a command are as docs/architecture.md has them.
func TestCommandLimits(t *testing.T) {
	check.Equal(t, "of SIGTERM, of a name, of the input", []int{5000, 32 << 10, 1 << 20},
		[]int{int(KillDelay.Milliseconds()), maxEnvValue, maxBatch})
}
