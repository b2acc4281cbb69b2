#!/usr/bin/env bash
# Tries the subscribers of docs/guide.md, as they stand there, against the real server, each in
# a terminal of its own: all must receive a change, and those that can speak must
# receive JSON for the word json. The script names those that are not installed.
#
# Then it tries net-watcher's own client: behind haproxy, with a classic service in
# Node, and in pipelines that end.
#
#   scripts/clients-check.sh          those that are installed
#   scripts/clients-check.sh -all     fails if one is not installed
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case $* in
	'' | -all) ;;
	*) echo "usage: scripts/clients-check.sh [-all]" >&2; exit 2 ;;
esac
need tmux "apt install tmux, or brew install tmux"

# guide: prints the commands of the guide's table and of its sockets, with what each can do:
# "speaks" or "hears" on a terminal, "silent" without one. Netcats have their names in Debian.
guide() {
	awk -F ' [|] ' '
		function say(how, command) {
			if (nc) sub(/^nc /, nc " ", command)
			gsub(/\\[|]/, "|", command)
			print how, command
		}
		/^#/ { table = /^## Clients/; sockets = /^### Unix sockets/; nc = "nc.openbsd" }
		table && /^\| / && /60300/ && !/PowerShell/ {
			nc = /^\| OpenBSD/ ? "nc.openbsd" : /^\| traditional/ ? "nc.traditional" : ""
			split($2, typed, "`")
			n = split($3, silent, "`")
			say(typed[2] ~ /^(nc|ncat|busybox|socat|telnet) / ? "speaks" : "hears", typed[2])
			if ($3 ~ /^the same/) say("silent", typed[2])
			for (i = 2; i <= n; i += 2) if (silent[i] ~ /60300/) say("silent", silent[i])
		}
		sockets && /^nc .*watch\.sock$/ { say("speaks", $0) }
		sockets { n = split($0, text, "`"); for (i = 2; i <= n; i += 2) if (text[i] ~ /watch\.sock$/) say("speaks", text[i]) }
	' "$1"
}
clients=()
while IFS= read -r line; do clients+=("$line"); done < <(guide "$(dirname "${BASH_SOURCE[0]}")/../docs/guide.md")
((${#clients[@]} >= 20)) || die "docs/guide.md has no table of clients"

setup
touch target.txt
tmux new-session -d -s s -n server -x 250 -y 50 \
	"./net-watcher -interval 100ms -listen localhost:0 -listen ./watch.sock target.txt"
tmux set-option -g remain-on-exit on
poll shows server 'nc -U' || die "the server does not start"
port=$(port server)

failed=0
report() { printf '%-10s %s\n' "$1" "$2"; }
# installed PROGRAM WHAT: reports what is missing if the program is not installed.
all=${1-}
installed() {
	command -v "$1" >/dev/null && return
	report missing "$2"
	[[ $all != -all ]] || failed=1
	return 1
}
# result WHAT PROBLEM PANE: reports what works, or the problem if there is one.
result() {
	if [[ ! $2 ]]; then
		report follows "$1"
		return
	fi
	report FAILED "$1: $2"
	screen "$3"
	failed=1
}

# The proxy cuts a connection after 35 s without traffic, which is more than the
# 30 s between two blank lines of the client. The header that it sends first spoils
# the first word of a subscriber.
proxied="net-watcher -connect, silent behind haproxy with the PROXY protocol"
proxy_since=
if installed haproxy "$proxied"; then
	tmux new-window -d -n quiet "./net-watcher -interval 100ms -listen 127.0.0.1:0 quiet.txt"
	poll shows quiet 'try: nc' || die "the server behind the proxy does not start"
	cat >haproxy.cfg <<END
defaults
	mode tcp
	timeout connect 5s
	timeout client 35s
	timeout server 35s
listen proxy
	bind unix@$folder/proxy
	server net-watcher 127.0.0.1:$(port quiet) send-proxy-v2
END
	haproxy -f haproxy.cfg -db >haproxy.log 2>&1 &
	pids+=($!)
	tmux new-window -d -n proxied "./net-watcher -connect ./proxy"
	poll shows proxied following || die "the client behind the proxy does not start"
	proxy_since=$SECONDS
fi

for i in "${!clients[@]}"; do
	read -r speaks client <<<"${clients[i]}"
	program=${client%% *}
	[[ $client = *busybox* ]] && program=busybox
	installed "$program" "$client" || continue
	command=${client//60300/$port}
	[[ $speaks != silent ]] || command="{ $command; } </dev/null"
	printf '%s\n' "$command" >"client$i"
	tmux new-window -d -n "client$i" "bash client$i"
	# The clients run one by one, so that each receives its own change only.
	problem=
	if ! poll shows "client$i" 'watching target.txt'; then
		problem="receives no greeting"
	else
		echo more >>target.txt
		if ! poll shows "client$i" 'modified target.txt'; then
			problem="receives no change"
		elif [[ $speaks = speaks ]]; then
			tmux send-keys -t "client$i" json Enter
			poll shows "client$i" '"type":"watching","file":"target.txt"' || problem="receives no JSON"
		fi
	fi
	if [[ $problem ]]; then
		report FAILED "$client: $problem"
		screen "client$i"
		failed=1
	else
		report "$speaks" "$client"
	fi
	tmux kill-window -t "client$i"
done

for reader in 'head -n 1' 'grep -m1 -q modified'; do
	tmux new-window -d -n pipeline "./net-watcher -connect ./watch.sock | $reader; echo ended"
	problem=
	poll shows pipeline following || problem="does not connect"
	echo more >>target.txt
	poll shows pipeline '^ended' || problem="does not end"
	result "net-watcher -connect | $reader" "$problem" pipeline
	tmux kill-window -t pipeline
done

# As in the books: the service never reads what a subscriber sends.
cat >classic.js <<'END'
const fs = require('fs'), net = require('net')
net.createServer(connection => {
  connection.write(JSON.stringify({type: 'watching', file: 'target.txt'}) + '\n')
  const watcher = fs.watch('target.txt', () =>
    connection.write(JSON.stringify({type: 'changed', timestamp: Date.now()}) + '\n'))
  connection.on('close', () => { console.log('subscriber left'); watcher.close() })
}).listen('classic')
END
classic="net-watcher -connect, a classic service in Node"
if installed node "$classic"; then
	tmux new-window -d -n classic "node classic.js"
	poll test -S classic || die "the classic service does not start"
	problem=
	for _ in 1 2; do
		./net-watcher -connect ./classic >classic.log 2>&1 &
		follower=$!
		poll grep -q following classic.log || problem="does not follow it"
		echo more >>target.txt
		poll grep -q 'modified target.txt' classic.log || problem=${problem:-"receives no change"}
		kill $follower
		wait $follower || true
		poll shows classic 'subscriber left' || problem=${problem:-"leaves unnoticed"}
		for _ in 1 2; do # the second one to a connection that is gone would end the service
			echo more >>target.txt
			sleep 0.3
		done
	done
	result "$classic" "$problem" classic
fi

if [[ $proxy_since ]]; then
	problem=
	while ((SECONDS - proxy_since < 40)); do sleep 1; done
	echo more >>quiet.txt
	poll shows proxied 'quiet.txt' || problem="receives no change"
	! shows proxied lost || problem="is cut"
	result "$proxied" "$problem" proxied
fi
exit $failed
