package web

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crlf returns the lines as HTTP has them.
func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

func TestParse(t *testing.T) {
	get := request{method: "GET", path: "/events", host: "localhost", peer: "localhost:8080"}
	closes := get
	closes.close = true
	for _, test := range []struct {
		name, head string
		want       request
		status     int
	}{
		{"plain", crlf("GET /events HTTP/1.1", "Host: localhost:8080", ""), get, 0},
		{"query, other fields", crlf("GET /events?a=/b HTTP/1.1", "accept:text/event-stream", "HOST:\tlocalhost:8080 ", "Content-Length: 0", ""), get, 0},
		{"LF alone", "GET /events HTTP/1.1\nHost: localhost:8080\n\n", get, 0},
		{"close", crlf("GET /events HTTP/1.1", "Host: localhost:8080", "Connection: keep-alive, Close", ""), closes, 0},
		{"body", crlf("GET /events HTTP/1.1", "Host: localhost:8080", "Content-Length: 3", ""), closes, 0},
		{"chunks", crlf("GET /events HTTP/1.1", "Host: localhost:8080", "Transfer-Encoding: chunked", ""), closes, 0},
		{"HTTP/1.0", crlf("GET /events HTTP/1.0", ""), request{method: "GET", path: "/events", close: true}, 0},
		{"origin", crlf("GET / HTTP/1.1", "Host: [::1]:80", "Origin: http://x", ""), request{method: "GET", path: "/", host: "::1", peer: "[::1]:80", origin: "http://x"}, 0},
		{"a proxy's", crlf("GET http://LocalHost.:8080?x HTTP/1.1", "Host: other", ""), request{method: "GET", path: "/", host: "localhost", peer: "LocalHost.:8080"}, 0},
		{"a proxy's, with a path", crlf("GET https://localhost:8080/events HTTP/1.1", "Host: other", ""), get, 0},
		{"all", crlf("OPTIONS * HTTP/1.1", "Host: a", ""), request{method: "OPTIONS", path: "*", host: "a", peer: "a"}, 0},

		{"HTTP/2", crlf("PRI * HTTP/2.0", ""), request{}, 505},
		{"no version", crlf("GET /", ""), request{}, 400},
		{"no HTTP", crlf("json", ""), request{}, 400},
		{"two blanks", crlf("GET  / HTTP/1.1", "Host: a", ""), request{}, 400},
		{"no path", crlf("GET events HTTP/1.1", "Host: a", ""), request{}, 400},
		{"TLS", "\x16\x03\x01\x00\xa5\n\n", request{}, 400},
		{"no Host", crlf("GET / HTTP/1.1", ""), request{}, 400},
		{"two Hosts", crlf("GET / HTTP/1.1", "Host: a", "Host: a", ""), request{}, 400},
		{"no host", crlf("GET / HTTP/1.1", "Host:", ""), request{}, 400},
		{"a user", crlf("GET / HTTP/1.1", "Host: u@a", ""), request{}, 400},
		{"no port", crlf("GET / HTTP/1.1", "Host: a:b", ""), request{}, 400},
		{"no IPv6", crlf("GET / HTTP/1.1", "Host: [::1", ""), request{}, 400},
		{"a blank before the colon", crlf("GET / HTTP/1.1", "Host : a", ""), request{}, 400},
		{"a folded line", crlf("GET / HTTP/1.1", "Host: a", " b: c", ""), request{}, 400},
		{"no colon", crlf("GET / HTTP/1.1", "Host: a", "b", ""), request{}, 400},
		{"CR in a value", crlf("GET / HTTP/1.1", "Host: a", "b: c\rd", ""), request{}, 400},
		{"NUL", crlf("GET / HTTP/1.1", "Host: a", "b: \x00", ""), request{}, 400},
		{"a negative length", crlf("GET / HTTP/1.1", "Host: a", "Content-Length: -1", ""), request{}, 400},
		{"two lengths", crlf("GET / HTTP/1.1", "Host: a", "Content-Length: 1, 1", ""), request{}, 400},
	} {
		got, status := parse([]byte(test.head))
		if status != test.status {
			t.Errorf("%s: status %d, want %d", test.name, status, test.status)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(request{})); test.status == 0 && diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if status != 0 && !got.close {
			t.Errorf("%s: what follows would be read as a request", test.name)
		}
	}
}

// However a stream is cut, the same heads are read from it; and no head, whatever is in
// it, makes an answer with a line that is not the server's.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(crlf("GET / HTTP/1.1", "Host: a", "")+crlf("", "HEAD /events HTTP/1.0", "")), uint8(3))
	f.Add([]byte("GET / HTTP/1.1\nHost: [::1]:1\nOrigin: http://b\n\nGET"), uint8(1))
	f.Add([]byte(strings.Repeat("\r\n", 20)), uint8(200))
	f.Add([]byte(crlf("GET http://a/?b HTTP/1.1", "Host: c", "Connection: close", "")), uint8(255))
	front := &Front{
		Origins: []Origin{"http://b"}, MaxConns: 1,
		Health: func() (bool, string) { return true, "ok\n" }, Metrics: func() []byte { return nil },
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		heads := func(piece int) (all []string) {
			c := conn{Conn: &scriptConn{rest: stream, piece: piece}}
			for {
				head, status := c.readHead()
				if all = append(all, fmt.Sprint(status, string(head))); head == nil {
					return all
				}
				if len(head) > maxHead {
					t.Fatalf("a head of %d bytes", len(head))
				}
			}
		}
		whole := heads(maxHead)
		if diff := cmp.Diff(whole, heads(1+int(piece))); diff != "" {
			t.Errorf("in pieces of %d (-whole +pieces):\n%s", 1+int(piece), diff)
		}
		for _, head := range whole {
			r, status := parse([]byte(strings.TrimPrefix(head, "0")))
			a := front.answer(&r, status)
			answer := string(a.encode(&r))
			fields, _, _ := strings.Cut(answer, "\r\n\r\n")
			for line := range strings.SplitSeq(fields, "\r\n") {
				if strings.ContainsAny(line, "\r\n\x00") {
					t.Errorf("%q makes a field %q", head, line)
				}
			}
			if statusText[a.status] == "" {
				t.Errorf("%q: status %d", head, a.status)
			}
		}
	})
}

// scriptConn is a connection whose other end has sent something, and then closed it.
type scriptConn struct {
	net.Conn
	rest  []byte
	piece int
}

func (c *scriptConn) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), c.piece)], c.rest)
	if c.rest = c.rest[n:]; n == 0 {
		return 0, net.ErrClosed
	}
	return n, nil
}

func (c *scriptConn) SetReadDeadline(time.Time) error { return nil }

// A request that does not end is answered, and a connection that is idle is closed, both
// in time; so are heads that are too long.
func TestReadHead(t *testing.T) {
	for _, test := range []struct {
		name   string
		pieces []string // a second apart; "" is for nothing
		status int
		after  time.Duration
	}{
		{"nothing", nil, 0, idleTimeout},
		{"half a request", []string{"GET"}, 408, requestTimeout},
		{"a byte a second", strings.SplitAfter(strings.Repeat("x", 100), "x"), 408, requestTimeout},
		{"empty lines", strings.SplitAfter(strings.Repeat("\n", 100), "\n"), 408, requestTimeout},
		{"begun late", []string{"", "", "", "", "GET / HTTP/1.1\r\n"}, 408, 4*time.Second + requestTimeout},
		{"a long target", []string{"GET /" + strings.Repeat("x", maxHead)}, 414, 0},
		{"a long field", []string{"GET / HTTP/1.1\r\nA: " + strings.Repeat("x", maxHead)}, 431, 0},
		{"many fields", []string{"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHead/6)}, 431, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			mine, theirs := net.Pipe()
			go func() {
				for i, piece := range test.pieces {
					if i > 0 {
						time.Sleep(time.Second)
					}
					mine.Write([]byte(piece))
				}
			}()
			begin := time.Now()
			c := conn{Conn: theirs}
			head, status := c.readHead()
			if took := time.Since(begin); head != nil || status != test.status || took != test.after {
				t.Errorf("%s: %q, %d after %v, want %d after %v", test.name, head, status, took, test.status, test.after)
			}
			theirs.Close()
			time.Sleep(2 * time.Minute) // the writer ends
		})
	}
}
