package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notifier reports to a service manager such as systemd what the program does
// (sd_notify(3)). One without a socket does nothing.
type notifier struct {
	socket   string        // the manager's, "" for none; one that begins with @ has no file
	watchdog time.Duration // how often the manager waits for a sign of life, 0 for not
	logf     func(format string, args ...any)
}

// newNotifier returns the notifier that the environment asks for.
func newNotifier(getenv func(string) string, logf func(string, ...any)) *notifier {
	n := &notifier{socket: getenv("NOTIFY_SOCKET"), logf: logf}
	pid := getenv("WATCHDOG_PID")
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// run says that the program is ready, with a line about what it does; then, twice in the
// manager's time, that it is alive, if isAlive says so; and, when ctx is done, that it
// ends. Then it returns.
func (n *notifier) run(ctx context.Context, isAlive func() bool, status string) {
	if n.socket == "" {
		return
	}
	n.send("READY=1", "STATUS="+status)
	var tick <-chan time.Time
	if n.watchdog > 0 {
		tick = time.Tick(n.watchdog / 2)
	}
	for wasAlive := true; ; {
		select {
		case <-tick:
			alive := isAlive()
			switch {
			case alive && wasAlive:
				n.send("WATCHDOG=1")
			case alive:
				n.send("WATCHDOG=1", "STATUS="+status)
			case wasAlive:
				n.send("STATUS=no scan has begun for too long")
			}
			wasAlive = alive
		case <-ctx.Done():
			n.send("STOPPING=1", "STATUS=stopping")
			return
		}
	}
}

// send sends these variables. What the manager does not take does not concern what the
// program does.
func (n *notifier) send(variables ...string) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		n.logf("cannot notify the service manager: %v", err)
		return
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte(strings.Join(variables, "\n"))); err != nil {
		n.logf("cannot notify the service manager: %v", err)
	}
}
