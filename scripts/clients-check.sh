#!/usr/bin/env bash
# Tries the subscribers of docs/guide.md's table against the real server, each in
# a terminal of its own: all must receive a change, and those that can speak must
# receive JSON for the word json. The script names those that are not installed.
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

setup
touch target.txt
tmux new-session -d -s s -n server -x 250 -y 50 \
	"./net-watcher -interval 100ms -listen localhost:0 -listen ./socket target.txt"
tmux set-option -g remain-on-exit on
poll shows server 'nc -U' || die "the server does not start"
port=$(port server)

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
exit $failed
