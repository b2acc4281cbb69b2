//go:build linux

// Bench measures net-watcher, on Linux: what scans cost beside those of other
// programs (poll), how that grows with the files (growth), what many subscribers cost
// (fanout), and whether anything grows while thousands of them misbehave (soak).
//
// Each measurement builds the program of this repository and starts it as a process
// of its own. Everything that it is compared with runs in the same run, by turns.
// The tables are Markdown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const usage = `usage: go run ./scripts/bench poll [-installed] [-rounds N] [-seconds N] [DIRS FILES]
       go run ./scripts/bench growth [-rounds N] [-seconds N] [-most N] [-tsv FILE]
       go run ./scripts/bench fanout [-tsv FILE] [N...]
       go run ./scripts/bench soak [-subscribers N] [DURATION]

poll measures scans of DIRS directories with FILES files each (1000 100), once a
second, beside other programs that poll and a C loop of the system calls. In each of
the rounds (5) each program is measured for so many seconds (10). -installed leaves
out what is not installed. GOGC=50 or the like in the environment holds for
net-watcher.

growth measures scans of trees of several shapes, of up to -most files (1000000),
beside the same C loop. -tsv writes the figures for growth.gnuplot.

fanout measures what N subscribers cost (1000, 10000 and as many as can be), over
TCP, TLS and a Unix socket, beside a bare loop of write. -tsv writes the figures for
fanout.gnuplot.

soak has subscribers (10000) come, misbehave and go for so long (10m, at least 16s),
beside some honest ones, and fails if net-watcher grows, if something is left at the
end, or if the honest ones do not all receive the same.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "bench: %v\n%s", err, usage)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// usageError is an error in the command line.
type usageError struct{ error }

// run does what the arguments say, until ctx is done.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError{errors.New("poll, growth, fanout or soak?")}
	}
	what, flags := args[0], flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var p pollOptions
	flags.BoolVar(&p.installed, "installed", false, "")
	flags.IntVar(&p.rounds, "rounds", 5, "")
	seconds := flags.Int("seconds", 10, "")
	most := flags.Int("most", 1_000_000, "")
	tsv := flags.String("tsv", "", "")
	subscribers := flags.Int("subscribers", 10_000, "")
	if err := flags.Parse(args[1:]); err != nil {
		return usageError{err}
	}
	switch what {
	case "soak":
		duration := 10 * time.Minute
		if flags.NArg() > 0 {
			var err error
			if duration, err = time.ParseDuration(flags.Arg(0)); err != nil || flags.NArg() > 1 {
				return usageError{errors.New("soak takes one DURATION, such as 90s")}
			}
		}
		return soak(ctx, stdout, *subscribers, duration)
	case "fanout":
		sizes, err := numbers(flags.Args())
		if err != nil {
			return err
		}
		return fanout(ctx, stdout, sizes, *tsv)
	case "poll":
		tree, err := numbers(flags.Args())
		switch {
		case err != nil:
			return err
		case len(tree) == 0:
			tree = []int{1000, 100}
		case len(tree) != 2:
			return usageError{errors.New("poll takes DIRS and FILES")}
		}
		p.dirs, p.files, p.time = tree[0], tree[1], time.Duration(*seconds)*time.Second
		return poll(ctx, stdout, p)
	case "growth":
		if flags.NArg() > 0 {
			return usageError{errors.New("growth takes only flags")}
		}
		return measureGrowth(ctx, stdout, growthOptions{p.rounds, *most, time.Duration(*seconds) * time.Second, *tsv})

	// The other processes of a measurement are this program again.
	case "subscribe", "bare-write":
		n, err := strconv.Atoi(flags.Arg(0))
		if err != nil || flags.NArg() != 2 {
			return usageError{fmt.Errorf("%s takes N and ADDRESS", what)}
		}
		do := subscribe
		if what == "bare-write" {
			do = bareWrite
		}
		return do(ctx, n, parseAddress(flags.Arg(1)), stdin, newReporter(stdout))
	}
	return usageError{fmt.Errorf("%q: poll, growth, fanout or soak?", what)}
}

// numbers reads positive numbers of at most seven digits.
func numbers(args []string) ([]int, error) {
	var all []int
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 1 || n > 9_999_999 {
			return nil, usageError{fmt.Errorf("%q is no positive number", arg)}
		}
		all = append(all, n)
	}
	return all, nil
}
