#!/usr/bin/env bash
# Checks http:// with real programs: curl, promtool, nginx and haproxy in front, requests
# that do not end, as many streams as there are descriptors for, up to ten thousand, a
# headless Chromium that opens the page (web-check.py), and systemd's opinion of the unit
# in packaging. It says which of them it lacks; curl and python3 must be there.
#
# WEB_CHECK_PICTURES=$PWD/docs scripts/web-check.sh takes the pictures of docs/guide.md anew.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need curl "apt install curl"
need python3 "apt install python3"
PATH=$PATH:/usr/sbin:/usr/local/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
setup

status() { curl -s -o body.log -w '%{http_code}' "$@"; }
# expect WHAT STATUS CURL-ARG...: what curl gets.
expect() {
	local got
	got=$(status "${@:3}") || true
	[[ $got = "$2" ]] || die "$1: status $got, not $2: $(head -c 300 body.log)"
	ok "$1: $2"
}

ulimit -n "$(ulimit -Hn)"
echo begin >a.txt
./net-watcher -interval 50ms -listen http://127.0.0.1:0 a.txt 2>server.log &
server=$!
pids+=("$server")
await "the server" grep -q 'listening on http' server.log
url=$(grep -o 'http://127.0.0.1:[0-9]*' server.log | head -n 1)
port=${url##*:}

expect "the page" 200 "$url/"
expect "the health" 200 "$url/healthz"
expect "its head" 200 -I "$url/healthz"
expect "nothing there" 404 "$url/x"
expect "POST" 405 -d x "$url/events"
expect "HTTP/1.0 without a Host" 200 -0 -H Host: "$url/healthz"
expect "a Host that is not ours" 421 -H 'Host: rebound.example' "$url/events"
expect "a page of another origin" 403 -H 'Origin: http://other.example' "$url/metrics"
expect "9 KB of headers" 431 -H "X: $(printf %9000s x)" "$url/"
[[ $(curl -s -o body.log -o body.log -w '%{num_connects}' "$url/" "$url/healthz") = 10 ]] || die "two requests take two connections"
ok "two requests, one connection"
if ! lacks promtool "the format of the metrics"; then
	curl -s "$url/metrics" | promtool check metrics || die "promtool"
	ok "promtool check metrics"
fi

# follow NAME URL CURL-ARG...: a curl that gets the events, and a change that it gets at once.
follow() {
	curl -sN "${@:3}" "$2/events" >"$1.events.log" &
	pids+=($!)
	await "$1: the greeting" grep -q '^data: {"type":"watching"' "$1.events.log"
	echo "$1" >>a.txt
	await "$1: a change" grep -q '^data: {"type":"changed".*"modified"' "$1.events.log"
	ok "$1: events"
}
follow curl "$url"

if ! lacks nginx "nginx in front"; then
	front=$(free_port)
	cat >nginx.conf <<-END
		daemon off;
		pid $folder/nginx.pid;
		error_log $folder/nginx.log;
		events {}
		http {
			access_log off;
			client_body_temp_path $folder; proxy_temp_path $folder; fastcgi_temp_path $folder;
			uwsgi_temp_path $folder; scgi_temp_path $folder;
			server {
				listen 127.0.0.1:$front;
				location / { proxy_pass $url; }
			}
		}
	END
	nginx -e "$folder/nginx.log" -c "$folder/nginx.conf" &
	pids+=($!)
	await "nginx" curl -sf "http://127.0.0.1:$front/healthz"
	follow nginx "http://127.0.0.1:$front"
fi
if ! lacks haproxy "haproxy in front"; then
	front=$(free_port)
	cat >haproxy.cfg <<-END
		defaults
			mode http
			timeout connect 5s
			timeout client 50s
			timeout server 50s
		listen net-watcher
			bind 127.0.0.1:$front
			option httpchk GET /healthz
			server s 127.0.0.1:$port check inter 200ms
	END
	haproxy -f haproxy.cfg >haproxy.log 2>&1 &
	pids+=($!)
	await "haproxy" curl -sf "http://127.0.0.1:$front/healthz"
	follow haproxy "http://127.0.0.1:$front"
fi

if ! lacks openssl "https://"; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null
	./net-watcher -interval 50ms -listen https://localhost:0 -cert cert.pem -key key.pem a.txt 2>secure.log &
	pids+=($!)
	await "the server with TLS" grep -q 'listening on https' secure.log
	secure=https://localhost:$(sed -n 's/.*listening on https:[^ ]*:\([0-9]*\) .*/\1/p' secure.log)
	expect "https, the page" 200 --cacert cert.pem "$secure/"
	follow https "$secure" --cacert cert.pem
fi

python3 - "$port" <<'END'
import resource, select, socket, sys, time

port = int(sys.argv[1])
most = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
connect = lambda: socket.create_connection(("127.0.0.1", port))

slow = [connect() for _ in range(min(3000, most))]
for s in slow:
    try:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: local")
    except OSError:
        pass  # it has made room
begin = time.time()
s = connect()
s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
assert s.recv(100).startswith(b"HTTP/1.1 200"), "slow requests keep out an honest one"
print(f"ok: {len(slow)} slow requests; another one took {1000 * (time.time() - begin):.0f} ms")
for s in slow:
    s.close()

streams = {}
for _ in range(most):
    s = connect()
    s.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    streams[s.fileno()] = [s, b""]

def read(what, mark):
    waits, poll = set(streams), select.poll()
    for n in waits:
        poll.register(n, select.POLLIN)
    end = time.time() + 60
    while waits and time.time() < end:
        for n, _ in poll.poll(1000):
            more = streams[n][0].recv(1 << 16)
            assert more, "a stream has ended"
            streams[n][1] += more
            if mark in streams[n][1] and streams[n][1].endswith(b"\n\n"):
                waits.discard(n)
    assert not waits, f"{len(waits)} streams lack {what}"
    print(f"ok: {len(streams)} streams get {what}")

read("the greeting", b'"type":"watching"')
with open("a.txt", "a") as f:
    f.write("more")
read("a change", b'"change":"modified"')
read("a comment", b"\n:\n\n")
END
kill "$server"
wait "$server" || die "the server did not end well"

if ! lacks systemd-analyze "the unit"; then
	# Neither the program nor its manual page need be installed here.
	sed -e "s|^ExecStart=net-watcher|ExecStart=$folder/net-watcher|" -e '/^Documentation=/d' "$here/../packaging/net-watcher.service" >net-watcher.service
	systemd-analyze verify ./net-watcher.service 2>unit.log || die "systemd-analyze verify: $(<unit.log)"
	! grep net-watcher.service unit.log || die "systemd-analyze verify: $(<unit.log)"
	ok "systemd-analyze verify"
fi
if ! lacks chromium "the page"; then
	mkdir page
	"$here/web-check.py" "$folder/net-watcher" chromium "$(free_port)" "$folder/page" || die "the page"
	[[ ! ${WEB_CHECK_PICTURES:-} ]] || cp page/*.png "$WEB_CHECK_PICTURES"
fi
ok "all"
