#!/usr/bin/env bash
# Measures net-watcher beside others that poll, and beside a bare loop of stat:
# the same tree, looked at once a second, in the same run, by turns. Prints
# Markdown. Linux only. It takes eight minutes, and whatever else runs meanwhile
# is in the figures.
#
#   scripts/bench.sh [-installed] [FOLDERS FILES [SECONDS [ROUNDS]]]
#
# The tree is FOLDERS with FILES in each (1000 100). In each of the ROUNDS (5)
# each program is measured for SECONDS (10). With -installed, what is not
# installed is left out. chokidar is fetched with npm, once, into
# ${XDG_CACHE_HOME:-~/.cache}/net-watcher-bench. GOGC=50 or the like in the
# environment holds for net-watcher.
set -euo pipefail
export LC_ALL=C # for the point in EPOCHREALTIME and in awk

# The last one for Node 18. It polls by the same code as the next one, 5.0.0.
chokidar=4.0.3

die() { echo "bench.sh: $*" >&2; exit 1; }
usage() { echo "usage: scripts/bench.sh [-installed] [FOLDERS FILES [SECONDS [ROUNDS]]]" >&2; exit 2; }

installed=''
if [[ ${1-} = -installed ]]; then
	installed=yes
	shift
fi
case $# in 0 | 2 | 3 | 4) ;; *) usage ;; esac
folders=${1-1000} files=${2-100} seconds=${3-10} rounds=${4-5} appends=20
for number in "$folders" "$files" "$seconds" "$rounds"; do
	[[ $number =~ ^[1-9][0-9]{0,6}$ ]] || usage
done
((folders * files > appends && seconds > 2)) || die "it takes more than $appends files and 2 seconds"

[[ $(uname -s) = Linux ]] || die "this is for Linux: it reads /proc"
command -v go >/dev/null || die "go is missing: see https://go.dev/dl"

# lacking WHAT HOW: fails, or says that it is left out.
lacking() {
	[[ $installed ]] || die "$1 is missing: $2 (or leave it out with -installed)"
	echo "bench.sh: without $1" >&2
}
has() { command -v "$1" >/dev/null; }
has fswatch || lacking fswatch "apt install fswatch"
has strace || lacking strace "apt install strace"
# Debian's package is for Debian's Python, which may not be the first one.
for python in python3 /usr/bin/python3 ''; do
	[[ -z $python ]] || ! "$python" -c 'import watchdog' 2>/dev/null || break
done
[[ $python ]] || lacking watchdog "apt install python3-watchdog"
modules=${XDG_CACHE_HOME:-~/.cache}/net-watcher-bench/chokidar-$chokidar
if has node && has npm; then
	[[ -d $modules/node_modules/chokidar ]] ||
		npm install --silent --no-audit --no-fund --prefix "$modules" "chokidar@$chokidar" >&2 ||
		{ chokidar='' && lacking chokidar "npm cannot fetch it"; }
else
	chokidar='' && lacking node "apt install nodejs npm"
fi

folder=$(mktemp -d)
pids=()
# stop PID...: ends what this script started; some that poll sleep on SIGTERM.
stop() {
	local pid _
	kill "$@" 2>/dev/null || true
	for pid; do
		for _ in $(seq 50); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	# A read that a signal broke off leaves its timer to bash, which may die of it.
	[[ -z ${never-} ]] || nap 0.01
	stop "${pids[@]}"
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export GOTMPDIR=$folder # or else an interrupted build would leave something
go build -C "$repo" -o "$folder/net-watcher" .
cd "$folder"
cat >bare.go <<'END'
// Command bare calls stat for each file below a folder once a second, and then
// prints the first of them.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	var names []string
	filepath.WalkDir(os.Args[1], func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	var st syscall.Stat_t
	for range time.Tick(time.Second) {
		for _, name := range names {
			if err := syscall.Stat(name, &st); err != nil {
				panic(err)
			}
		}
		fmt.Println(names[0])
	}
}
END
go build -o bare bare.go
cat >watch.py <<'END'
import sys
from watchdog.events import FileSystemEventHandler
from watchdog.observers.polling import PollingObserver

class Printer(FileSystemEventHandler):
    def on_any_event(self, event):
        print(event.src_path, flush=True)

observer = PollingObserver(timeout=1)
observer.schedule(Printer(), sys.argv[1], recursive=True)
observer.start()
observer.join()
END
cat >watch.js <<'END'
// Two variables that would win over the options.
delete process.env.CHOKIDAR_INTERVAL
delete process.env.CHOKIDAR_USEPOLLING
const options = { usePolling: true, interval: 1000, binaryInterval: 1000, ignoreInitial: true }
const watcher = require('chokidar').watch(process.argv[2], options)
watcher.on('ready', () => watcher.on('all', (event, path) => console.log(path)))
END

# Each base name is there once, so that it is enough to tell a file by.
tree=$folder/tree
mkdir "$tree"
for i in $(seq -w "$folders"); do
	mkdir "$tree/folder$i"
	seq -f "$tree/folder$i/file$i-%0${#files}.0f" "$files"
done >names
xargs -d '\n' touch <names
# One file is appended to all the time, so each look has it to report. That
# tells how often a program does look, and where its looks end.
read -r heart <names

mkfifo never
exec {never}<>never
# nap SECONDS: a sleep that starts no process.
nap() { read -rt "$1" -u "$never" || true; }

# stamp PID: puts before each line the time, and the CPU time in clock ticks
# that the process has used by then.
stamp() {
	local line stat
	while IFS= read -r line; do
		read -r stat <"/proc/$1/stat" || break
		read -ra stat <<<"${stat##*) }"
		echo "$EPOCHREALTIME $((stat[11] + stat[12])) $line"
	done
}

# The median of a[1] to a[n], in awk. It sorts them.
median='
	function sort(a, n,   i, j, x) {
		for (i = 2; i <= n; i++) {
			x = a[i]
			for (j = i - 1; j > 0 && a[j] > x; j--) a[j + 1] = a[j]
			a[j + 1] = x
		}
	}
	function median(a, n) { sort(a, n); return (a[int((n + 1) / 2)] + a[int(n / 2) + 1]) / 2 }
'

# figures BEGIN END: what the appends and the stamped lines between these times
# say: CPU in ms per second, seconds from look to look, CPU in ms per look, the
# median and the maximum of the seconds from an append to its report, and how
# many of how many appends were not reported. From one report to another there
# are whole looks, so no part of one is in the figures.
figures() {
	awk -v begin="$1" -v end="$2" -v heart="${heart##*/}" -v hertz="$(getconf CLK_TCK)" "$median"'
		{ name = $NF; sub(/.*\//, "", name) }
		FNR == NR { appended[name] = $1; unreported++; appends++; next }
		name == heart && $1 >= begin && $1 <= end { time[++n] = $1; cpu[n] = $2 }
		name in appended && $1 > appended[name] {
			delay[++reported] = $1 - appended[name]
			delete appended[name]
			unreported--
		}
		END {
			if (n < 2) exit 1
			took = time[n] - time[1]
			used = (cpu[n] - cpu[1]) * 1000 / hertz
			for (i = 1; i < n; i++) gap[i] = time[i + 1] - time[i]
			looks = int(took / median(gap, n - 1) + 0.5)
			printf "%.1f %.2f %.1f %.2f ", used / took, took / looks, used / looks, median(delay, reported)
			printf "%.2f %d %d\n", delay[reported], unreported, appends
		}' appended lines
}

# status PID FIELD: a field of /proc/PID/status in kB, in MB.
status() { awk -v field="$2:" '$1 == field { printf "%.1f", $2 * 1024 / 1e6 }' "/proc/$1/status"; }

# measure NAME PID: adds the figures of the program with that process, whose
# reports come by the pipe, to the results, and ends it.
measure() {
	local name=$1 pid=$2 i due begin end file chosen memory peak row
	: >lines
	stamp "$pid" <pipe >>lines &
	pids+=($!)
	# It has settled when it has reported something three times.
	for ((i = 0; ; i++)); do
		(($(grep -cF "${heart##*/}" lines || true) < 3)) || break
		if ((i > 1200)) || ! kill -0 "$pid" 2>/dev/null; then
			cat ./*.log >&2
			die "$name does not report anything"
		fi
		echo >>"$heart"
		nap 0.1
	done

	mapfile -t chosen < <(tail -n +2 names | shuf -n "$appends")
	begin=$EPOCHREALTIME i=0 due=${begin/./}
	: >appended
	while end=$EPOCHREALTIME && ((${end/./} < ${begin/./} + seconds * 1000000)); do
		if ((i < appends && ${end/./} >= due)); then
			file=${chosen[i++]}
			echo "$EPOCHREALTIME $file" >>appended
			echo more >>"$file"
			((due += 2 * seconds * RANDOM * 1000000 / 32768 / appends)) # on average
		fi
		echo >>"$heart"
		nap "0.0$((RANDOM % 9 + 1))"
	done
	memory=$(status "$pid" VmRSS) peak=$(status "$pid" VmHWM)
	[[ -z $(pgrep -P "$pid") ]] || die "$name has several processes: what is measured here is one"
	for ((i = 0; ; i++)); do
		row=$(figures "$begin" "$end") || die "$name looks too seldom for $seconds s to tell"
		read -ra row <<<"$row"
		((row[5] == 0 || i == 30)) || [[ $name = bare* ]] && break
		nap 0.5
	done
	printf '%s\t' "$name" "$memory" "$peak" "${row[@]}" | sed 's/\t$/\n/' >>results
	stop "${pids[@]}"
	pids=()
}

# table: prints what the results say, round by round: the median, and of memory
# and of the worst the most.
table() {
	awk -F '\t' "$median"'
		# of returns the median of what was measured of name, or of what it is to
		# that of another in each round; sorted has all of them.
		function of(field, other,   k, it) {
			for (k = 1; k <= rounds[name]; k++) {
				it = other == "" ? 1 : v[other, field, k]
				sorted[k] = it > 0 ? v[name, field, k] / it : 0
			}
			return median(sorted, rounds[name])
		}
		function times(other,   it) {
			it = of(look, other)
			return it > 0 ? sprintf("%.2f", it) : "-" # too little to tell
		}
		function spread() { return sprintf("(%.2f to %.2f)", sorted[1], sorted[rounds[name]]) }
		BEGIN { memory = 2; peak = 3; second = 4; period = 5; look = 6; delay = 7; worst = 8; unreported = 9; appends = 10 }
		{
			if (!rounds[$1]) names[++n] = $1
			k = ++rounds[$1]
			for (i = 2; i <= NF; i++) {
				v[$1, i, k] = $i
				if ($i > most[$1, i]) most[$1, i] = $i
				sum[$1, i] += $i
			}
		}
		END {
			for (i = 1; i <= n; i++) {
				name = names[i]
				printf "| %s | %.1f | %.2f s | %.1f ", name, of(second), of(period), of(look)
				printf "| %s | %.1f (%.1f) |", times(names[1]), most[name, memory], most[name, peak]
				if (i > 1) printf " %.2f s, %.2f s", of(delay), most[name, worst]
				if (i > 1 && sum[name, unreported]) printf " (%d of %d never)", sum[name, unreported], sum[name, appends]
				print " |"
			}
			name = "net-watcher"
			print "\nA look of net-watcher takes " times(names[1]) " " spread() " times the CPU time of the bare loop."
			if (rounds["fswatch"]) print "It takes " times("fswatch") " " spread() " times that of a look of fswatch."
		}' results
}

# begin COMMAND...: starts a program whose reports come by the pipe.
begin() {
	"$@" >pipe 2>program.log &
	pids+=($!)
	program=$!
}

mkfifo pipe
echo "$folders folders with $files files in each, in $(stat -f -c %T .), looked at once a second."
echo "$(sed -n 's/^model name.*: //p;T;q' /proc/cpuinfo), $(nproc) cores, Linux $(uname -r), load $(cut -d ' ' -f 1 /proc/loadavg)."
echo "$(date +%F), net-watcher $(git -C "$repo" describe --always --dirty 2>/dev/null || echo unknown), $(go env GOVERSION)\
${GOGC:+ with GOGC=$GOGC}\
$(! has fswatch || fswatch --version | sed -n '1s/^/, /p')\
${python:+, watchdog $("$python" -c 'from watchdog.version import *; print(VERSION_STRING)') with $("$python" --version)}\
${chokidar:+, chokidar $chokidar with Node $(node --version)}."

for _ in $(seq "$rounds"); do
	begin env -u GOGC ./bare "$tree"
	measure "bare loop of stat" "$program"
	# The client stands for any program that is told, so it is not counted.
	./net-watcher -listen ./socket "$tree" 2>server.log &
	server=$!
	pids+=("$server")
	begin ./net-watcher -connect ./socket
	measure net-watcher "$server"
	if has fswatch; then
		begin fswatch -m poll_monitor -l 1 -r "$tree"
		measure fswatch "$program"
	fi
	if [[ $python ]]; then
		begin "$python" watch.py "$tree"
		measure "watchdog, PollingObserver" "$program"
	fi
	if [[ $chokidar ]]; then
		NODE_PATH=$modules/node_modules begin node watch.js "$tree"
		measure "chokidar, usePolling" "$program"
	fi
done
echo
echo "| | CPU, ms per second | a look each | CPU, ms per look | times the bare loop | memory, MB (peak) | from append to report: median, worst |"
echo "|---|--:|--:|--:|--:|--:|--:|"
table

echo
echo "Load in the end: $(cut -d ' ' -f 1 /proc/loadavg)."

# One file that does not change. A clock tick is too much to tell what that
# costs, so the threads are asked, which know it in ns.
touch target.txt
./net-watcher -listen ./socket target.txt 2>server.log &
server=$!
pids+=("$server")
begin ./net-watcher -connect ./socket
spent() { awk '{ ns += $1 } END { printf "%.0f", ns }' "/proc/$server/task"/*/schedstat; }
nap 2
begin=$EPOCHREALTIME before=$(spent)
nap "$seconds"
end=$EPOCHREALTIME after=$(spent)
echo
echo "One file: net-watcher uses $(awk "BEGIN { printf \"%.2f\", ($after - $before) / 1e6 / ($end - $begin) }") ms of CPU time per second\
 and $(status "$server" VmRSS) MB (peak $(status "$server" VmHWM))."
stop "${pids[@]}"
pids=()

# What it asks of the file system for that. What it says to the kernel of its
# sockets, its event loop and its memory is left out.
has strace || exit 0
# shellcheck disable=SC2016 # for the other shell
strace -f -ttt -y -e trace=%file,%desc -o trace \
	bash -c 'echo $$ >server.pid && exec ./net-watcher -listen ./socket target.txt' 2>server.log &
pids+=($!)
until [[ -s server.pid ]]; do nap 0.01; done
pids=("$(<server.pid)" "${pids[@]}") # strace ends with it, but not it with strace
begin ./net-watcher -connect ./socket
nap 2
begin=$EPOCHREALTIME
nap "$seconds"
end=$EPOCHREALTIME
stop "${pids[@]}"
pids=()
awk -v begin="$begin" -v end="$end" '
	$2 >= begin && $2 < end && !/<(anon_inode|socket|UNIX)[^>]*>|MAP_ANONYMOUS/ && $3 !~ /^(<|epoll_)/ {
		sub(/^[0-9]+ +[0-9.]+ /, "")
		if (match($0, /^[a-z0-9_]+\((AT_FDCWD<?[^,]*, )?[^,)]*/)) print substr($0, 1, RLENGTH) ")"
	}' trace | sort | uniq -c | sort -rn >calls
echo "Its system calls that are about files, in $seconds s:"
echo
sed 's/^/    /' calls
! grep -vE 'newfstatat\(.*"target.txt"\)$' calls >&2 || die "these are calls too many"
looks=$(awk '/newfstatat/ { n += $1 } END { print n + 0 }' calls)
((looks > 0 && looks <= seconds + 1)) || die "it looked $looks times in $seconds s"
