#!/usr/bin/env bash
# Watches files on a real mount (bindfs, on FUSE) that are written behind it,
# as another machine writes to a share: inotify sees nothing, net-watcher tells.
# Then the mount's server is stopped, so that calls for it hang: what is on it
# becomes unreadable, all else goes on; and it answers again.
#
# Linux, with /dev/fuse and the right to mount.
set -euo pipefail

die() { echo "mount-check.sh: $*" >&2; exit 1; }

[ -e /dev/fuse ] || die "/dev/fuse is missing: this kernel has no FUSE"
for program in bindfs fusermount3 inotifywait nc; do
	command -v "$program" >/dev/null || die "$program is missing: apt install bindfs fuse3 inotify-tools netcat-openbsd"
done

folder=$(mktemp -d)
pids=()
bindfs=''
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	[ -z "$bindfs" ] || kill -CONT "$bindfs" 2>/dev/null || true
	kill "${pids[@]}" 2>/dev/null || true
	fusermount3 -q -u -z "$folder/mount" || true
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
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	tail -n 50 ./*.log told >&2
	die "waited in vain: $what"
}

# told LINE: whether the subscriber has been told that, the time apart.
told() { cut -d ' ' -f 2- told | grep -q -F -x -- "$1"; }

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
go build -C "$repo" -o "$folder/net-watcher" .
cd "$folder"

mkdir behind behind/tree mount elsewhere
echo 1 >behind/f
echo 1 >behind/tree/a
echo 1 >elsewhere/f
bindfs -f -o attr_timeout=0,entry_timeout=0 behind mount 2>bindfs.log &
bindfs=$!
pids+=("$bindfs")
await "the mount" mountpoint -q mount

./net-watcher -listen unix:socket mount/f mount/tree elsewhere/f 2>server.log &
server=$!
pids+=("$server")
await "the server" grep -q listening server.log
nc -U socket >told &
pids+=($!)
await "the greeting" told "watching elsewhere/f"
inotifywait -q -m -r mount >inotify 2>inotify.log &
pids+=($!)
# It is ready when it sees what is written through the mount.
sees() { date >mount/tree/through; grep -q through inotify; }
await "inotifywait" sees
await "the file that was written through the mount" told "created mount/tree/through"
: >inotify

echo "two" >>behind/f
echo "two" >>behind/tree/a
await "a write behind the mount" told "modified mount/f"
await "a write below a directory" told "modified mount/tree/a"
sleep 1
# What it sees of others' reading is no news.
if grep -E 'MODIFY|CLOSE_WRITE|ATTRIB|CREATE|MOVE|DELETE' inotify; then
	die "inotify saw it too: this is not the mount that it was meant to be"
fi
echo "written behind the mount: net-watcher told it, inotify saw nothing"

kill -STOP "$bindfs"
await "unreadable" told "unreadable mount/f: file system not responding for 5s"
await "unreadable" told "unreadable mount/tree: file system not responding for 5s"
echo "three" >>elsewhere/f
await "what is elsewhere" told "modified elsewhere/f"
nc -U socket >greeting &
pids+=($!)
await "a greeting" grep -q 'watching mount/f (unreadable: file system not responding for 5s)' greeting
echo "the mount hangs: it is unreadable, all else goes on"

echo "three" >>behind/f
kill -CONT "$bindfs"
await "what was written meanwhile" told "modified mount/f"
await "readable" told "readable mount/tree"
echo "the mount answers: what was written meanwhile is told"

# With a mount that hangs at the start, and until the end.
kill -STOP "$bindfs"
./net-watcher -listen unix:other mount/f elsewhere/f 2>other.log &
other=$!
pids+=("$other")
await "the start" grep -q listening other.log
grep -q 'watching mount/f (unreadable: file system not responding for 5s)' other.log || die "$(cat other.log)"
grep -q 'watching elsewhere/f every' other.log || die "$(cat other.log)"
kill "$server" "$other"
gone() { ! kill -0 "$server" && ! kill -0 "$other"; }
await "the end" gone
wait "$server" || die "the server ended with status $?"
wait "$other" || die "the server that began on a dead mount ended with status $?"
kill -CONT "$bindfs"
echo "started and ended on a mount that hangs"
