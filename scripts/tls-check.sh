#!/usr/bin/env bash
# TLS with other programs: runs the openssl commands of docs/operations.md, serves
# with mutual TLS, and checks what openssl s_client, a client without a certificate,
# a plain client, and a net-watcher behind haproxy get; also while half handshakes
# are held open, and after the certificate was replaced.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PATH=$PATH:/usr/sbin:/usr/local/sbin
need openssl "apt install openssl"
need haproxy "apt install haproxy"
page=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/docs/operations.md

setup

# commands: the six of the page, for localhost.
commands() { sed -n '/^### A private CA/,/^openssl verify/{/^openssl /p;}' "$page" | sed 's/files\.example/localhost/g'; }
[[ $(commands | wc -l) -eq 6 ]] || die "docs/operations.md does not have six openssl commands"
commands >ca.sh
bash -e ca.sh >openssl.log 2>&1 || { cat openssl.log >&2; die "the commands of docs/operations.md fail"; }

# n counts the changes; each one changes the size of the file.
n=0
change() { n=$((n + 1)); head -c "$n" /dev/zero >target.txt; }
change

# where LOG: prints the port of the server that writes this log.
where() { sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$1"; }
listens() { [[ -n $(where "$1") ]]; }

tls=(-cert client.crt -key client.key)
./net-watcher -v -interval 20ms -listen tls://localhost:0 -cert server.crt -key server.key -ca ca.crt target.txt 2>server.log &
server=$!
pids+=("$server")
await "the TLS server" listens server.log
port=$(where server.log)
if grep -q warning server.log; then die "the server warns on loopback"; fi

# has LOG CHANGE: whether the log has the change of the file, or the greeting.
has() { grep -qE "^[^ ]+ $2 target\.txt" "$1"; }

# A standard input that has nothing and does not end: with its end s_client would end.
mkfifo silent
exec {silent}<>silent
# s_client NAME ARG...: leaves openssl s_client running; what it gets is in NAME.log.
s_client() {
	local name=$1
	shift
	openssl s_client -quiet -verify_return_error -CAfile ca.crt -connect "localhost:$port" "$@" \
		<&"$silent" >"$name.log" 2>"$name.err.log" &
	pids+=($!)
}

s_client mutual "${tls[@]}" -verify_hostname localhost
mutual=$!
await "the greeting over s_client" has mutual.log watching
change
await "a change over s_client" has mutual.log modified
echo "openssl s_client with a certificate gets the greeting and a change"

./net-watcher -connect "tls://localhost:$port" -ca ca.crt "${tls[@]}" >client.log 2>client.err.log &
pids+=($!)
await "the client" grep -q "following tls://localhost:$port" client.err.log
change
await "a change at the client" has client.log modified
echo "a net-watcher client gets a change"

# refused NAME: whether that client got nothing.
ends() { ! kill -0 "$1" 2>/dev/null; }
s_client without
await "the end of a client without a certificate" ends $!
s_client old "${tls[@]}" -tls1_2
await "the end of a client with TLS 1.2" ends $!
exec {plain}<>"/dev/tcp/127.0.0.1/$port"
echo json >&"$plain"
timeout 30 cat <&"$plain" >plain.log || true
exec {plain}>&-
for name in without old plain; do
	if grep -q target "$name.log"; then die "$name: it gets events"; fi
done
await "the reason on the console" grep -q "client didn't provide a certificate" server.log
await "the reason on the console" grep -q "does not speak TLS" server.log
echo "without a certificate, with TLS 1.2 and without TLS there is nothing to read"

half=()
for _ in $(seq 400); do
	exec {fd}<>"/dev/tcp/127.0.0.1/$port"
	half+=("$fd")
done
s_client crowded "${tls[@]}"
await "a greeting beside 400 half handshakes" has crowded.log watching
for fd in "${half[@]}"; do exec {fd}>&-; done
echo "400 half handshakes keep nobody out"

before=$(openssl x509 -in server.crt -noout -serial)
openssl x509 -req -in server.csr -copy_extensions copy -days 365 -CA ca.crt -CAkey ca.key -out new.crt 2>/dev/null
mv new.crt server.crt
after=$(openssl x509 -in server.crt -noout -serial)
serves() {
	[[ $(openssl s_client -connect "localhost:$port" "${tls[@]}" </dev/null 2>/dev/null | openssl x509 -noout -serial) = "$1" ]]
}
[[ $before != "$after" ]] || die "the new certificate is the old one"
await "the new certificate" serves "$after"
change
await "a change over the connection that is older" has mutual.log modified
echo "a new certificate is used without a restart"

# TLS ends at haproxy, which connects to a plain server.
./net-watcher -interval 20ms -listen localhost:0 target.txt 2>plain-server.log &
pids+=($!)
await "the plain server" listens plain-server.log
cat server.crt server.key >server.pem
for _ in $(seq 10); do
	front=$((20000 + RANDOM % 10000))
	cat >haproxy.cfg <<-EOF
		defaults
			mode tcp
			timeout connect 5s
			timeout client 50s
			timeout server 50s
		listen tls
			bind 127.0.0.1:$front ssl crt server.pem ca-file ca.crt verify required
			server plain 127.0.0.1:$(where plain-server.log)
	EOF
	haproxy -f haproxy.cfg >haproxy.log 2>&1 &
	haproxy=$!
	sleep 0.5
	kill -0 "$haproxy" 2>/dev/null && break
done
pids+=("$haproxy")
./net-watcher -connect "tls://localhost:$front" -ca ca.crt "${tls[@]}" >proxied.log 2>proxied.err.log &
pids+=($!)
await "the client behind haproxy" grep -q following proxied.err.log
change
await "a change behind haproxy" has proxied.log modified
echo "a client gets a change through haproxy, where TLS ends"

kill "$server"
wait "$server" || die "the server fails at the end"
await "the end of s_client" ends "$mutual"
if grep -qi "unexpected eof" mutual.err.log; then die "s_client gets no regular end"; fi
echo "the server ends TLS when it ends"
