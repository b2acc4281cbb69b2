#!/usr/bin/env bash
# Tries the bridges of docs/brokers.md, as they are written there, with real brokers,
# which it starts on loopback ports. It numbers changes by the size of a file, restarts the
# server, the broker and the bridge, and counts how often the broker's subscriber gets each
# change. It prints the table of docs/brokers.md, and fails where a broker does otherwise.
#
#   scripts/broker-check.sh         mosquitto, Redis, and the Kafka of librdkafka's tests
#   scripts/broker-check.sh -all    NATS, too; if it is not installed, Go builds it in minutes
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case $* in
	'' | -all) ;;
	*) echo "usage: scripts/broker-check.sh [-all]" >&2; exit 2 ;;
esac
PATH=$PATH:/usr/sbin:/usr/local/sbin
for program in mosquitto mosquitto_pub mosquitto_sub redis-server redis-cli kcat setsid; do
	need "$program" "apt install mosquitto mosquitto-clients redis-server kcat"
done
page=$(cd "$(dirname "${BASH_SOURCE[0]}")/../docs" && pwd)/brokers.md
setup
main=$folder PATH=$folder:$PATH
if [[ $* = -all ]] && ! { command -v nats-server && command -v nats; } >/dev/null; then
	GOBIN=$folder go install github.com/nats-io/nats-server/v2@v2.15.3
	GOBIN=$folder go install github.com/nats-io/natscli/nats@v0.5.1
fi
sed -n '/^#!\/bin\/sh$/,/^```$/p' "$page" | sed '/^```$/d' >publish.sh
chmod +x publish.sh

# up starts the broker, again at the same address and with all that it had taken.
up() {
	case $broker in
		MQTT)
			{
				printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port"
				printf 'persistence_location %s/\nuser %s\n' "$folder" "$(id -un)"
				sed -n '/^persistence true$/,/^```$/p' "$page" | sed '/^```$/d'
			} >mosquitto.conf
			start mosquitto -c mosquitto.conf
			;;
		Redis) start redis-server --bind 127.0.0.1 --port "$port" --dir "$folder" --appendonly yes ;;
		NATS) start nats-server -js -sd "$folder" -a 127.0.0.1 -p "$port" ;;
		Kafka)
			# This Kafka is for tests, and lives in a kcat. What it has taken is gone when
			# that ends: it is stopped, and goes on where it was.
			if [[ $process ]]; then
				kill -CONT "$process"
				return
			fi
			kcat -C -t none -b none -X test.mock.num.brokers=1 -d mock >>broker.log 2>&1 &
			process=$!
			pids+=("$process")
			await "the broker" grep -q 'bootstrap.servers=' broker.log
			port=$(sed -n 's/.*bootstrap.servers=127.0.0.1:\([0-9]*\).*/\1/p' broker.log | head -n 1)
			;;
	esac
}
start() {
	"$@" >>broker.log 2>&1 &
	process=$!
	pids+=("$process")
	await "the broker" listens "$port"
}
listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# down ends the broker, as its service manager does. Each of them acknowledges before it has
# saved, so that killed ones may lose the last change.
down() {
	if [[ $broker = Kafka ]]; then
		kill -STOP "$process"
		return
	fi
	kill "$process"
	{ wait "$process" || true; } 2>/dev/null
}

# create makes what bridge and subscriber need before the first change.
create() {
	case $broker in
		MQTT) received ;;
		NATS) bash -c "$(command_of '^nats .* stream add')" ;;
	esac >create.log
}

# received prints all that the subscriber has got so far. That of MQTT comes for a second
# at a time, the others read all from the beginning.
received() {
	case $broker in
		MQTT)
			bash -c "$(command_of '^mosquitto_sub') -W 1" >>received 2>received.log || (($? == 27)) # its time is over
			cat received
			;;
		Redis) bash -c "$(command_of '^redis-cli')" ;;
		Kafka) bash -c "$(command_of '^kcat -C')" 2>received.log ;;
		NATS) bash -c "$(command_of '^nats .* sub')" 2>received.log ;;
	esac
}

# command_of PATTERN: prints the one command of the page that matches, for this broker.
command_of() {
	local found
	found=$(grep -E "$1" "$page" | sed -e 's|HOST|./socket|' -e "s|BROKER|127.0.0.1:$port|" -e 's|NAME|check|')
	[[ $found && $found != *$'\n'* ]] || die "the page does not have one command \"$1\": $found"
	echo "$found"
}

serve() {
	net-watcher -interval 20ms -listen ./socket target.txt >>server.log 2>&1 &
	server=$!
	pids+=("$server")
}
# The processes of a bridge are one session, and end together, as under systemd.
bridge_up() {
	local was
	was=$(follows)
	setsid bash -c "$bridge" >>bridge.log 2>&1 &
	session=$!
	await "the bridge" follows_after "$was"
}
follows() { grep -c ' following ' bridge.log || true; }
follows_after() { (($(follows) > $1)); }
bridge_down() {
	kill -- "-$session" 2>/dev/null || true # a pipe may have ended
	wait "$session" || true
	session=''
}
leave() {
	[[ ! $session ]] || bridge_down
	[[ ! $process ]] || kill -CONT "$process" 2>/dev/null || true
	cleanup
}

# resize N is change N. change N also waits until the server has seen it, as a client shows
# that needs no broker.
resize() { printf "%$1s" '' >new && mv new target.txt; }
change() {
	resize "$1"
	await "the server's change $1" grep -q "\"size\":$1," witness.log
}
# arrives N: waits until the subscriber has change N. To ask may take a second.
arrives() {
	local end=$((SECONDS + 60))
	until has "$1"; do
		((SECONDS < end)) || die "$broker, $way: change $1 does not arrive: $(tail -n 20 ./*.log)"
		sleep 0.1
	done
}
has() { received | grep -q "^{.*\"size\":$1,"; }
missed() { received | grep -c '^{"type":"changed","change":"missed"}' || true; }

# counts CLAIM FROM TO: dies unless the subscriber has got the changes FROM to TO as CLAIM
# says: "once", or "at least once". "May be lost" claims nothing, and "`missed`" that a line
# of publish.sh stands for them, which the caller looks for.
counts() {
	local n all times lost=0 again=0
	all=$(received)
	for n in $(seq "$2" "$3"); do
		times=$(grep -c "^{.*\"size\":$n," <<<"$all" || true)
		((times > 0)) || lost=$((lost + 1))
		((times < 2)) || again=$((again + 1))
	done
	row+=" $1 |"
	found+=" $(($3 - $2 + 1 - lost))/$(($3 - $2 + 1))"
	twice=$((twice + again))
	case $1 in
		once) ((lost == 0 && again == 0)) ;;
		'at least once') ((lost == 0)) ;;
		*) true ;;
	esac || die "$broker, $way: not \"$1\": arrived$found, $again of the last more than once"
}

# try BROKER WAY PATTERN CLAIM...: tries the bridge whose command matches, and prints the
# row of the page. The claims are for nothing that restarts, the server, the broker (away
# for 6 s), the bridge, and bridge and broker.
try() {
	local n greeted=0 row="| $1 | $2 |" found='' twice=0
	local claims=("${@:4}")
	broker=$1 way=$2 session='' process='' pids=() folder=$main/$1-${2//[^a-z]/}
	trap leave EXIT
	mkdir "$folder"
	cd "$folder"
	cp ../publish.sh .
	touch target.txt bridge.log
	serve
	net-watcher -connect ./socket -format json >witness.log 2>witness.err.log &
	pids+=($!)
	await "the witness" grep -q following witness.err.log
	up
	bridge=$(command_of "$3")
	create
	bridge_up

	for n in $(seq 101 120); do change "$n"; done
	arrives 120
	counts "${claims[0]}" 101 120

	kill "$server"
	wait "$server"
	resize 200
	serve
	arrives 200
	counts "${claims[1]}" 200 200

	for n in $(seq 301 340); do
		((n != 311)) || down
		((n != 331)) || { sleep 6; up; }
		change "$n"
	done
	[[ ${claims[2]} != *once ]] || arrives 340
	counts "${claims[2]}" 301 340

	bridge_down
	change 400
	bridge_up
	change 401
	arrives 401
	counts "${claims[3]}" 400 400

	down
	change 500
	sleep 1 # so that it is with the bridge, most likely
	bridge_down
	if [[ $way = publish.sh ]]; then
		bridge_up
		sleep 1 # so that it tries
		up
	else
		up
		bridge_up
	fi
	change 501
	arrives 501
	counts "${claims[4]}" 500 500

	[[ $way != publish.sh ]] || greeted=3
	n=$(missed)
	((n == greeted)) || die "$broker, $way: $n times \"missed\" of publish.sh, not $greeted"
	echo "$row"
	echo "changes that arrived:$found, more than once: $twice"
}

# begin BROKER WAY PATTERN CLAIM...: begins a try, beside those that have begun.
begin() {
	while port=$((port + 1)); listens "$port"; do :; done
	try "$@" >"try${#tries[@]}.out" 2>&1 &
	tries+=($!)
}
port=$((20000 + RANDOM % 10000)) tries=()
covered=(once once 'at least once' "\`missed\`" "\`missed\`")
begin MQTT publish.sh '^net-watcher .* -- .* mosquitto_pub ' "${covered[@]}"
begin Redis publish.sh '^net-watcher .* -- .* redis-cli ' "${covered[@]}"
begin Kafka publish.sh '^net-watcher .* -- .* kcat ' "${covered[@]}"
[[ $* != -all ]] || begin NATS publish.sh '^net-watcher .* -- .* nats ' "${covered[@]}"
begin MQTT pipe '^net-watcher .* \| mosquitto_pub ' once once 'at least once' 'may be lost' 'may be lost'
begin Redis pipe '^net-watcher .* redis-cli .*done$' once once 'may be lost' 'may be lost' 'may be lost'
[[ $* != -all ]] || begin NATS pipe '^net-watcher .* \| nats ' once once 'may be lost' 'may be lost' 'may be lost'

failed=0
for i in "${!tries[@]}"; do
	wait "${tries[i]}" || failed=1
	cat "try$i.out"
	if row=$(grep '^|' "try$i.out") && ! grep -qxF "$row" "$page"; then
		echo "the page does not have this row"
		failed=1
	fi
done
((failed == 0))
