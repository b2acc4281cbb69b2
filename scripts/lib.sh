# shellcheck shell=bash
# Functions that scripts share. A script sources this file before it changes
# the folder.

die() { echo "${0##*/}: $*" >&2; exit 1; }

# need PROGRAM HINT: fails with the hint if the program is missing.
need() { command -v "$1" >/dev/null || die "$1 is missing: $2"; }

as_root() { if [[ $(id -u) = 0 ]]; then "$@"; else sudo "$@"; fi; }

# setup: builds net-watcher in a temporary folder and goes there. The script
# adds the processes that it starts to pids, or their groups, as -PID; cleanup ends
# them at exit.
setup() {
	need go "see https://go.dev/dl"
	pids=()
	folder=$(mktemp -d)
	trap cleanup EXIT
	trap 'exit 1' HUP INT TERM
	# An interrupted build leaves files in GOTMPDIR.
	GOTMPDIR=$folder go build -C "$(dirname "${BASH_SOURCE[0]}")/.." -o "$folder/net-watcher" .
	cd "$folder" || die "$folder is not usable"
}

cleanup() {
	[[ ! -S $folder/tmux ]] || tmux kill-server 2>/dev/null || true
	((${#pids[@]} == 0)) || kill -- "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$folder"
}

# poll COMMAND...: waits until the command succeeds, and fails after 30 s.
poll() {
	local _
	for _ in $(seq 300); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}

# await EVENT COMMAND...: polls the command; if it never succeeds, await prints
# the *.log files and dies.
await() {
	poll "${@:2}" && return
	tail -n 50 "$folder"/*.log >&2
	die "waited in vain: $1"
}

ok() { echo "ok: $*"; }

# lacks PROGRAM WHAT: whether the program is missing, and says that WHAT is not checked.
lacks() { ! command -v "$1" >/dev/null && echo "not checked: $2 ($1 is missing)"; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# tmux runs a server of its own, which cleanup ends.
tmux() { command tmux -S "$folder/tmux" -f /dev/null "$@"; }

# screen PANE: prints the lines of the pane that are not empty.
screen() { tmux capture-pane -p -J -t "$1" | sed '/^ *$/d'; }

# shows PANE PATTERN: whether the pane shows the pattern.
shows() { grep -qE "$2" <<<"$(screen "$1")"; }

# port PANE: prints the TCP port of the server in the pane.
port() { screen "$1" | sed -n 's/.*(try: nc [^ -]* \([0-9]*\)).*/\1/p'; }
