//go:build linux

// Command robust tries to break the promises of docs/promises.md with the real program,
// on Linux: it starts a server and followers, changes files, and stops, kills, limits and
// cuts off what it can. What happened is a history, which the validators of
// internal/proof judge.
//
//	main.go      the command line; rounds, and what they have found
//	round.go     one round: the set-up, the schedule of faults, the calm at its end
//	recorder.go  the history of a round, and what of it is known only at the end
//	process.go   processes, and what they use and leave behind
//	server.go    a server, and the witness that records what it publishes
//	proxy.go     the way from a server to a follower, which cuts, splits and stalls
//	follower.go  those who follow: raw readers, clients, COMMANDs
//	writer.go    changes of files
//
// It ends only processes that it has started. Where it may not mount, run a server as
// another user, or has no bindfs, it says so and does the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"net-watcher/internal/proof"
)

const help = `usage: go run ./scripts/robust [-seed N] [-minutes M] [-dir DIR]
       go run ./scripts/robust -check FILE

Tries to break the promises of net-watcher for M minutes (2), in rounds of one minute.
The round with the number i does what the seed N+i says (N: the time). The history of a
round that breaks a promise is left in DIR (the directory for temporary files), and
-check judges it again. The exit status is 1 if a promise was broken.
`

// roundTime is how long a round lasts, with its end. Validators take the square of it.
const roundTime = time.Minute

func main() {
	if len(os.Args) == 3 && os.Args[1] == "command" { // a client runs this program
		os.Exit(command(os.Args[2], os.Stdin))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(help)
	default:
		fmt.Fprintf(os.Stderr, "robust: %v\n", err)
		os.Exit(1)
	}
}

// run does what the arguments say, until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("robust", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	seed := flags.Uint64("seed", uint64(time.Now().Unix()), "")
	minutes := flags.Float64("minutes", 2, "")
	dir := flags.String("dir", os.TempDir(), "")
	file := flags.String("check", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q: too many arguments", flags.Arg(0))
	}
	if *file != "" {
		return judge(*file, stdout)
	}
	syscall.Umask(0o022) // a server that is another user reads the files
	work, err := os.MkdirTemp("", "robust")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	program := filepath.Join(work, "net-watcher")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "net-watcher").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	fmt.Fprintf(stdout, "seed %d, %v minutes\n", *seed, *minutes)
	var failed []string
	begin, length := time.Now(), time.Duration(*minutes*float64(time.Minute))
	for i := uint64(0); i == 0 || time.Since(begin)+roundTime/2 < length; i++ {
		h, consoles, err := newRound(work, program, *seed+i, i == 0, stdout).run(ctx, min(roundTime, length))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name := filepath.Join(*dir, fmt.Sprintf("robust-%d", *seed+i))
		violations := h.Validate()
		fmt.Fprintf(stdout, "seed %d: %s\n", *seed+i, figures(h))
		if err == nil && len(violations) == 0 {
			continue
		}
		if err != nil {
			fmt.Fprintf(stdout, "  %v\n", err)
		}
		show(violations, stdout)
		if err := errors.Join(save(h, name+".history"), os.WriteFile(name+".log", consoles, 0o666)); err != nil {
			return err
		}
		failed = append(failed, name+".history")
	}
	if len(failed) > 0 {
		return fmt.Errorf("broken promises, in %q (-check FILE validates one again; the consoles are beside it, .log)", failed)
	}
	fmt.Fprintf(stdout, "all promises held, in %v\n", time.Since(begin).Round(time.Second))
	return nil
}

// judge validates the history in a file.
func judge(name string, stdout io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := proof.Read(f)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, figures(h))
	if violations := h.Validate(); len(violations) > 0 {
		show(violations, stdout)
		return errors.New("broken promises")
	}
	fmt.Fprintln(stdout, "all promises held")
	return nil
}

// show prints violations, but not many.
func show(violations []proof.Violation, stdout io.Writer) {
	for i, v := range violations {
		if i == 20 {
			fmt.Fprintf(stdout, "  and %d more\n", len(violations)-i)
			return
		}
		fmt.Fprintf(stdout, "  %v\n", v)
	}
}

func save(h proof.History, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(h.Write(f), f.Close())
}

// figures says how much the validators have had to judge.
func figures(h proof.History) string {
	n := make(map[proof.Kind]int)
	faults, killed := make(map[string]int), 0
	events, got, handled := 0, 0, 0
	for _, r := range h {
		n[r.Kind]++
		switch r.Kind {
		case proof.Publish:
			events += len(r.Events)
		case proof.Got:
			got += len(r.Events)
		case proof.Handled:
			handled += len(r.Events)
		case proof.Fault:
			faults[r.Name]++
		case proof.End:
			if r.Name == "killed" {
				killed++
			}
		}
	}
	return fmt.Sprintf("%d changes of files, %d servers, %d events in %d batches; %d connections got %d lines, clients printed %d, %d runs of COMMAND; %d ends, %d of them by SIGKILL; faults: %v; %d samples",
		n[proof.Op], n[proof.Serve], events, n[proof.Publish], n[proof.Join], got, handled, n[proof.Run], n[proof.End], killed, faults, n[proof.Usage])
}
