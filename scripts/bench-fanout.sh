#!/usr/bin/env bash
# Measures what many subscribers cost, over TCP on the loopback and over a Unix
# socket, beside a bare loop of write(2) over as many sockets in the same run.
# Linux only. It prints Markdown tables.
#
#   scripts/bench-fanout.sh [N...]   with so many subscribers each (default:
#                                    1000, 10000 and as many as can be)
#
# CPU is what the kernel's scheduler has accounted (schedstat, in ns). That of
# net-watcher for an event runs from before the file changes until all has
# become quiet; what net-watcher uses anyhow in that time, for its looks, is
# measured in each round, and the median subtracted. That of the bare loop is its own only. First
# to last arrival is seen by the subscribers, which are another process with
# one thread, for both alike. The values are medians of the rounds, in which
# net-watcher and the bare loop take turns. Memory is resident (Rss of
# smaps_rollup, which is exact, where VmRSS lags behind).
#
# Below 1000 subscribers, CPU is lost in the noise. With more than half as many
# as there are ports, connecting over TCP is slow: Linux searches long for a
# free port, in the subscribers' process.
set -euo pipefail

rounds=10
events=100          # to all, before memory is looked at again
interval=0.05       # of net-watcher, in seconds
idle=0.2            # seconds in which nothing happens, in each round
calm=0.1            # seconds until all is quiet after an event
patience=60         # seconds that anything may take
reserve=100         # descriptors that are not for subscribers

die() { echo "bench-fanout.sh: $*" >&2; exit 1; }

[[ $(uname -s) = Linux ]] || die "this is for Linux: it reads /proc"
command -v go >/dev/null || die "go is missing: see https://go.dev/dl"
[[ -r /proc/self/schedstat ]] || die "/proc/self/schedstat is missing: this kernel has no CONFIG_SCHED_INFO"
[[ -r /proc/self/smaps_rollup ]] || die "/proc/self/smaps_rollup is missing: this kernel is older than 4.14"

# As many as both the descriptors of a process and the ports of one address
# allow.
ulimit -n "$(ulimit -Hn)"
limit=$(ulimit -n)
read -r low high </proc/sys/net/ipv4/ip_local_port_range
most=$((high - low - 1000))
if [[ $limit != unlimited ]] && ((limit - reserve < most)); then
	most=$((limit - reserve))
fi
sizes=("$@")
if ((${#sizes[@]} == 0)); then
	for n in 1000 10000; do ((n >= most)) || sizes+=("$n"); done
	sizes+=("$most")
fi
for n in "${sizes[@]}"; do
	[[ $n =~ ^[1-9][0-9]{0,6}$ ]] || { echo "usage: scripts/bench-fanout.sh [N...]" >&2; exit 2; }
	((n <= most)) || die "$n are too many: the descriptors (ulimit -Hn: $limit) and ports here allow $most"
done

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

# run NAME COMMAND...: starts a command with pipes as its input and output,
# which are then open as ${to[NAME]} and ${from[NAME]}.
declare -A to=() from=()
run() {
	local name=$1 fd
	shift
	rm -f "$name.in" "$name.out"
	mkfifo "$name.in" "$name.out"
	"$@" <"$name.in" >"$name.out" 2>&1 &
	pids[$name]=$!
	exec {fd}>"$name.in"
	to[$name]=$fd
	exec {fd}<"$name.out"
	from[$name]=$fd
}

# finish NAME: ends a command that run has started. (With a signal: those that
# were started later have its pipe open too.)
finish() {
	local in=${to[$1]} out=${from[$1]}
	kill "${pids[$1]}"
	wait "${pids[$1]}" || die "$1 ended with status $?: $(timeout 1 cat <&"$out")"
	unset "pids[$1]" "to[$1]" "from[$1]"
	exec {in}>&- {out}<&-
}

# expect NAME REGEXP: reads the output of a command until a line matches, and
# leaves that in BASH_REMATCH. To be told of a loss is the end.
expect() {
	local name=$1 regexp=$2 line
	while IFS= read -r -t "$patience" -u "${from[$name]}" line; do
		case $line in lost:* | missed:* | load:*) die "$name: $line" ;; esac
		if [[ $line =~ $regexp ]]; then return; fi
	done
	die "waited in vain for \"$regexp\" from $name"
}

# The following set REPLY, without starting a process that would take CPU.

# cpu NAME: nanoseconds of CPU that a command has used.
cpu() {
	local file ns _ sum=0
	for file in /proc/"${pids[$1]}"/task/*/schedstat; do
		read -r ns _ <"$file"
		((sum += ns))
	done
	REPLY=$sum
}

# rss NAME: its resident memory in kB.
rss() {
	local key value _
	while read -r key value _; do
		if [[ $key = Rss: ]]; then REPLY=$value; return; fi
	done </proc/"${pids[$1]}"/smaps_rollup
	die "no Rss of $1"
}

# count NAME fd|task: how many descriptors or threads it has.
count() {
	local all=(/proc/"${pids[$1]}/$2"/*)
	REPLY=${#all[@]}
}

# idle_cpu NAME: nanoseconds of CPU per second while nothing happens.
idle_cpu() {
	local before begin end
	cpu "$1"; before=$REPLY; begin=${EPOCHREALTIME/./}
	sleep "$idle"
	cpu "$1"; end=${EPOCHREALTIME/./}
	REPLY=$(((REPLY - before) * 1000000 / (end - begin)))
}

calc() { awk "BEGIN { printf \"$1\", $2 }"; }
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# change: makes an event, and waits until all have it.
change() {
	echo more >>file
	expect subscribers '^event .* in ([0-9.]+) ms'
}

# measure NETWORK N: adds a row to each of the tables.
measure() {
	local network=$1 n=$2 where bare_where listen=127.0.0.1:0 bare_listen=127.0.0.1:0
	if [[ $network = unix ]]; then listen=unix:s bare_listen=unix:b; fi
	rm -f b
	echo "$network, $n..." >&2

	echo one >file
	# Its console is a file, as where it is a service.
	./net-watcher -interval "${interval}s" -listen "$listen" file </dev/null 2>server.log &
	pids[server]=$!
	for _ in $(seq 200); do
		! grep -q '^listening' server.log || break
		sleep 0.02
	done
	where=$(sed -n 's/^listening on \([^ ]*\) .*/\1/p' server.log)
	[[ $where ]] || die "net-watcher does not listen: $(<server.log)"
	[[ $network = tcp ]] || where=unix:s
	sleep 0.3
	local i rss_before fds_before idles=() idle_before idle_after
	for ((i = 0; i < 5; i++)); do
		idle_cpu server; idles+=("$REPLY")
	done
	idle_before=$(median "${idles[@]}")
	rss server; rss_before=$REPLY
	count server fd; fds_before=$REPLY

	# One thread for those who read, so that they do not take both of two
	# processors from those who write.
	run subscribers env GOMAXPROCS=1 ./load subscribe -n "$n" "$where"
	expect subscribers '^greeted .* in ([0-9.]+) ms'
	local greeted=${BASH_REMATCH[1]}
	run bare ./load bare -n "$n" "$bare_listen"
	expect bare '^listening on (.*)'
	bare_where=${BASH_REMATCH[1]}
	[[ $network = tcp ]] || bare_where=unix:b
	run others env GOMAXPROCS=1 ./load subscribe -n "$n" "$bare_where"
	expect others '^connected'
	expect bare '^accepted'
	sleep 0.5
	local rss_idle
	rss server; rss_idle=$REPLY

	local before begin end useds=() times=() cpus=() bare_cpus=() spans=() bare_spans=()
	idles=()
	for ((i = 0; i <= rounds; i++)); do
		idle_cpu server; idles+=("$REPLY")
		cpu server; before=$REPLY; begin=${EPOCHREALTIME/./}
		change
		local span=${BASH_REMATCH[1]}
		sleep "$calm"
		cpu server; end=${EPOCHREALTIME/./}
		local used=$((REPLY - before))
		echo >&"${to[bare]}"
		expect bare 'CPU ([0-9.]+) ms'
		local bare_used=${BASH_REMATCH[1]}
		expect others '^event .* in ([0-9.]+) ms'
		sleep "$calm"
		((i > 0)) || continue # the first is for warming up
		useds+=("$used") times+=("$((end - begin))")
		spans+=("$span")
		bare_cpus+=("$(calc %.3f "$bare_used * 1000 / $n")")
		bare_spans+=("${BASH_REMATCH[1]}")
	done
	idle_after=$(median "${idles[@]}")
	for i in "${!useds[@]}"; do
		cpus+=("$(calc %.3f "(${useds[i]} - $idle_after * ${times[i]} / 1e6) / $n / 1000")")
	done

	for ((i = rounds + 1; i < events; i++)); do change; done
	sleep 0.5
	local rss_events rss_end fds_end threads_end
	rss server; rss_events=$REPLY

	begin=${EPOCHREALTIME/./}
	finish subscribers
	for _ in $(seq $((patience * 100))); do
		count server fd; fds_end=$REPLY
		((fds_end > fds_before)) || break
		sleep 0.01
	done
	((fds_end <= fds_before)) || die "net-watcher holds $fds_end descriptors after all have left, $fds_before before"
	end=${EPOCHREALTIME/./}
	sleep 0.5
	rss server; rss_end=$REPLY
	count server task; threads_end=$REPLY
	finish others
	finish bare
	kill "${pids[server]}"
	wait "${pids[server]}" || die "net-watcher ended with status $?: $(tail -n 5 server.log)"
	unset "pids[server]"

	local c bc s bs
	c=$(median "${cpus[@]}") bc=$(median "${bare_cpus[@]}")
	s=$(median "${spans[@]}") bs=$(median "${bare_spans[@]}")
	costs+=("| $n | $network | $(calc %.2f "$c") | $(calc %.2f "$bc") | $(calc %.2f "$c / $bc") | $(calc %.1f "$s") | $(calc %.1f "$bs") | $(calc %.2f "$s / $bs") |")
	holds+=("| $n | $network | $(calc %.2f "$greeted / 1000") | $(calc %.2f "($rss_idle - $rss_before) / $n") | $(calc %.2f "($rss_events - $rss_before) / $n") | $(calc %.2f "$idle_before / 1e6") | $(calc %.2f "$idle_after / 1e6") | $(calc %.2f "($end - $begin) / 1e6") | $(calc %.1f "$rss_before / 1024") | $(calc %.1f "$rss_end / 1024") | $threads_end |")
}

costs=() holds=()
for n in "${sizes[@]}"; do
	for network in tcp unix; do measure "$network" "$n"; done
done

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo "Linux $(uname -r), $(getconf _NPROCESSORS_ONLN) x ${model:-$(uname -m)}, $(go version | cut -d ' ' -f 3), $(date -u +%F); load $(cut -d ' ' -f 1-3 /proc/loadavg); medians of $rounds"
echo
echo "One event to all: CPU per delivery in µs, and ms from the first arrival to the last."
echo
echo "| subscribers | over | CPU | bare write | ratio | first to last | bare loop | ratio |"
echo "|--:|---|--:|--:|--:|--:|--:|--:|"
printf '%s\n' "${costs[@]}"
echo
echo "Holding them: s until all are greeted (none was lost); kB of memory each, idle and after $events events to all; ms of CPU per second of idling, without subscribers and with them; s until the last has left; MB of memory before they come and after they have left, and threads then."
echo
echo "| subscribers | over | connect | kB each | after events | idle, none | idle, all | leave | MB before | MB after | threads |"
echo "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
printf '%s\n' "${holds[@]}"
