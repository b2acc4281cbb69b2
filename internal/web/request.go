package web

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is the head of a request, as far as this server needs it.
type request struct {
	method string
	path   string // without the query, not decoded
	host   string // in lower case, without the port; "" if the request has none, as HTTP/1.0 may
	peer   string // host, with the port as it came
	origin string
	close  bool // no further request is read from the connection
}

// headEnd returns the length of the head that b begins with, with the empty line after
// it, or 0 if b has no such line. The bytes before from are known to have none.
func headEnd(b []byte, from int) int {
	for i := max(from, 0); i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		switch rest := b[i+1:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 2
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 3
		}
	}
	return 0
}

// parse reads the head of a request (RFC 9112), with the empty line at its end. The
// status is that of the answer to a head that is wrong, or 0.
func parse(head []byte) (r request, status int) {
	r.close = true // but for a head that is right and says nothing else
	line, fields, _ := strings.Cut(string(head), "\n")
	method, rest, _ := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
	target, version, _ := strings.Cut(rest, " ")
	switch {
	case !isToken(method) || target == "" || strings.ContainsFunc(target, notVisible):
		return r, 400
	case version != "HTTP/1.0" && version != "HTTP/1.1":
		if number, ok := strings.CutPrefix(version, "HTTP/"); ok && len(number) == 3 && number[1] == '.' {
			return r, 505
		}
		return r, 400
	}
	r.method = method

	hosts, body, closes := 0, false, version == "HTTP/1.0"
	for field := range strings.Lines(fields) {
		field = strings.TrimSuffix(strings.TrimSuffix(field, "\n"), "\r")
		if field == "" {
			break
		}
		name, value, found := strings.Cut(field, ":")
		value = strings.Trim(value, " \t")
		if !found || !isToken(name) || strings.ContainsFunc(value, isControl) {
			return r, 400 // a line that is folded too
		}
		switch strings.ToLower(name) {
		case "host":
			r.peer = value
			hosts++
		case "origin":
			r.origin = value
		case "connection":
			for option := range strings.SplitSeq(value, ",") {
				closes = closes || strings.EqualFold(strings.Trim(option, " \t"), "close")
			}
		case "content-length":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return r, 400
			}
			body = body || n > 0
		case "transfer-encoding":
			body = true
		}
	}
	if hosts > 1 || hosts == 0 && version == "HTTP/1.1" {
		return r, 400
	}
	if url := strings.ToLower(target); strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://") {
		_, target, _ = strings.Cut(target, "://")
		at := strings.IndexAny(target+"/", "/?")
		r.peer, target = target[:at], "/"+strings.TrimPrefix(target[at:], "/")
	}
	var ok bool
	if r.host, ok = hostName(r.peer); !ok && hosts > 0 {
		return r, 400
	}
	r.path, _, _ = strings.Cut(target, "?")
	if r.path == "" || r.path[0] != '/' && r.path != "*" {
		return r, 400
	}
	r.close = closes || body // what follows a body would be taken for a request
	return r, 0
}

// hostName returns the host of a host:port, whose port may be left out, in lower case
// and without the dot at the end; false if it is none.
func hostName(s string) (string, bool) {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
	}
	if strings.ContainsFunc(port, func(r rune) bool { return r < '0' || r > '9' }) {
		return "", false
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return inner, ok && err == nil && a.Is6()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host, host != "" && !strings.ContainsAny(host, "/\\@:[]?#\"<> ")
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func notVisible(r rune) bool { return r <= ' ' || r == 0x7f }

// isToken reports whether s is the name of a method or of a field.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return notVisible(r) || r > 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// conn is a connection, and what was read from it.
type conn struct {
	net.Conn
	buf  []byte
	used int // of buf: the last head
}

// readHead reads the head of the next request, with the empty line at its end, and
// returns it. The status is that of the answer to one that does not end, or 0 if the
// connection has ended or nothing came for idleTimeout; then the head is nil.
func (c *conn) readHead() (head []byte, status int) {
	c.buf = slices.Delete(c.buf, 0, c.used)
	c.used = 0
	begun := false
	c.SetReadDeadline(time.Now().Add(idleTimeout))
	for from := 0; ; {
		if !begun && len(c.buf) > 0 {
			begun = true
			c.SetReadDeadline(time.Now().Add(requestTimeout))
		}
		if blank := len(c.buf) - len(bytes.TrimLeft(c.buf, "\r\n")); blank > 0 { // RFC 9112, section 2.2
			c.buf, from = slices.Delete(c.buf, 0, blank), 0
		}
		c.used = headEnd(c.buf, from)
		switch {
		case c.used > 0:
			return c.buf[:c.used], 0
		case len(c.buf) < maxHead:
		case !bytes.Contains(c.buf, []byte("\n")):
			return nil, 414
		default:
			return nil, 431
		}
		from = len(c.buf) - 2 // which may be the beginning of the end
		c.buf = slices.Grow(c.buf, min(512, maxHead-len(c.buf)))
		n, err := c.Read(c.buf[len(c.buf):min(cap(c.buf), maxHead)])
		c.buf = c.buf[:len(c.buf)+n]
		switch {
		case n > 0:
		case begun && errors.Is(err, os.ErrDeadlineExceeded):
			return nil, 408
		case err != nil:
			return nil, 0
		}
	}
}
