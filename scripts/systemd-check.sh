#!/usr/bin/env bash
# Runs packaging/net-watcher.service under systemd, in a virtual machine without a network:
# the start, a stopped and a killed process, a port that is in use, a stop, a Unix socket in
# a RuntimeDirectory, a client. It takes more than a minute of CPU time, so CI leaves it out.
#
# Debian or a relative of it on amd64, with apt-get and 60 MB of packages to download.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

machine_tools
packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")/../packaging" && pwd)
export CGO_ENABLED=0 # the machine has its own libraries
setup
machine systemd bash coreutils grep mawk mount kmod

units=root/etc/systemd/system
mkdir -p root/{proc,sys,dev,run,tmp,srv/conf,srv/secret} root/usr/local/bin "$units/net-watcher.service.d"
chmod 700 root/srv/secret
cp net-watcher root/usr/local/bin
printf '%s\n' root:x:0:0::/:/bin/bash nobody:x:65534:65534::/:/bin/false >root/etc/passwd
printf '%s\n' root:x:0: nogroup:x:65534: >root/etc/group
echo "127.0.0.1 localhost" >root/etc/hosts
printf %032x 1 >root/etc/machine-id
ln -sf /usr/lib/systemd/systemd root/init
cp "$packaging/net-watcher.service" "$units"
cat >"$units/net-watcher.service.d/try.conf" <<-END
	[Service]
	ExecStart=
	ExecStart=/usr/local/bin/net-watcher -listen localhost -listen /run/net-watcher/socket -socket-mode 0666 /srv/conf /srv/secret
	RuntimeDirectory=net-watcher
	AmbientCapabilities=CAP_DAC_READ_SEARCH
	CapabilityBoundingSet=CAP_DAC_READ_SEARCH
END
cat >"$units/client.service" <<-END
	[Service]
	Type=exec
	DynamicUser=yes
	ExecStart=/usr/local/bin/net-watcher -connect /run/net-watcher/socket
END
cat >"$units/try.service" <<-END
	[Unit]
	Wants=net-watcher.service
	After=net-watcher.service
	SuccessAction=poweroff-immediate
	FailureAction=poweroff-immediate
	[Service]
	Type=oneshot
	ExecStart=/try
	StandardOutput=file:/dev/ttyS0
	StandardError=inherit
END
cat >root/try <<'END'
#!/bin/bash
set -uo pipefail
fail() { echo "failed: $*"; journalctl --no-pager -o cat -n 30; exit 1; }
get() { systemctl show -p "$2" --value "$1"; }
is() { [[ $(get "$1" ActiveState) = "$2" ]]; }
# within SECONDS COMMAND...: waits until the command succeeds, and fails after that time.
within() {
	local t=$((SECONDS + $1))
	until "${@:2}"; do ((SECONDS < t)) || return; sleep 1; done
}
restarted() { is net-watcher active && [[ $(get net-watcher MainPID) != "$pid" ]]; }
printed() { journalctl -u client --no-pager -o cat | grep -q "$1"; }

is net-watcher active || fail "not active after the start"
pid=$(get net-watcher MainPID)
grep -q '^Uid:.[1-9]' "/proc/$pid/status" || fail "it runs as root"
grep -q '^NoNewPrivs:.1' "/proc/$pid/status" || fail "it may get privileges"
[[ $(get net-watcher StatusText) = scanning* ]] || fail "no status"
echo "ok: ready ($(get net-watcher StatusText))"

systemctl start client
within 10 printed "following /run/net-watcher/socket" || fail "the client cannot connect"
echo 1 >/srv/secret/a
within 10 printed "created /srv/secret/a" || fail "a file that only root may read is not seen"
echo "ok: a client of another user at the socket; the capability"

kill -STOP "$pid"
start=$SECONDS
within 120 restarted || fail "the watchdog does nothing"
echo "ok: a stopped process was replaced after $((SECONDS - start)) s"
pid=$(get net-watcher MainPID)
kill -KILL "$pid"
within 60 restarted || fail "not restarted after SIGKILL"
echo "ok: a killed process was replaced"

systemctl stop net-watcher
is net-watcher inactive && [[ $(get net-watcher Result) = success ]] || fail "the stop is not clean"
[[ ! -e /run/net-watcher ]] || fail "the socket is left behind"
echo "ok: stopped"

echo 2 >/srv/secret/a
net-watcher -listen localhost /srv/conf 2>/dev/null &
sleep 2
systemctl start --no-block net-watcher
sleep 60
! is net-watcher active || fail "two servers have one port"
kill %1
within 20 is net-watcher active || fail "systemd has given up on a port that was in use for a minute"
echo "ok: started when the port was free"
within 10 printed "missed /srv/secret" || fail "the client misses a change"
echo "ok: the client has reported it"
echo "systemd-check: 0"
END
chmod +x root/try
boot 1800 1024 systemd.unit=try.service systemd.firstboot=no systemd.show_status=no
grep -q '^systemd-check: 0' machine.log
