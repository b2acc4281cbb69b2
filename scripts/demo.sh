#!/usr/bin/env bash
# Opens the three terminals of the README in tmux: one touches a file every
# second, one watches it, one is told.
#
#   scripts/demo.sh          until you leave it with Ctrl-B, then D
#   scripts/demo.sh -check   unseen; fails unless the third terminal is told
#
# All of it happens in a temporary folder and in a tmux of its own.
set -euo pipefail

die() { echo "demo.sh: $*" >&2; exit 1; }

case $* in
	'') check='' port=60300 ;;
	-check) check=yes port=0 ;;
	*) echo "usage: scripts/demo.sh [-check]" >&2; exit 2 ;;
esac
command -v go >/dev/null || die "go is missing: see https://go.dev/dl"
command -v tmux >/dev/null || die "tmux is missing: apt install tmux, or brew install tmux"
command -v watch >/dev/null || die "watch is missing: apt install procps, or brew install watch"

folder=$(mktemp -d)
tmux() { command tmux -S "$folder/tmux" -f /dev/null "$@"; }
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	tmux kill-server 2>/dev/null || true
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
go build -C "$repo" -o "$folder/net-watcher" .
cd "$folder"
touch target.txt
leave="Ctrl-B, then D"
[ -z "${TMUX-}" ] || leave="Ctrl-B twice, then D" # the first is for the tmux around it
server="./net-watcher -file target.txt"
[ "$port" = 60300 ] || server+=" -listen localhost:$port"

# Each pane says in its border what it shows, and stays if its program ends.
tmux new-session -d -s demo -x 120 -y 36 "watch -n 1 touch target.txt"
tmux set-option -g remain-on-exit on
tmux set-option -g pane-border-status top
tmux set-option -g pane-border-format " #{@what} "
tmux set-option -g status-left-length 80
tmux set-option -g status-left "net-watcher's three terminals. $leave, ends it. "
tmux set-option -g status-right ""
tmux set-window-option -g window-status-current-format ""
tmux set-option -p -t demo:0.0 @what "1: touching: watch -n 1 touch target.txt"
tmux split-window -v -t demo:0.0 "$server || sleep 1000" # so that what it says stays
tmux set-option -p -t demo:0.1 @what "2: the server: $server"

# await PANE PATTERN: waits until the pane shows the pattern, 30 s at most and
# not after an error.
await() {
	local _ shown
	for _ in $(seq 300); do
		shown=$(tmux capture-pane -p -t "demo:0.$1")
		grep -qE "$2" <<<"$shown" && return
		grep -q '^net-watcher: ' <<<"$shown" && break
		sleep 0.1
	done
	tmux capture-pane -p -t "demo:0.$1" | sed '/^$/d' >&2
	die "terminal $(($1 + 1)) shows this, and not \"$2\""
}

await 1 'listening on'
port=$(tmux capture-pane -p -J -t demo:0.1 | sed -n 's/.*(try: nc [^ ]* \([0-9]*\)).*/\1/p')
subscriber="nc localhost $port"
command -v nc >/dev/null || subscriber="cat </dev/tcp/localhost/$port"
tmux split-window -v -t demo:0.1 "bash -c 'exec $subscriber'"
tmux set-option -p -t demo:0.2 @what "3: a subscriber: $subscriber (type json, or text)"
tmux select-layout -t demo:0 even-vertical

if [ "$check" ]; then
	await 2 'watching target.txt'
	await 2 'modified target.txt'
	await 1 'subscriber connected: .* \(1 now\)'
	echo "the subscriber is told:"
	tmux capture-pane -p -t demo:0.2 | sed '/^$/d'
else
	TMUX='' tmux attach-session -t demo
fi
