#!/usr/bin/env bash
# Pipes a client's JSON lines into a real MQTT broker, which it starts for
# itself on a loopback port, and checks that each change arrives at each MQTT
# subscriber once; also one that is made while net-watcher is being restarted.
set -euo pipefail

die() { echo "broker-check.sh: $*" >&2; exit 1; }

PATH=$PATH:/usr/sbin:/usr/local/sbin
for program in mosquitto mosquitto_pub mosquitto_sub; do
	command -v "$program" >/dev/null || die "$program is missing: apt install mosquitto mosquitto-clients"
done

folder=$(mktemp -d)
pids=()
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	kill "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# await WHAT COMMAND...: waits until the command succeeds, 20 s at most.
await() {
	local what=$1 _
	shift
	for _ in $(seq 200); do
		"$@" 2>/dev/null && return
		sleep 0.1
	done
	tail -n 50 ./*.log ./sub? >&2
	die "waited in vain: $what"
}

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
go build -C "$repo" -o "$folder/net-watcher" .
cd "$folder"

# The broker. A port may be taken, so there are some tries.
for _ in $(seq 10); do
	port=$((20000 + RANDOM % 10000))
	printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >broker.conf
	mosquitto -c broker.conf >broker.log 2>&1 &
	broker=$!
	sleep 0.5
	kill -0 "$broker" 2>/dev/null && break
done
pids+=("$broker")
mqtt=(-h 127.0.0.1 -p "$port" -t files -q 1)
for i in 1 2; do
	mosquitto_sub "${mqtt[@]}" >"sub$i" 2>"sub$i.log" &
	pids+=($!)
done
# Both are there when both get what is published.
subscribed() { mosquitto_pub "${mqtt[@]}" -m ready && sleep 0.1 && grep -q ready sub1 && grep -q ready sub2; }
await "the MQTT subscribers" subscribed

# change N: a change that can be told from the others by its time.
change() { touch -d "2001-02-03T04:05:$(printf %02d "$1")Z" target.txt; }
serve() {
	./net-watcher -interval 20ms -listen ./socket target.txt >>server.log 2>&1 &
	server=$!
	pids+=("$server")
}
# arrived CHANGE N: whether change N has come to both, as that.
arrived() {
	local s
	for s in sub1 sub2; do
		grep -q "\"change\":\"$1\".*\"mtime\":\"2001-02-03T04:05:$(printf %02d "$2")Z\"" "$s" || return
	done
}
expected=()
expect() {
	await "change $2 as $1" arrived "$1" "$2"
	expected+=("$1 $(printf %02d "$2")")
}

change 0
serve
(
	echo "$BASHPID" >client.pid
	exec ./net-watcher -connect ./socket -format json 2>client.log
) | mosquitto_pub "${mqtt[@]}" -l &
pids+=($!)
await "the client" grep -q following client.log
pids+=("$(<client.pid)")
for n in $(seq 1 9); do
	change "$n"
	expect modified "$n"
done
for n in 10 20 30; do
	kill "$server"
	wait "$server"
	change "$n"
	serve
	expect missed "$n"
	change $((n + 1))
	expect modified $((n + 1))
done

for s in sub1 sub2; do
	diff <(printf '%s\n' "${expected[@]}") \
		<(sed -n 's/.*"change":"\([a-z]*\)".*"mtime":"[^"]*:\([0-9]*\)Z".*/\1 \2/p' "$s") ||
		die "$s did not get each change once"
done
echo "two MQTT subscribers got ${#expected[@]} changes each, once, over 3 restarts"
