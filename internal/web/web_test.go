package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newTestFront() *Front {
	return &Front{
		Hosts: []string{"files.example"}, Origins: []Origin{"http://dev.example:5173", "http://localhost:3000"}, MaxConns: 3,
		Health:  func() (bool, string) { return false, "a: not scanned\n" },
		Metrics: func() []byte { return []byte("x 1\n") },
	}
}

// client is the other end of a connection that a Front serves.
type client struct {
	t *testing.T
	net.Conn
	r      *bufio.Reader
	stream chan bool // what Serve has returned
}

// dial returns a client of f. It belongs into a bubble.
func dial(t *testing.T, f *Front) *client {
	mine, theirs := net.Pipe()
	c := &client{t, mine, bufio.NewReader(mine), make(chan bool, 1)}
	go func() {
		stream := f.Serve(theirs)
		theirs.Close()
		c.stream <- stream
	}()
	synctest.Wait()
	return c
}

func (c *client) send(s string) { io.WriteString(c, s) }

// expect reads an answer to a request with the method, and returns it.
func (c *client) expect(method string, status int) *http.Response {
	c.t.Helper()
	a, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	if a.StatusCode != status {
		c.t.Errorf("status %d, want %d", a.StatusCode, status)
	}
	return a
}

// expectEnd reads the end of the connection, and that it was handed over or not.
func (c *client) expectEnd(stream bool) {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if got := <-c.stream; err != nil || len(rest) > 0 || got != stream {
		c.t.Errorf("at the end: %q, %v; a stream: %v", rest, err, got)
	}
}

func body(a *http.Response) string {
	b, _ := io.ReadAll(a.Body)
	return string(b)
}

// Which requests get which answers.
func TestAnswers(t *testing.T) {
	f := newTestFront()
	for _, test := range []struct {
		method, path, host, origin string
		status                     int
		allowed                    string // Access-Control-Allow-Origin
	}{
		{"GET", "/", "localhost:8080", "", 200, ""},
		{"HEAD", "/", "localhost", "", 200, ""},
		{"GET", "/?x", "127.0.0.1:1", "", 200, ""},
		{"GET", "/metrics", "[2001:db8::1]:8080", "", 200, ""},
		{"GET", "/healthz", "192.0.2.1", "", 503, ""},
		{"GET", "/events", "LOCALHOST.", "", 200, ""},
		{"GET", "/events", "Files.Example:8080", "", 200, ""},
		{"GET", "/", "dev.example", "", 200, ""}, // of an Origin

		{"GET", "/", "evil.example", "", 421, ""}, // a name that was bound anew
		{"GET", "/", "evil.example:8080", "http://evil.example:8080", 421, ""},
		{"GET", "/", "localhost.evil.example", "", 421, ""},
		{"GET", "/", "127.0.0.1.evil.example", "", 421, ""},
		{"POST", "/events", "evil.example", "", 421, ""},

		{"GET", "/events", "localhost:8080", "http://localhost:8080", 200, ""}, // its own page
		{"GET", "/events", "localhost:8080", "http://dev.example:5173", 200, "http://dev.example:5173"},
		{"GET", "/events", "localhost:8080", "http://localhost:3000", 200, "http://localhost:3000"},
		{"GET", "/events", "localhost:8080", "http://localhost:3001", 403, ""},
		{"GET", "/events", "localhost:8080", "http://dev.example", 403, ""},
		{"GET", "/events", "localhost:8080", "https://dev.example:5173", 403, ""},
		{"GET", "/events", "localhost:8080", "null", 403, ""},
		{"GET", "/metrics", "localhost:8080", "http://evil.example", 403, ""},

		{"GET", "/nothing", "localhost", "", 404, ""},
		{"GET", "/events/", "localhost", "", 404, ""},
		{"GET", "//", "localhost", "", 404, ""},
		{"GET", "/../etc/passwd", "localhost", "", 404, ""},
		{"POST", "/events", "localhost", "", 405, ""},
		{"OPTIONS", "/events", "localhost", "http://dev.example:5173", 405, ""},
		{"OPTIONS", "*", "localhost", "", 404, ""},
		{"get", "/", "localhost", "", 405, ""},
	} {
		name := fmt.Sprintf("%s %s, Host %s, Origin %s", test.method, test.path, test.host, test.origin)
		lines := []string{test.method + " " + test.path + " HTTP/1.1", "Host: " + test.host}
		if test.origin != "" {
			lines = append(lines, "Origin: "+test.origin)
		}
		r, status := parse([]byte(crlf(append(lines, "")...)))
		a := f.answer(&r, status)
		got, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(a.encode(&r)))), &http.Request{Method: test.method})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.StatusCode != test.status || got.Header.Get("Access-Control-Allow-Origin") != test.allowed {
			t.Errorf("%s: %d, %v", name, got.StatusCode, got.Header)
		}
		if got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" || len(got.Cookies()) > 0 {
			t.Errorf("%s: %v", name, got.Header)
		}
		if text := body(got); (text == "") != (test.method == "HEAD") {
			t.Errorf("%s: a body of %d bytes", name, len(text))
		}
		if test.status == 405 && got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %v", name, got.Header)
		}
	}
}

func TestParseOrigin(t *testing.T) {
	for in, want := range map[string]Origin{
		"http://localhost:5173":   "http://localhost:5173",
		"HTTP://Dev.Example:80/":  "http://dev.example",
		"https://dev.example:443": "https://dev.example",
		"https://dev.example:80":  "https://dev.example:80",
		"http://[::1]:3000":       "http://[::1]:3000",
		"":                        "", "*": "", "null": "", "dev.example": "", "ftp://a": "", "http://": "", "http://a/b": "",
		"http://a:": "", "http://a:0": "", "http://a:080": "", "http://a:65536": "", "http://[::1]:": "", "http://größe.example": "",
		"http://a:b": "", "http://*": "", "http://u@a": "", "http://a b": "", "http://a?b": "",
	} {
		got, err := ParseOrigin(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

// The advice for a page that may not read can be followed.
func TestForeignOrigin(t *testing.T) {
	f := newTestFront()
	for origin, want := range map[string]string{
		"http://evil.example": "a page of another origin (to let it read: -origin http://evil.example)\n",
		"null":                "a page of another origin, and one that is neither http:// nor https:// (as a page in a file) cannot be let in\n",
		"moz-extension://a":   "a page of another origin, and one that is neither http:// nor https:// (as a page in a file) cannot be let in\n",
	} {
		r, status := parse([]byte(crlf("GET /events HTTP/1.1", "Host: localhost", "Origin: "+origin, "")))
		if got := f.answer(&r, status).body; got != want {
			t.Errorf("%s: %q, want %q", origin, got, want)
		}
	}
}

// One connection has one request after the other, also if they come together or in
// pieces, until one asks for its end or for the events.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "Host: localhost"
		f := newTestFront()
		c := dial(t, f)
		c.send(crlf("GET /metrics HTTP/1.1", host, ""))
		if got := body(c.expect("GET", 200)); got != "x 1\n" {
			t.Errorf("got %q", got)
		}
		time.Sleep(idleTimeout - 1)
		go c.send(crlf("HEAD / HTTP/1.1", host, "") + crlf("", "GET /healthz HTTP/1.1", host, "") + crlf("POST / HTTP/1.1", host, "Content-Length: 0", "") + "GET /not")
		c.expect("HEAD", 200)
		if got := body(c.expect("GET", 503)); got != "a: not scanned\n" {
			t.Errorf("got %q", got)
		}
		body(c.expect("GET", 405))
		time.Sleep(requestTimeout - 1)
		go c.send(crlf("hing HTTP/1.1", host, "") + crlf("GET /events HTTP/1.1", host, "") + "ignored")
		body(c.expect("GET", 404))
		a := c.expect("GET", 200)
		if got := a.Header.Get("Content-Type"); got != "text/event-stream" || a.ContentLength != -1 {
			t.Errorf("the stream: %v", a.Header)
		}
		if got := body(a); got != "retry: 1000\n\n" {
			t.Errorf("the stream begins with %q", got)
		}
		c.expectEnd(true)

		c = dial(t, f)
		c.send(crlf("HEAD /events HTTP/1.1", host, ""))
		c.expect("HEAD", 200)
		go c.send(crlf("GET / HTTP/1.1", host, "Connection: close", "") + crlf("GET / HTTP/1.1", host, ""))
		if got := body(c.expect("GET", 200)); got != page {
			t.Errorf("the page has %d bytes", len(got))
		}
		c.expectEnd(false)

		c = dial(t, f)
		go c.send(crlf("GET / HTTP/1.1", host, "Content-Length: 200", "") + crlf("GET /smuggled HTTP/1.1", host, ""))
		body(c.expect("GET", 200))
		c.expectEnd(false)

		c = dial(t, f)
		c.send("\x16\x03\x01\r\n\r\n")
		body(c.expect("GET", 400))
		c.expectEnd(false)

		c = dial(t, f)
		time.Sleep(idleTimeout)
		c.expectEnd(false)

		c = dial(t, f)
		c.send("GET")
		time.Sleep(requestTimeout)
		body(c.expect("GET", 408))
		c.expectEnd(false)
	})
}

// One that does not read its answers is closed, and so are all at the end.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFront()
		c := dial(t, f)
		c.send(crlf("GET / HTTP/1.1", "Host: localhost", ""))
		time.Sleep(requestTimeout)
		if <-c.stream {
			t.Error("a stream")
		}
		waits := dial(t, f)
		f.Close()
		waits.expectEnd(false)
		dial(t, f).expectEnd(false)
	})
}

// Slow requests, however many, keep out no other one: the one that has waited for longest
// makes room. A connection that is in use has not waited.
func TestSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFront()
		get := func(c *client) {
			t.Helper()
			c.send(crlf("GET /metrics HTTP/1.1", "Host: localhost", ""))
			body(c.expect("GET", 200))
			synctest.Wait() // until it is idle
		}
		used := dial(t, f)
		for range 10 {
			get(used)
			slow := dial(t, f)
			slow.send("GET / HT")
			get(used)
			get(dial(t, f))
			dial(t, f) // makes room
			slow.expectEnd(false)
			if n := f.waiting.Len(); n != f.MaxConns {
				t.Errorf("%d connections wait", n)
			}
		}
		f.Close()
	})
}
