#!/usr/bin/env bash
# Pipes a client's JSON lines into a real MQTT broker, which it starts for
# itself on a loopback port, and checks that each change arrives at each MQTT
# subscriber once; also one that is made while net-watcher is being restarted.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PATH=$PATH:/usr/sbin:/usr/local/sbin
for program in mosquitto mosquitto_pub mosquitto_sub; do
	need "$program" "apt install mosquitto mosquitto-clients"
done

setup

# The broker may find its port taken, so there are some tries.
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
	mosquitto_sub "${mqtt[@]}" >"sub$i.log" 2>"sub$i.err.log" &
	pids+=($!)
done
# Both are connected when both receive a message.
subscribed() { mosquitto_pub "${mqtt[@]}" -m ready && sleep 0.1 && grep -q ready sub1.log && grep -q ready sub2.log; }
await "the MQTT subscribers" subscribed

# change N: makes a change that its time distinguishes from the others.
change() { touch -d "2001-02-03T04:05:$(printf %02d "$1")Z" target.txt; }
serve() {
	./net-watcher -interval 20ms -listen ./socket target.txt >>server.log 2>&1 &
	server=$!
	pids+=("$server")
}
# arrived CHANGE N: whether both received change N as CHANGE.
arrived() {
	local s
	for s in sub1.log sub2.log; do
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

for s in sub1.log sub2.log; do
	diff <(printf '%s\n' "${expected[@]}") \
		<(sed -n 's/.*"change":"\([a-z]*\)".*"mtime":"[^"]*:\([0-9]*\)Z".*/\1 \2/p' "$s") ||
		die "${s%.log} did not receive each change once"
done
echo "two MQTT subscribers received ${#expected[@]} changes each, once, over 3 restarts"
