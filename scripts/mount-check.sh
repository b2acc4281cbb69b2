#!/usr/bin/env bash
# Watches files on a real mount (bindfs, on FUSE) that are written behind it,
# as another machine writes to a share: inotify sees nothing, net-watcher reports
# it. Then the script stops the mount's server, so that calls for it are hung:
# the files on it become unreadable, all else goes on; and it answers again.
#
# Linux, with /dev/fuse and the right to mount.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ -e /dev/fuse ] || die "/dev/fuse is missing: this kernel has no FUSE"
for program in bindfs fusermount3 inotifywait nc; do
	need "$program" "apt install bindfs fuse3 inotify-tools netcat-openbsd"
done

setup
bindfs=''
# unmount lets a stopped bindfs go on, so that cleanup can end it.
unmount() {
	[ -z "$bindfs" ] || kill -CONT "$bindfs" 2>/dev/null || true
	fusermount3 -q -u -z "$folder/mount" || true
}
trap 'unmount; cleanup' EXIT

# received LINE: whether the subscriber received the line, without its time.
received() { cut -d ' ' -f 2- received.log | grep -q -F -x -- "$1"; }

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
nc -U socket >received.log &
pids+=($!)
await "the greeting" received "watching elsewhere/f"
inotifywait -q -m -r mount >inotify 2>inotify.log &
pids+=($!)
# It is ready when it sees a write through the mount.
sees() { date >mount/tree/through; grep -q through inotify; }
await "inotifywait" sees
await "the file that was written through the mount" received "created mount/tree/through"
: >inotify

echo "two" >>behind/f
echo "two" >>behind/tree/a
await "a write behind the mount" received "modified mount/f"
await "a write below a directory" received "modified mount/tree/a"
sleep 1
# It also sees that others read the mount, which is no change.
if grep -E 'MODIFY|CLOSE_WRITE|ATTRIB|CREATE|MOVE|DELETE' inotify; then
	die "inotify saw it too: this is not the mount that it was meant to be"
fi
echo "written behind the mount: net-watcher reported it, inotify saw nothing"

kill -STOP "$bindfs"
await "unreadable" received "unreadable mount/f: file system not responding for 5s"
await "unreadable" received "unreadable mount/tree: file system not responding for 5s"
echo "three" >>elsewhere/f
await "a write elsewhere" received "modified elsewhere/f"
nc -U socket >greeting &
pids+=($!)
await "a greeting" grep -q 'watching mount/f (unreadable: file system not responding for 5s)' greeting
echo "the mount is hung: it is unreadable, all else goes on"

echo "three" >>behind/f
kill -CONT "$bindfs"
await "a write to the hung mount" received "modified mount/f"
await "readable" received "readable mount/tree"
echo "the mount answers: net-watcher reported what was written meanwhile"

# The mount is hung at the start, and until the end.
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
wait "$other" || die "the server that started on a hung mount ended with status $?"
kill -CONT "$bindfs"
echo "net-watcher started and ended on a hung mount"
