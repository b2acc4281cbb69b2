package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/sock"
	"net-watcher/internal/wire"
)

// fakeListener is nothing but an address.
type fakeListener struct{ addr net.Addr }

func (l fakeListener) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }
func (l fakeListener) Close() error              { return nil }
func (l fakeListener) Addr() net.Addr            { return l.addr }

func TestAnnounceWeb(t *testing.T) {
	at := func(ip string) net.Listener { return fakeListener{&net.TCPAddr{IP: net.ParseIP(ip), Port: 7}} }
	plain, secure := sock.Address{Network: "tcp"}, sock.Address{Network: "tls"}
	for _, test := range []struct {
		address sock.Address
		ips     []string
		asks    bool
		want    []string
	}{
		{plain, []string{"127.0.0.1", "::1"}, true, []string{"listening on http://127.0.0.1:7 and http://[::1]:7 (try: open http://localhost:7 in a browser)"}},
		{secure, []string{"::"}, true, []string{"listening on https://[::]:7 for clients with a certificate (try: open https://localhost:7 in a browser)"}},
		{secure, []string{"192.0.2.1"}, false, []string{
			"listening on https://192.0.2.1:7 (try: open https://192.0.2.1:7 in a browser)",
			"warning: https://192.0.2.1:7 is open to the network: anyone who can reach it can read file names and change times",
		}},
	} {
		var ls []net.Listener
		for _, ip := range test.ips {
			ls = append(ls, at(ip))
		}
		check.Equal(t, "lines", test.want, announceWeb(test.address, ls, test.asks))
	}
}

func TestAnnounce(t *testing.T) {
	at := func(ip string) net.Listener { return fakeListener{&net.TCPAddr{IP: net.ParseIP(ip), Port: 7}} }
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	const open = " is open to the network: anyone who can reach it can read file names and change times"
	for _, test := range []struct {
		listeners []net.Listener
		want      []string
	}{
		{[]net.Listener{at("127.0.0.1"), at("::1")}, []string{"listening on 127.0.0.1:7 and [::1]:7 (try: nc localhost 7)"}},
		{[]net.Listener{at("127.0.0.1")}, []string{"listening on 127.0.0.1:7 (try: nc 127.0.0.1 7)"}},
		{[]net.Listener{at("::")}, []string{"listening on [::]:7 (try: nc localhost 7)", "warning: [::]:7" + open}},
		{[]net.Listener{at("192.0.2.1")}, []string{"listening on 192.0.2.1:7 (try: nc 192.0.2.1 7)", "warning: 192.0.2.1:7" + open}},
		{
			[]net.Listener{fakeListener{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 7}}},
			[]string{"listening on [fe80::1%eth0]:7 (try: nc fe80::1%eth0 7)", "warning: [fe80::1%eth0]:7" + open},
		},
		{[]net.Listener{fakeListener{&net.UnixAddr{Name: "/run/s", Net: "unix"}}}, []string{"listening on /run/s (try: nc -U /run/s)"}},
	} {
		check.Equal(t, "lines", test.want, announce(sock.Address{Network: "tcp"}, test.listeners, yes, false))
	}
	noOpenSSL := func(program string) bool { return program != "openssl" }
	for _, test := range []struct {
		l    net.Listener
		has  func(string) bool
		asks bool
		want []string
	}{
		{at("::1"), yes, false, []string{"listening on [::1]:7 with TLS (try: openssl s_client -quiet -connect [::1]:7)"}},
		{at("::1"), noOpenSSL, false, []string{"listening on [::1]:7 with TLS (try: net-watcher -connect tls://[::1]:7)"}},
		{at("192.0.2.1"), noOpenSSL, true, []string{"listening on 192.0.2.1:7 with TLS for clients with a certificate (try: net-watcher -connect tls://192.0.2.1:7 -cert FILE -key FILE)"}},
		{at("::"), yes, false, []string{"listening on [::]:7 with TLS (try: openssl s_client -quiet -connect localhost:7)", "warning: [::]:7" + open}},
	} {
		check.Equal(t, "with TLS", test.want, announce(sock.Address{Network: "tls"}, []net.Listener{test.l}, test.has, test.asks))
	}
	for want, listener := range map[string]net.Listener{
		"listening on 127.0.0.1:7 (try: net-watcher -connect 127.0.0.1:7)": at("127.0.0.1"),
		"listening on [::1]:7 (try: net-watcher -connect [::1]:7)":         at("::1"),
		"listening on s (try: net-watcher -connect unix:s)":                fakeListener{&net.UnixAddr{Name: "s", Net: "unix"}},
	} {
		check.Equal(t, "without nc", []string{want}, announce(sock.Address{Network: "tcp"}, []net.Listener{listener}, no, false))
	}
}

// The console names the first ten targets, and ten more at most of those that are missing
// or unreadable.
func TestStartLines(t *testing.T) {
	watching := func(n int, odd ...int) (events []wire.Event) {
		for i := range n {
			e := wire.Event{Type: wire.Watching, File: fmt.Sprint("f", i)}
			if e.Missing = slices.Contains(odd, i); e.Missing && i%2 == 1 {
				e.Missing, e.Error = false, "permission denied"
			}
			events = append(events, e)
		}
		return events
	}
	lines := func(names ...string) (want []string) {
		for i := range 10 {
			want = append(want, fmt.Sprintf("watching f%d every 1s", i))
		}
		return append(want, names...)
	}
	for _, test := range []struct {
		events []wire.Event
		want   []string
	}{
		{watching(10), lines()},
		{watching(11), lines("watching 1 more (-v lists them)")},
		{watching(14, 12, 13), lines(
			"watching f12 (not there) every 1s", "watching f13 (unreadable: permission denied) every 1s", "watching 2 more (-v lists them)",
		)},
		{watching(11, 10), lines("watching f10 (not there) every 1s")},
	} {
		check.Equal(t, "lines", test.want, startLines(test.events, time.Second, false))
	}
	var odd []int
	for i := range 13 {
		odd = append(odd, 20+2*i)
	}
	got := startLines(watching(100, odd...), time.Second, false)
	want := "watching 80 more, 3 of them not there or unreadable (-v lists them)"
	if len(got) != 21 || got[10] != "watching f20 (not there) every 1s" || got[20] != want {
		t.Errorf("got %q, want f20 and so on, and %q", got[10:], want)
	}
	if got := startLines(watching(100, odd...), time.Second, true); len(got) != 100 {
		t.Errorf("%d lines with -v, want 100", len(got))
	}
}

// The console names what cannot be read below ten targets, and counts the other ones.
func TestUnreadableLines(t *testing.T) {
	below := make([][]string, 30)
	for i := range 14 {
		below[2*i] = []string{fmt.Sprint("a", i), "b"}
	}
	below[0] = below[0][:1]
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("cannot read a%d, and 1 more", i))
	}
	want[0] = "cannot read a0"
	check.Equal(t, "lines", append(want, "cannot read all of 4 more FILEs (-v lists what)"), unreadableLines(below, false))
	if got := unreadableLines(below, true); len(got) != 27 || got[2] != "cannot read b" {
		t.Errorf("with -v: %q", got)
	}
}
