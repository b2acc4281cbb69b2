#!/usr/bin/env bash
# Ten thousand subscribers that come, misbehave and go at random, over TCP and
# a Unix socket, beside some honest ones that stay, while files change. It
# prints what net-watcher holds in the meantime, and fails if that grows, if
# something is left at the end, or if the honest ones are not all told the same.
# Linux only.
#
#   scripts/soak.sh [DURATION]   such as 90s, 10m, 1h (default 10m)
set -euo pipefail

n=${SOAK_SUBSCRIBERS:-10000} # fewer, where 10000 are too many
honest=20
interval=200ms               # of net-watcher

# How much more the median of the last quarter may be than that of the second.
# In the first one they are still coming; how many there are is left to chance.
more_rss=10                  # percent, and
more_kb=2048                 # kB
more_fds=5                   # percent
more_threads=8
# How many more goroutines there may be at the end than in a net-watcher that
# nobody ever connected to: those that wait for more to look at come and go.
more_goroutines=8

die() { echo "soak.sh: $*" >&2; exit 1; }

[[ $(uname -s) = Linux ]] || die "this is for Linux: it reads /proc"
command -v go >/dev/null || die "go is missing: see https://go.dev/dl"
[[ ${1-10m} =~ ^([1-9][0-9]*)([smh])$ && $# -le 1 ]] || { echo "usage: scripts/soak.sh [DURATION]" >&2; exit 2; }
declare -A unit=([s]=1 [m]=60 [h]=3600)
duration=$((BASH_REMATCH[1] * unit[${BASH_REMATCH[2]}]))
((duration >= 16)) || die "less than 16s tell nothing"
ulimit -n "$(ulimit -Hn)"
[[ $(ulimit -n) = unlimited ]] || (($(ulimit -n) >= n + honest + 100)) ||
	die "ulimit -Hn is $(ulimit -n), too few for $n subscribers (SOAK_SUBSCRIBERS=$(($(ulimit -n) - honest - 100)))"

folder=$(mktemp -d)
declare -A pids=() # of what runs, by name
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
go build -C "$repo" -o "$folder/net-watcher" .
go build -C "$repo" -o "$folder/load" ./scripts/load
cd "$folder"
files=(busy quiet later)
touch busy quiet churn.log

# await WHAT COMMAND...: waits until the command succeeds, 60 s at most.
await() {
	local what=$1 _
	shift
	for _ in $(seq 600); do
		"$@" && return
		sleep 0.1
	done
	tail -n 20 ./*.log >&2
	die "waited in vain: $what"
}

# serve NAME: starts a net-watcher of that name.
serve() {
	./net-watcher -interval "$interval" -listen 127.0.0.1:0 -listen "unix:$1.socket" "${files[@]}" </dev/null 2>"$1.log" &
	pids[$1]=$!
	await "$1 to listen" grep -q "^listening on $1.socket" "$1.log"
}

# goroutines NAME: how many a net-watcher has, which is the end of it: that is
# what Go programs do on SIGQUIT.
goroutines() {
	kill -QUIT "${pids[$1]}"
	wait "${pids[$1]}" || true # it says 2
	unset "pids[$1]"
	REPLY=$(grep -c '^goroutine [1-9]' "$1.log") || die "$1 did not say what goroutines it has"
}

count() { local all=(/proc/"${pids[server]}/$1"/*); REPLY=${#all[@]}; }
rss() { REPLY=$(awk '$1 == "Rss:" { print $2 }' "/proc/${pids[server]}/smaps_rollup"); }
subscribers() { REPLY=$(grep -o '([0-9]* now)' server.log | tail -n 1 | tr -cd 0-9); }
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

serve fresh
sleep 1
goroutines fresh
goroutines_fresh=$REPLY

serve server
sleep 1
count fd; fds_before=$REPLY
address=$(sed -n 's/^listening on \(127[^ ]*\) .*/\1/p' server.log)
# Two thirds come over the Unix socket: who closes a TCP connection leaves its
# port behind for a minute.
./load churn -n "$n" -honest "$honest" -for "${duration}s" "$address" unix:server.socket unix:server.socket </dev/null >churn.log 2>&1 &
pids[churn]=$!
await "the honest ones" grep -q "^honest $honest" churn.log

# changes: changes one file all the time and others now and then.
# shellcheck disable=SC2317 # in the background
changes() {
	local i
	for ((i = 1; ; i++)); do
		echo "$i" >>busy
		((i % 50)) || echo "$i" >>quiet
		case $((i % 200)) in 100) : >later ;; 0) rm -f later ;; esac
		sleep 0.1
	done
}
changes &
pids[changes]=$!

every=$((duration / 16))
((every <= 10)) || every=10
kbs=() fds=() threads=()
echo "     s   RSS kB  threads  descriptors  subscribers"
SECONDS=0
for ((second = every; second < duration; second += every)); do
	((SECONDS >= second)) || sleep $((second - SECONDS))
	kill -0 "${pids[churn]}" 2>/dev/null || break # why, it says below
	kill -0 "${pids[server]}" 2>/dev/null || die "net-watcher has ended: $(tail -n 20 server.log)"
	rss; kbs+=("$REPLY")
	count task; threads+=("$REPLY")
	count fd; fds+=("$REPLY")
	subscribers
	printf '%6d %8d %8d %12d %12d\n' "$second" "${kbs[-1]}" "${threads[-1]}" "${fds[-1]}" "$REPLY"
done

failed=''
# flat WHAT PERCENT MORE VALUE...: whether the values do not grow by more than
# so much in a hundred and so much besides.
flat() {
	local what=$1 percent=$2 more=$3 second last limit
	shift 3
	second=$(median "${@:$# / 4 + 1:$# / 4}")
	last=$(median "${@:$# - $# / 4 + 1}")
	limit=$((second * (100 + percent) / 100 + more))
	echo "$what: median of the second quarter $second, of the last $last (at most $limit)"
	((last <= limit)) || failed+=" $what"
}

# shellcheck disable=SC2317 # called by await
churned() { ! kill -0 "${pids[churn]}" 2>/dev/null; }
await "the subscribers to leave" churned
wait "${pids[churn]}" || failed+=" the honest ones"
unset "pids[churn]"
cat churn.log
kill "${pids[changes]}"
unset "pids[changes]"
flat "RSS" "$more_rss" "$more_kb" "${kbs[@]}"
flat "descriptors" "$more_fds" 0 "${fds[@]}"
flat "threads" 0 "$more_threads" "${threads[@]}"

# shellcheck disable=SC2317 # called by await
left() { count fd; ((REPLY <= fds_before)); }
await "net-watcher to have no more descriptors than the $fds_before at first" left
subscribers
rss
echo "afterwards: RSS $REPLY kB, descriptors back at $fds_before"
echo "why they went, as on the console:"
grep -v '^goroutine' server.log | grep -o '[0-9]* more disconnected ([^)]*)' |
	awk '{ n[substr($0, index($0, "(") + 1)] += $1 } END { for (why in n) printf "%8d %s\n", n[why], substr(why, 1, length(why) - 1) }' | sort -rn
sleep 2
goroutines server
echo "goroutines: $REPLY, $goroutines_fresh in a net-watcher that nobody connected to (at most $more_goroutines more)"
((REPLY <= goroutines_fresh + more_goroutines)) || failed+=" goroutines"
[[ -z $failed ]] || die "not well:$failed"
echo "all is well"
