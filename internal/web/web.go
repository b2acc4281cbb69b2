// Package web is HTTP/1.1 for a server whose one long answer is a stream of events: it
// reads requests, answers those for a page, for /healthz and for /metrics, and hands a
// connection that asks for /events back to its caller.
//
//	request.go  the head of a request: reading and parsing
//	web.go      Front: connections, and the answers
//	page.html   the page at /, with its style and its script
//
// Package main calls Front.Serve in a goroutine for each connection, and Close at the
// end. It is no handler of net/http, because that costs each program that links it some
// 1 MB, and each stream its buffers.
//
// # Limits
//
// A head may have maxHead bytes. A request may take requestTimeout to come, and an
// answer to go; a connection on which nothing comes for idleTimeout is closed. At most
// Front.MaxConns connections wait for a request; a further one closes the one that has
// waited for longest. So slow requests, however many, keep out no honest one.
//
// # Who may read
//
// A browser sends the name of the host that its user sees, so a Host that is not one of
// this server's is that of another site whose name leads here (DNS rebinding): 421. An
// Origin that is not this host's is that of a page of another site: 403, unless Origins
// has it. There are no cookies and no state, and nothing can be changed.
package web

import (
	"container/list"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxHead        = 8 << 10 // bytes, as in Apache and nginx
	requestTimeout = 10 * time.Second
	idleTimeout    = 15 * time.Second

	// closeTimeout and closeBytes are how long and how much is read of what a peer
	// still sends when its connection is closed after an answer: to close it with
	// unread input would reset it, and cost the peer the answer.
	closeTimeout = 500 * time.Millisecond
	closeBytes   = 64 << 10
)

// Front answers requests. The fields must not be changed after the first call of Serve.
// Its methods may be called from any goroutine.
type Front struct {
	Hosts   []string // names that requests may be for, beside localhost and all IP addresses
	Origins []Origin // whose pages may read

	// Health returns whether all is well, and lines about what is not. Metrics returns
	// the text for Prometheus. Both are called for each request that asks for them.
	Health  func() (ok bool, lines string)
	Metrics func() []byte

	MaxConns int // at least 1

	mu      sync.Mutex // guards the fields below
	waiting list.List  // of connections (net.Conn), the longest idle first
	closed  bool
}

// Origin is the origin of a page, as browsers write it: in lower case, without the
// default port and without a path.
type Origin string

// ParseOrigin returns the origin of a URL. The error says what is wrong with it.
func ParseOrigin(s string) (Origin, error) {
	lower := strings.TrimSuffix(strings.ToLower(s), "/")
	scheme, authority, _ := strings.Cut(lower, "://")
	if scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("%q is no origin (such as http://localhost:5173)", s)
	}
	host, ok := hostName(authority)
	if !ok || !isPort(authority) || strings.ContainsFunc(authority, notVisible) || strings.HasSuffix(host, "*") {
		return "", fmt.Errorf("%q is no origin: scheme, host and port alone, such as http://localhost:5173", s)
	}
	if strings.ContainsFunc(host, notASCII) {
		return "", fmt.Errorf("%q is no origin as browsers write it, with a host such as xn--bcher-kva.example", s)
	}
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return Origin(scheme + "://" + strings.TrimSuffix(authority, port)), nil
}

// isPort reports whether the port of a host:port is one that browsers write, or left out.
func isPort(authority string) bool {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return true
	}
	n, err := strconv.ParseUint(authority[i+1:], 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == authority[i+1:]
}

func notASCII(r rune) bool { return r > 0x7f }

// host returns the host of o.
func (o Origin) host() string {
	_, authority, _ := strings.Cut(string(o), "://")
	host, _ := hostName(authority)
	return host
}

// Serve answers the requests on a connection until that ends, and then returns false,
// or until one asks for the events: then the head of that answer has been sent, and
// Serve returns true. The caller closes the connection in either case.
func (f *Front) Serve(netConn net.Conn) (isStream bool) {
	place := f.enter(netConn)
	if place == nil {
		return false
	}
	defer f.leave(place)
	c := conn{Conn: netConn}
	for {
		head, status := c.readHead()
		if head == nil && status == 0 {
			return false
		}
		r := request{close: true}
		if head != nil {
			r, status = parse(head)
		}
		a := f.answer(&r, status)
		c.SetWriteDeadline(time.Now().Add(requestTimeout))
		if _, err := c.Write(a.encode(&r)); err != nil {
			return false
		}
		switch {
		case a.isStream && r.method == "GET":
			c.SetDeadline(time.Time{})
			return true
		case r.close:
			c.finish()
			return false
		}
		f.rest(place)
	}
}

// Close closes all connections that Serve serves, now and later.
func (f *Front) Close() {
	for _, c := range f.takeAll() {
		c.Close()
	}
}

func (f *Front) takeAll() (all []net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for e := f.waiting.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(net.Conn))
	}
	return all
}

// enter notes a connection, and closes the one that has been idle for longest if there
// are too many. At the end it returns nil.
func (f *Front) enter(c net.Conn) *list.Element {
	place, longest := f.take(c)
	if longest != nil {
		longest.Close()
	}
	return place
}

func (f *Front) take(c net.Conn) (place *list.Element, longest net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, nil
	}
	if f.waiting.Len() >= f.MaxConns {
		longest = f.waiting.Remove(f.waiting.Front()).(net.Conn)
	}
	return f.waiting.PushBack(c), longest
}

// rest makes a connection the one that is idle since now.
func (f *Front) rest(e *list.Element) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting.MoveToBack(e) // nothing, if enter has removed it
}

func (f *Front) leave(e *list.Element) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting.Remove(e)
}

// finish ends the side of the connection that is written to, and reads what still comes.
func (c *conn) finish() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.SetReadDeadline(time.Now().Add(closeTimeout))
	b := make([]byte, 1<<10)
	for n := 0; n < closeBytes; {
		got, err := c.Read(b)
		if err != nil {
			return
		}
		n += got
	}
}

// answer is what is sent for a request.
type answer struct {
	status   int
	kind     string   // of the body
	fields   []string // further ones
	body     string
	isStream bool // the body goes on until the end of the connection
}

const plain = "text/plain; charset=utf-8"

// answer returns the answer to a request. The status is that of one that is wrong, or 0.
func (f *Front) answer(r *request, status int) (a answer) {
	refuse := func(status int, why string, fields ...string) answer {
		return answer{status: status, kind: plain, fields: fields, body: why + "\n"}
	}
	if status != 0 {
		r.close = true
		return refuse(status, strings.ToLower(statusText[status]))
	}
	if !f.isOwn(r.host) {
		return refuse(421, fmt.Sprintf("no host %q here (for a name of this server: -origin http://%s)", r.host, r.host))
	}
	fields := f.allow(r)
	switch r.path {
	case "/", "/events", "/healthz", "/metrics":
	default:
		return refuse(404, "not found (there are /, /events, /healthz and /metrics)")
	}
	if r.method != "GET" && r.method != "HEAD" {
		return refuse(405, "only GET and HEAD", "Allow: GET, HEAD")
	}
	if r.origin != "" && fields == nil && !strings.EqualFold(r.origin[strings.LastIndexByte(r.origin, '/')+1:], r.peer) {
		return refuse(403, "a page of another origin"+letIn(r.origin))
	}
	a = answer{status: 200, fields: fields}
	switch r.path {
	case "/":
		a.kind, a.body = "text/html; charset=utf-8", page
		a.fields = append(a.fields, policy())
	case "/events":
		a.kind, a.isStream = "text/event-stream", true
		a.fields = append(a.fields, "X-Accel-Buffering: no") // nginx is to pass on each event
		a.body = "retry: 1000\n\n"
	case "/metrics":
		a.kind, a.body = "text/plain; version=0.0.4; charset=utf-8", string(f.Metrics())
	case "/healthz":
		ok := false
		a.kind = plain
		if ok, a.body = f.Health(); !ok {
			a.status = 503
		}
	}
	return a
}

// letIn returns what would let the page of an origin read, as a message goes on with it.
func letIn(origin string) string {
	if _, err := ParseOrigin(origin); err != nil {
		return ", and one that is neither http:// nor https:// (as a page in a file) cannot be let in"
	}
	return " (to let it read: -origin " + origin + ")"
}

// isOwn reports whether requests may be for the host. HTTP/1.0 may leave it out, and
// browsers do not.
func (f *Front) isOwn(host string) bool {
	_, err := netip.ParseAddr(host)
	return host == "" || err == nil || host == "localhost" || slices.Contains(f.Hosts, host) ||
		slices.ContainsFunc(f.Origins, func(o Origin) bool { return o.host() == host })
}

// allow returns the fields that let the page of an origin read, or nil if it is not to.
func (f *Front) allow(r *request) []string {
	if !slices.Contains(f.Origins, Origin(r.origin)) {
		return nil
	}
	return []string{"Access-Control-Allow-Origin: " + r.origin, "Vary: Origin"}
}

// encode returns the answer as it is sent.
func (a *answer) encode(r *request) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, statusText[a.status])
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	field("Date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	field("Content-Type", a.kind)
	field("X-Content-Type-Options", "nosniff")
	field("Cross-Origin-Resource-Policy", "same-origin")
	field("Cache-Control", "no-store")
	for _, line := range a.fields {
		b.WriteString(line + "\r\n")
	}
	if !a.isStream {
		field("Content-Length", strconv.Itoa(len(a.body)))
	}
	if r.close || a.isStream && r.method == "GET" {
		field("Connection", "close")
	}
	b.WriteString("\r\n")
	if r.method != "HEAD" {
		b.WriteString(a.body)
	}
	return []byte(b.String())
}

var statusText = map[int]string{
	200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	408: "Request Timeout", 414: "URI Too Long", 421: "Misdirected Request",
	431: "Request Header Fields Too Large", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
}

//go:embed page.html
var page string

// policy returns the field that lets the page run its own script and style, read from
// its own server, and nothing else.
func policy() string {
	hash := func(tag string) string {
		_, rest, _ := strings.Cut(page, "<"+tag+">")
		text, _, _ := strings.Cut(rest, "</"+tag+">")
		sum := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	return "Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:; script-src 'sha256-" + hash("script") +
		"'; style-src 'sha256-" + hash("style") + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
