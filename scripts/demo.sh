#!/usr/bin/env bash
# Opens the three terminals of the README in tmux: one touches a file every
# second, one watches it, one receives what changes.
#
#   scripts/demo.sh          until you leave it with Ctrl-B, then D
#   scripts/demo.sh -check   unseen; fails unless the third terminal receives a change
#
# All of it happens in a temporary folder and in a tmux of its own.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case $* in
	'') check='' port=60300 ;;
	-check) check=yes port=0 ;;
	*) echo "usage: scripts/demo.sh [-check]" >&2; exit 2 ;;
esac
need tmux "apt install tmux, or brew install tmux"
need watch "apt install procps, or brew install watch"

setup
touch target.txt
leave="Ctrl-B, then D"
[ -z "${TMUX-}" ] || leave="Ctrl-B twice, then D" # the first is for the tmux around it
server="./net-watcher -file target.txt"
[ "$port" = 60300 ] || server+=" -listen localhost:$port"

# Each pane says in its border what it shows, and stays if its program ends. The last one
# gets the most lines.
read -r lines columns < <(stty size 2>/dev/null || echo 36 120)
tmux new-session -d -s demo -x "$columns" -y "$lines" "watch -n 1 touch target.txt"
tmux set-option -g remain-on-exit on
tmux set-option -g pane-border-status top
tmux set-option -g pane-border-format " #{@what} "
tmux set-option -g status-left-length 80
tmux set-option -g status-left "net-watcher's three terminals. $leave, ends it. "
tmux set-option -g status-right ""
tmux set-window-option -g window-status-current-format ""
tmux set-option -p -t demo:0.0 @what "1: touching: watch -n 1 touch target.txt"
tmux split-window -v -t demo:0.0 "$server || sleep 1000" # so that its error stays
tmux set-option -p -t demo:0.1 @what "2: the server: $server"

# expect PANE PATTERN: waits until the pane shows the pattern, and dies early
# after an error of net-watcher.
expect() {
	poll shows "demo:0.$1" "$2|^net-watcher: " && shows "demo:0.$1" "$2" && return
	screen "demo:0.$1" >&2
	die "terminal $(($1 + 1)) shows this, and not \"$2\""
}

expect 1 'listening on'
port=$(port demo:0.1)
subscriber="nc localhost $port"
command -v nc >/dev/null || subscriber="cat </dev/tcp/localhost/$port"
tmux split-window -v -t demo:0.1 "bash -c 'exec $subscriber'"
tmux set-option -p -t demo:0.2 @what "3: a subscriber: $subscriber (type json, or text)"
tmux select-layout -t demo:0 even-vertical
tmux resize-pane -t demo:0.0 -y 2
tmux resize-pane -t demo:0.1 -y 4

if [ "$check" ]; then
	expect 2 'watching target.txt'
	expect 2 'modified target.txt'
	expect 1 'subscriber connected: .* \(1 now\)'
	echo "the subscriber received:"
	screen demo:0.2
else
	TMUX='' tmux attach-session -t demo
fi
