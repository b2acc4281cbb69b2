#!/usr/bin/env bash
# Tries the clients of the table in docs/guide.md against the real server, each
# in a terminal of its own: all must print a change, and those that can send
# must get JSON for the word json. Those that are not installed are named.
#
#   scripts/clients-check.sh          what is installed
#   scripts/clients-check.sh -all     fails if one is not installed
set -euo pipefail

die() { echo "clients-check.sh: $*" >&2; exit 1; }

case $* in
	'' | -all) ;;
	*) echo "usage: scripts/clients-check.sh [-all]" >&2; exit 2 ;;
esac
command -v tmux >/dev/null || die "tmux is missing: apt install tmux, or brew install tmux"

# Whether it can speak, and the command with @PORT@ and @SOCKET@ in it.
clients=(
	"speaks nc.openbsd localhost @PORT@"
	"speaks ncat localhost @PORT@"
	"speaks nc.traditional localhost @PORT@"
	"speaks busybox nc localhost @PORT@"
	"speaks socat - TCP:localhost:@PORT@"
	"speaks telnet localhost @PORT@"
	"hears  cat </dev/tcp/localhost/@PORT@"
	"hears  node -e \"require('net').connect(@PORT@, 'localhost').pipe(process.stdout)\""
	"hears  python3 -c \"import socket; [print(line, end='', flush=True) for line in socket.create_connection(('localhost', @PORT@)).makefile()]\""
	"speaks nc.openbsd -U @SOCKET@"
	"speaks ncat -U @SOCKET@"
	"speaks socat - UNIX:@SOCKET@"
	# Without a terminal to read from.
	"hears  ncat --recv-only localhost @PORT@ </dev/null"
	"hears  socat -u TCP:localhost:@PORT@ - </dev/null"
	"hears  sleep 1000 | busybox nc localhost @PORT@"
	"hears  curl -sN telnet://localhost:@PORT@ </dev/null"
	"hears  nc.openbsd -d localhost @PORT@ </dev/null"
)

folder=$(mktemp -d)
tmux() { command tmux -S "$folder/tmux" -f /dev/null "$@"; }
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	tmux kill-server 2>/dev/null || true
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# await WINDOW PATTERN: waits until the window shows the pattern, 20 s at most.
await() {
	local _
	for _ in $(seq 200); do
		tmux capture-pane -p -J -t "$1" | grep -qE "$2" && return
		sleep 0.1
	done
	return 1
}

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
go build -C "$repo" -o "$folder/net-watcher" .
cd "$folder"
touch target.txt
tmux new-session -d -s s -n server -x 250 -y 50 \
	"./net-watcher -interval 100ms -listen localhost:0 -listen ./socket target.txt"
tmux set-option -g remain-on-exit on
await server 'nc -U' || die "the server does not start"
port=$(tmux capture-pane -p -J -t server | sed -n 's/.*(try: nc [^ -]* \([0-9]*\)).*/\1/p')

failed=0
report() { printf '%-10s %s\n' "$1" "$2"; }
for i in "${!clients[@]}"; do
	read -r speaks client <<<"${clients[i]}"
	program=${client%% *}
	[[ $client = *busybox* ]] && program=busybox
	if ! command -v "$program" >/dev/null; then
		report missing "$client"
		[[ ${1-} != -all ]] || failed=1
		continue
	fi
	command=${client//@PORT@/$port}
	command=${command//@SOCKET@/./socket}
	printf '%s\n' "$command" >"client$i"
	tmux new-window -d -n "client$i" "bash client$i"
	# Each client by itself, so that none is told of what another was to hear.
	problem=
	if ! await "client$i" 'watching target.txt'; then
		problem="is not greeted"
	else
		echo more >>target.txt
		if ! await "client$i" 'modified target.txt'; then
			problem="is not told of a change"
		elif [[ $speaks = speaks ]]; then
			tmux send-keys -t "client$i" json Enter
			await "client$i" '"type":"watching","file":"target.txt"' || problem="gets no JSON"
		fi
	fi
	if [[ $problem ]]; then
		report FAILED "$client: $problem"
		tmux capture-pane -p -t "client$i" | sed '/^$/d'
		failed=1
	else
		report "$speaks" "$client"
	fi
	tmux kill-window -t "client$i"
done
exit $failed
