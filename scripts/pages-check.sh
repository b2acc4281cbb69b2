#!/usr/bin/env bash
# Runs the commands of the pages as they stand there, and checks that they do what the page
# says. A command is a line of a block without a language, or after a "$", an example of the
# usage, what the guide's table "you want" has, and what begins with strace or curl -N in the
# text. Each is tried below, or left out for a reason. It is a failure if a page has another
# one, or lacks one that is named here.
#
# Each runs in a network of its own, where no port is taken, and in a folder of its own, which
# has some files (Linux; as root, with user namespaces, or with sudo). There HOST and
# files.example are localhost, /srv/conf and /mnt/project are in that folder, and COMMAND,
# nginx and systemctl only say that they run.
#
# shellcheck disable=SC2016 # code in quotes is expanded later
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
PATH=$PATH:/usr/sbin
s_client='openssl s_client -quiet -connect HOST:60300 -cert client.crt -key client.key -CAfile ca.crt'

# The functions that code of try, below, is made of; the command is $command.

# begin COMMAND: runs it beside the script, in a session of its own and with an input that
# does not end. What it prints is in $log.
begin() {
	n=$((n + 1)) log=$folder/$n.log
	mkfifo "$folder/$n.in"
	exec {input}<>"$folder/$n.in"
	setsid bash -c "${1/HOST/localhost}" <&"$input" >"$log" 2>&1 &
	pid=$!
	pids+=("-$pid")
}
# sees PATTERN: waits until the last command that was begun has printed that.
sees() { await "$command: $1" grep -qE -- "$1" "$log"; }
# sees_no PATTERN: dies if it has printed that.
sees_no() { ! grep -E -- "$1" "$log" || die "$command: prints $1"; }
# ends STATUS: waits for its end.
ends() {
	local status=0
	wait "$pid" || status=$?
	((status == $1)) || die "$command: status $status, not $1"
}
# edit FILE...: changes files, or makes them.
edit() { for file; do echo "$RANDOM" >>"$file"; done; }

# serves SUBSCRIBER FILE PATTERN: $command serves, and a subscriber sees the change of FILE.
serves() {
	begin "$command"
	sees 'listening on'
	begin "$1"
	sees watching
	edit "$2"
	sees "$3"
}
server() { begin "net-watcher -interval 100ms $*"; sees 'listening on'; }
# subscribes: $command is a subscriber of the server that was begun.
subscribes() { begin "$command"; sees watching; edit target.txt; sees 'modified.* target.txt|target.txt.*"modified"'; }
# follows PATTERN: $command is a client, which prints that when target.txt changes.
follows() { server target.txt; begin "$command"; sees following; edit target.txt; sees "$1"; }
# acts OUTPUT FILE: $command runs another one at the start, and when FILE changes.
acts() { begin "$command"; sees "^$1: *$"; edit "$2"; sees "^$1: modified $2"; }
# develops: $command restarts the Go program here.
develops() {
	program() { printf 'package main\n\nfunc main() {\n\tprintln("version %s")\n\tselect {}\n}\n' "$1" >main.go; }
	program 1
	begin "$command"
	sees 'version 1'
	program two
	sees 'version two'
}
# certificates: makes them, as docs/operations.md has it.
certificates() { sed -n 's/files\.example/localhost/g; /^openssl /p' "$clone/docs/operations.md" | bash -e >"$folder/openssl.log" 2>&1; }
# built: $command builds or installs in a clone of the repository.
built() {
	GOMODCACHE=$(go env GOMODCACHE) GOPATH=$PWD/go
	export GOMODCACHE GOPATH
	cd "$clone"
	bash -ec "$command"
}
# tests PATTERN ARG...: $command is one of Go's tests or benchmarks. ARGs make it shorter.
tests() {
	cd "$repo"
	log=$folder/go.log
	bash -c "$command ${*:2}" >"$log" 2>&1 || die "$command: $(<"$log")"
	sees "$1"
}
# session: the three commands of the README print what it shows, but for numbers and the like.
session() {
	local commands
	mapfile -t commands < <(sed -n 's/^    \$ //p' "$clone/README.md")
	cd "$clone"
	go run . -version >/dev/null # builds it
	begin "${commands[0]}"
	await target.txt test -e target.txt
	begin "${commands[1]}"
	sees 'listening on'
	begin "${commands[2]}"
	sees modified
	echo json >&"$input"
	sees '"change":"modified"'
	masked() { sed -E 's/^[0-9T:.+-]{20,}Z? //; s/"state":"[0-9a-f]*"/STATE/; s/127\.0\.0\.1|\[::1\]/LOOPBACK/g; s/[0-9]+/N/g'; }
	sed -n '/^    \$/,/^$/s/^    \([^$]\)/\1/p' README.md | masked >"$folder/page"
	echo json | cat - "$folder"/[23].log | masked >"$folder/real"
	! grep -vxFf "$folder/real" "$folder/page" || die "the session of the README does not have these lines"
}
# python: the subscriber of docs/protocol.md sees changes, and reconnects.
python() {
	local subscriber served
	sed -n '/^```python$/,/^```$/{/^```/!p;}' "$clone/docs/protocol.md" >subscriber.py
	server target.txt
	served=$pid
	begin "$command"
	subscriber=$log
	# shellcheck disable=SC2317
	subscribed() { ss -tn state established '( sport = :60300 )' | grep -q :60300; }
	await "the subscriber in Python" subscribed
	edit target.txt
	sees 'modified target.txt'
	kill "$served"
	wait "$served"
	edit target.txt
	server target.txt
	log=$subscriber
	sees 'missed target.txt'
}

if [[ ${1-} = -alone ]]; then
	# -alone FOLDER REPO CLONE COMMAND CODE, as try calls it.
	folder=$2 repo=$3 clone=$4 n=0 pids=()
	trap cleanup EXIT
	trap 'exit 1' HUP INT TERM
	mkdir -p "$folder/here/"{src,build,conf,.git}
	cd "$folder/here"
	edit target.txt src/a.c build/x a.o a.tmp A.txt conf/nginx.conf .git/index
	printf 'all:\n\t@echo make: $$NET_WATCHER_CHANGE $$NET_WATCHER_FILE; date +%%N | tee build/x >a.o\n' >Makefile
	echo "module here" >go.mod
	command=$(sed -E 's/HOST|files\.example/localhost/; s|/srv/|./|; s|/mnt/project|.|' <<<"$5")
	eval "$6"
	touch "$folder.ok"
	ok "$5"
	exit
fi

for program in unshare:util-linux ip:iproute2 ss:iproute2 nc:netcat-openbsd curl:curl jq:jq make:make openssl:openssl \
	strace:strace watch:procps python3:python3; do
	need "${program%:*}" "apt install ${program#*:}"
done
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup
mkdir bin clone
tar -C "$repo" --exclude ./.git --exclude ./dist -c . | tar -C clone -x
printf '#!/bin/sh\necho "${0##*/} $*: $NET_WATCHER_CHANGE $NET_WATCHER_FILE"\n' >bin/COMMAND
chmod +x bin/COMMAND
ln -s COMMAND bin/nginx
ln -s COMMAND bin/systemctl
export PATH=$folder/bin:$folder:$PATH TERM=${TERM:-xterm}

# alone COMMAND...: runs it in a network of its own, as the same user.
as=()
if [[ $(id -u) = 0 ]]; then
	unshare=(unshare -n)
elif unshare -rn ip link set lo up 2>/dev/null; then
	unshare=(unshare -rn)
else
	unshare=(sudo -E unshare -n) as=(sudo -E -u "$(id -un)" env "PATH=$PATH")
fi
alone() { "${unshare[@]}" sh -c 'ip link set lo up && exec "$@"' sh "${as[@]}" "$@"; }
alone true || die "there is no network of its own: run it as root, or where users may have namespaces"

# rest has the commands of the pages that nothing below has taken.
awk '
	/^ *```/ { inside = !inside; lines = /^ *```(sh|bash|console)?$/; first = 1; next }
	inside && first { first = 0; usage = /^usage:/; if (usage || /^\[Unit\]|^#!/) lines = 0 }
	inside && usage && /^examples:/ { lines = 1; next }
	inside { if (lines && !/^$/) { sub(/^ +/, ""); sub(usage ? "   *.*" : " +# .*", ""); print } next }
	/^    \$ / { print substr($0, 7); next }
	!/^\|/ { table = 0 }
	/^\| you want / { table = 1 }
	{
		for (; match($0, /`[^`]+`/); $0 = substr($0, RSTART + RLENGTH)) {
			span = substr($0, RSTART + 1, RLENGTH - 2)
			if (span ~ /^(strace -|curl -N http)/ || table && span ~ /^net-watcher /) print span
		}
	}
' "$repo"/{README,CONTRIBUTING}.md "$repo"/docs/*.md | sort -u >rest
echo 'python3 subscriber.py' >>rest # a block with a language

failed=0 tries=0
# take GREP-ARG...: takes the commands that match, and prints them.
take() {
	grep "$@" rest || { echo "no page has: ${*: -1}" >&2; return 1; }
	grep -v "$@" rest >others || true
	mv others rest
}
# leave PATTERN REASON: commands that are not tried.
leave() { take -E -- "$1" >left || failed=1; sed "s|^|left out ($2): |" left; }
# try COMMAND CODE: runs the code in a network and a folder of its own, beside others.
try() {
	take -xF -- "$1" >/dev/null || { failed=1; return; }
	tries=$((tries + 1))
	while (($(jobs -rp | wc -l) >= 8)); do wait -n || true; done
	mkdir "$tries"
	alone "$repo/scripts/pages-check.sh" -alone "$folder/$tries" "$repo" "$folder/clone" "$1" "$2" &
	pids+=($!)
}

# In a clone: these take the longest, and come first.
try 'go test -race -run TestScripts/tree -v ./internal/scan' 'tests "^ *--- PASS: TestScripts/tree"'
try "go test -run '^\$' -bench Fanout -count 5 ." 'tests ^BenchmarkFanout -count 1 -benchtime 1x'
try 'go test . -run TestChainSeeds -seed 1000 -seeds 20000' 'tests ^ok -seeds 5'
try 'go test . -run TestChainSeeds -input 1cc9c287dee439ba582b6b9201d57eb2 -shrink' 'tests ^ok'
try 'go run . -file target.txt' session
for command in 'watch -n 1 touch target.txt' 'nc localhost 60300'; do # parts of the session
	take -xF "$command" >/dev/null || failed=1
done
try 'CGO_ENABLED=0 go build -o net-watcher .' 'built; ./net-watcher -version >version'
try 'CGO_ENABLED=0 go install .' 'built; "$GOPATH/bin/net-watcher" -version >version'
try 'mkdir -p "$(go env GOPATH)/share/man/man1"' 'built; cd "$GOPATH/share/man/man1"'
try 'cp docs/net-watcher.1 "$(go env GOPATH)/share/man/man1"' 'mkdir -p go/share/man/man1; built; test -s "$GOPATH/share/man/man1/net-watcher.1"'

# Servers.
try 'net-watcher target.txt' 'serves "nc localhost 60300" target.txt "modified target.txt"'
try "net-watcher -ignore .git/ -ignore '*.tmp' ." \
	'serves "nc localhost 60300" src/a.c "modified ./src/a.c"; edit .git/index a.tmp src/b.c; sees "created ./src/b.c"; sees_no "git|tmp"'
try "net-watcher -listen :60300 -ignore /build/ -ignore '*.o' ." \
	'serves "nc localhost 60300" src/a.c "modified ./src/a.c"; edit build/x a.o src/b.c; sees "created ./src/b.c"; sees_no "build|a.o"'
try 'net-watcher -listen :60300 /srv/conf/nginx.conf' 'serves "nc localhost 60300" conf/nginx.conf "modified ./conf/nginx.conf"'
try 'net-watcher -listen ./watch.sock -format json .' 'serves "nc -U ./watch.sock" src/a.c "\"file\":\"./src/a.c\".*\"modified\""'
try 'net-watcher -listen ./watch.sock target.txt' 'serves "nc -U ./watch.sock" target.txt "modified target.txt"'
try 'net-watcher -listen ./watch.sock /etc/hosts' 'begin "$command"; sees "try: nc -U ./watch.sock"; begin "nc -U ./watch.sock"; sees "watching /etc/hosts$"'
try 'net-watcher -listen http://localhost:8080 .' 'serves "curl -sN http://localhost:8080/events" src/a.c "\"./src/a.c\".*\"modified\""'
try 'net-watcher -listen http://localhost:8080 src' \
	'serves "curl -sN http://localhost:8080/events" src/a.c "\"src/a.c\".*\"modified\""; begin "curl -sf http://localhost:8080"; sees "<html"'
try "net-watcher -listen http://localhost:8080 -origin http://localhost:5173 -ignore '*.tmp' src" \
	'serves "curl -siN -H Origin:http://localhost:5173 http://localhost:8080/events" src/a.c "modified"; edit src/a.tmp src/b.c
	sees src/b.c; sees_no tmp; sees "Access-Control-Allow-Origin: http://localhost:5173"'
try 'net-watcher -listen - src' 'begin "$command"; sees "watching src"; edit src/a.c; sees "modified src/a.c"'
try 'net-watcher -listen tls://:60300 -cert server.crt -key server.key -ca ca.crt target.txt' \
	'certificates; serves "$s_client" target.txt "modified target.txt"'
try 'net-watcher -listen tls://:60300 -cert server.crt -key server.key -ca ca.crt /srv/conf' \
	'certificates; serves "$s_client" conf/nginx.conf "modified ./conf/nginx.conf"'

# Subscribers and clients.
try 'nc -U ./watch.sock' 'server -listen ./watch.sock target.txt; subscribes'
try 'curl -N http://localhost:8080/events' 'server -listen http://localhost:8080 target.txt; subscribes'
try 'python3 subscriber.py' python
secured='certificates; server -listen tls://:60300 -cert server.crt -key server.key -ca ca.crt target.txt; '
try "$s_client" "$secured subscribes"
for host in HOST files.example; do
	try "net-watcher -connect tls://$host -cert client.crt -key client.key -ca ca.crt" \
		"$secured"'begin "$command"; sees following; edit target.txt; sees "modified target.txt"'
done
try 'net-watcher -connect localhost' 'follows "modified target.txt"'
try 'net-watcher -connect localhost -format json' 'follows "\"file\":\"target.txt\".*\"modified\""'
try "net-watcher -connect localhost -format json | jq -r --unbuffered 'select(.change == \"removed\") | .file'" \
	'follows ""; rm target.txt; sees "^target.txt$"; sees_no modified'
try 'net-watcher -connect localhost -scan' 'server -interval 1h target.txt; edit target.txt; begin "$command"; sees "modified target.txt"; ends 0'
try 'net-watcher -connect localhost -- COMMAND' 'follows "^COMMAND : modified target.txt"'
try 'net-watcher -connect localhost -- COMMAND ARG...' 'follows "^COMMAND ARG...: modified target.txt"'
try 'net-watcher -connect files.example -- systemctl reload nginx' 'follows "^systemctl reload nginx: modified target.txt"'
try 'net-watcher -connect HOST -initial -- nginx -s reload' 'server target.txt; acts "nginx -s reload" target.txt'
try 'net-watcher -connect HOST -initial -- make -C /mnt/project' 'server target.txt; acts make target.txt'

# One command.
try 'net-watcher -initial src -- make' 'acts make src/a.c'
try "net-watcher -initial -ignore build/ -ignore '*.o' . -- make" 'acts make ./A.txt; edit A.txt; sees_no "build|a.o"'
try 'net-watcher -restart -initial . -- go run .' develops
try "net-watcher -restart -initial -only '*.go' . -- go run ." develops
try 'net-watcher -once -initial -listen - later.txt' 'begin "$command"; sees watching; edit later.txt; sees "created later.txt"; ends 0'
try 'net-watcher -once src -- go test ./...' \
	'echo "package src; func TestX()" >src/a_test.go; begin "$command"; sees watching; edit src/a.c; sees "^FAIL.*here/src"; ends 1'

try 'strace -f -e trace=%file,getdents64 net-watcher FILE' 'begin "$command"; sees "stat(at|x)?\(.*\"FILE\""'
try 'strace -f -o /dev/null -e trace=newfstatat -e inject=newfstatat:delay_enter=2000 net-watcher FILE' \
	'begin "$command"; sees "listening on"; edit FILE; begin "nc localhost 60300"; sees FILE'

leave '^go test \./\.\.\.$' ".ci/run takes it from the page"
leave '^go test \. -run TestChainSeeds$' "go test ./... does that"
leave '^go test \. .* -fuzz ' "takes minutes"
leave '-bench Scan/tree' "makes 100,000 files; .ci/run runs each benchmark once"
leave '^go run ./scripts/robust -check|^go test ./internal/proof -run TestFile' "takes the history of a failed run"
leave '^go run ./scripts/(bench|robust)' "takes minutes; .ci/run has shorter ones, but of soak"
leave '^gnuplot' "somebody must look at the picture"
leave '^ssh' "takes another host; operations-check.sh opens two of these tunnels"
leave '^openssl' "tls-check.sh takes it from the page"
leave 'BROKER' "broker-check.sh takes it from the page"
leave '^podman' "takes podman; operations-check.sh runs the server of one"
leave '^(skopeo|dpkg|rpm|apk|sha256sum|gh) ' "takes a release: release.sh tries its files"

wait
for ((i = 1; i <= tries; i++)); do [[ -e $i.ok ]] || failed=1; done
[[ ! -s rest ]] || { sed 's/^/neither tried nor left out: /' rest; failed=1; }
((failed == 0))
