package main

import (
	"crypto/x509"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/wire"
)

// A subscriber over TLS that reads nothing delays no other one, is dropped when the server
// ends, and the others get a regular end.
func TestSlowOverTLS(t *testing.T) {
	l := listenTLS(t)
	s := startServer(t, l)
	stuck, honest := dial(t, l), dial(t, l)
	stuck.expect("[text] watching a (not there)")
	honest.expect("[text] watching a (not there)")
	huge := make([]wire.Event, 500) // more than the kernel's buffers at both ends take
	for i := range huge {
		huge[i] = change("a/"+strings.Repeat("x", 20_000), 1)
		huge[i].Target = "a"
	}
	s.feed.Publish(huge)
	for range huge {
		honest.expect("[text] modified " + huge[0].File)
	}
	for i := range 10 {
		s.feed.Publish([]wire.Event{change("a", int64(i))})
		honest.expect("[text] modified a")
	}
	begin := time.Now()
	s.stop(t)
	t.Logf("stopped after %v", time.Since(begin))
	honest.expectEnd()
	if n, err := io.Copy(io.Discard, stuck.lines); err == nil {
		t.Errorf("the stuck peer got a regular end, after %d bytes", n)
	}
}

// The program serves TLS, follows over TLS, and ends at the start if it cannot.
func TestProgramOverTLS(t *testing.T) {
	a := check.NewAuthority(t, "ca")
	cert, key := a.Issue("both", nil)
	old, oldKey := a.Issue("old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	file := filepath.Join(t.TempDir(), "target.txt")
	check.Write(t, file, "1", check.Day1)
	err := run(t.Context(), []string{"-listen", "tls://127.0.0.1:0", "-cert", old, "-key", oldKey, file}, io.Discard, io.Discard)
	if !strings.Contains(check.Message(err), "the certificate expired at ") {
		t.Errorf("with an expired certificate: %v", err)
	}

	r := &restartable{t: t, file: file, listen: "tls://127.0.0.1:0", flags: []string{"-cert", cert, "-key", key, "-ca", a.CA}}
	at := r.start()
	defer r.stop()
	follow := func(flags ...string) (line string, err error) {
		console, out := &check.Buffer{}, &check.Buffer{}
		done := make(chan error, 1)
		go func() {
			done <- run(t.Context(), append([]string{"-connect", "tls://" + at, "-once"}, flags...), out, console)
		}()
		for size := 2; ; size++ {
			select {
			case err := <-done:
				return strings.Join(out.Take(), "\n"), err
			default:
			}
			if lines := out.Take(); len(lines) > 0 {
				line = lines[0]
			}
			if line != "" {
				return line, nil
			}
			check.Write(t, file, strings.Repeat("x", size%100), check.Day1)
			time.Sleep(time.Millisecond)
		}
	}
	line, err := follow("-ca", a.CA, "-cert", cert, "-key", key)
	if err != nil || !strings.HasSuffix(line, " modified "+file) {
		t.Errorf("%q, %v", line, err)
	}
	_, err = follow("-ca", a.CA)
	check.Equal(t, "without -cert", "follow tls://"+at+": the server wants a client certificate (-cert FILE -key FILE)", check.Message(err))
	_, err = follow("-ca", cert, "-cert", cert, "-key", key)
	if !strings.Contains(check.Message(err), "(-ca FILE says which authority to trust)") && err != nil {
		t.Errorf("with another -ca: %v", err)
	}
}
