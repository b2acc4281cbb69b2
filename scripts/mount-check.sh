#!/usr/bin/env bash
# Tries on real file systems what tests can only imitate: mounts that are written
# behind them, that hang, that ignore case, whose times are coarse; files and folders
# that lose their names; leases; too few descriptors; permissions.
#
# Linux, with /dev/fuse and the right to mount (as root, or with sudo).
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PATH=$PATH:/usr/sbin # where users may lack it
[ -e /dev/fuse ] || die "/dev/fuse is missing: this kernel has no FUSE"
for program in bindfs fusermount3 inotifywait nc python3 prlimit ps; do
	need "$program" "apt install bindfs fuse3 inotify-tools netcat-openbsd python3 util-linux procps"
done

setup
chmod 711 . # one of the servers runs as another user
bindfs='' mounts=()
# unmount lets a stopped bindfs go on, so that cleanup can end it.
unmount() {
	[ -z "$bindfs" ] || kill -CONT "$bindfs" 2>/dev/null || true
	fusermount3 -q -u -z "$folder/mount" || true
	((${#mounts[@]} == 0)) || as_root umount -l "${mounts[@]}" || true
}
trap 'unmount; cleanup' EXIT

# mounted DIR ARG...: mounts at DIR, until the end.
mounted() {
	as_root mount "${@:2}" "$1" || die "cannot mount $1"
	mounts+=("$folder/$1")
}

# watch NAME ARG...: starts a server of the Unix socket NAME, whose console is
# NAME.log, and a subscriber, which writes to NAME.received.log.
watch() {
	local name=$folder/$1
	"${as[@]}" "$folder/net-watcher" -interval 200ms -listen "unix:$name" "${@:2}" 2>"$name.log" &
	server=$!
	pids+=("$server")
	await "the server" grep -q listening "$name.log"
	nc -U "$name" >"$name.received.log" &
	pids+=($!)
	await "the greeting" grep -q watching "$name.received.log"
}
as=()

# received NAME LINE: whether the subscriber received the line, without its time.
received() { lines "$1" | grep -q -F -x -- "$2"; }
lines() { cut -d ' ' -f 2- "$1.received.log"; }

# changes NAME LINE...: dies unless the subscriber received these changes and no other.
changes() {
	diff <(printf '%s\n' "${@:2}") <(lines "$1" | grep -v '^watching ') >&2 || die "$1: these (>) are not the changes (<)"
}

# says NAME TEXT: waits until exactly one line of the console has the text.
says() { await "the console: $2" once "$1" "$2"; }
once() { [ "$(grep -c -F -- "$2" "$1.log")" = 1 ]; }

# greeting NAME: prints a greeting in JSON.
greeting() {
	echo json | nc -U "$1" >"$1.greeting.log" & # until the server ends
	await "a greeting" grep -q '^{' "$1.greeting.log"
	grep -m1 '^{' "$1.greeting.log"
}

mkdir behind behind/tree mount elsewhere
echo 1 >behind/f
echo 1 >behind/tree/a
echo 1 >elsewhere/f
bindfs --no-allow-other -f -o attr_timeout=0,entry_timeout=0 behind mount 2>bindfs.log &
bindfs=$!
pids+=("$bindfs")
await "the mount" mountpoint -q mount

watch seen mount/f mount/tree elsewhere/f
inotifywait -q -m -r mount >inotify 2>inotify.log &
pids+=($!)
# It is ready when it sees a write through the mount.
sees() { date >mount/tree/through; grep -q through inotify; }
await "inotifywait" sees
await "the file that was written through the mount" received seen "created mount/tree/through"
: >inotify

echo "two" >>behind/f
echo "two" >>behind/tree/a
await "a write behind the mount" received seen "modified mount/f"
await "a write below a directory" received seen "modified mount/tree/a"
sleep 1
# It also sees that others read the mount, which is no change.
if grep -E 'MODIFY|CLOSE_WRITE|ATTRIB|CREATE|MOVE|DELETE' inotify; then
	die "inotify saw it too: this is not the mount that it was meant to be"
fi
echo "written behind the mount: net-watcher reported it, inotify saw nothing"

kill -STOP "$bindfs"
await "unreadable" received seen "unreadable mount/f: file system not responding for 5s"
await "unreadable" received seen "unreadable mount/tree: file system not responding for 5s"
echo "three" >>elsewhere/f
await "a write elsewhere" received seen "modified elsewhere/f"
nc -U seen >greeting &
pids+=($!)
await "a greeting" grep -q 'watching mount/f (unreadable: file system not responding for 5s)' greeting
echo "the mount is hung: it is unreadable, all else goes on"

echo "three" >>behind/f
kill -CONT "$bindfs"
await "a write to the hung mount" received seen "modified mount/f"
await "readable" received seen "readable mount/tree"
echo "the mount answers: net-watcher reported what was written meanwhile"

# The mount is hung at the start, and until the end.
kill -STOP "$bindfs"
hung=$server
watch other mount/f elsewhere/f
grep -q 'watching mount/f (unreadable: file system not responding for 5s)' other.log || die "$(cat other.log)"
grep -q 'watching elsewhere/f every' other.log || die "$(cat other.log)"
kill "$hung" "$server"
# A call that the kernel does not let go of keeps a process as a zombie.
gone() { ! ps -o stat= -p "$hung,$server" | grep -q '^[^Z]'; }
await "the end" gone
kill -CONT "$bindfs"
wait "$hung" || die "the server ended with status $?"
wait "$server" || die "the server that started on a hung mount ended with status $?"
echo "net-watcher started and ended on a hung mount"

# exFAT, by FUSE, ignores case, and its times are whole seconds.
if ! command -v mount.exfat-fuse >/dev/null || ! command -v mkfs.exfat >/dev/null || [ ! -e /dev/loop-control ]; then
	echo "SKIPPED: names that differ in case only, whole-second times (apt install exfat-fuse exfatprogs; a kernel with loop devices)"
else
	truncate -s 8M image
	mkfs.exfat image >mkfs.log
	mkdir exfat
	mounted exfat -t exfat-fuse -o "loop,uid=$(id -u)" image
	mkdir exfat/d exfat/d/folder
	echo 1 | tee exfat/d/{hello,quiet}.txt exfat/d/folder/{in,quiet} >/dev/null
	watch case exfat/d
	mv -T exfat/d/hello.txt exfat/d/Hello.txt
	await "a file's new name" received case "created exfat/d/Hello.txt"
	echo 2 >>exfat/d/Hello.txt
	await "an edit" received case "modified exfat/d/Hello.txt"
	mv -T exfat/d/folder exfat/d/Folder
	await "a folder's new name" received case "created exfat/d/Folder/quiet"
	echo 2 >>exfat/d/Folder/in
	await "an edit" received case "modified exfat/d/Folder/in"
	mkdir exfat/d/last
	await "another folder" received case "created exfat/d/last/"
	changes case "removed exfat/d/hello.txt" "created exfat/d/Hello.txt" "modified exfat/d/Hello.txt" \
		"removed exfat/d/folder/quiet" "removed exfat/d/folder/in" "removed exfat/d/folder/" \
		"created exfat/d/Folder/" "created exfat/d/Folder/in" "created exfat/d/Folder/quiet" \
		"modified exfat/d/Folder/in" "created exfat/d/last/"
	watch fresh exfat/d
	diff <(greeting case) <(greeting fresh) || die "the state is not that of a fresh server"
	echo "a mount that ignores case: each change of a name and each edit was reported once"

	# Those changes were enough to notice it.
	says case "exfat/d: times on this file system are whole seconds"
	watch content -content exfat/d/quiet.txt
	edits() { [ "$(grep -c modified content.received.log)" = "$1" ]; }
	for i in 1 2 3; do
		echo "$((i + 1))" 1<>exfat/d/quiet.txt # in place, of the same size
		await "edit $i" edits "$i"
	done
	echo "a mount with whole-second times: the console says so, -content sees each edit"
fi

# A file that is mounted by itself, and replaced at its origin; folders that lose their names.
mkdir origin bound cwd
echo 1 | tee a.conf b.conf origin/a cwd/a >/dev/null
mounted b.conf --bind a.conf
mounted bound --bind origin
watch nameless b.conf bound
cd cwd
watch here .
cd ..
echo 2 >new.conf
mv new.conf a.conf
says nameless "b.conf is mounted by itself, and was replaced"
rm -r origin cwd
await "the mounted folder" received nameless "removed bound"
await "the working directory" received here "removed ."
says nameless "b.conf is mounted by itself, and was replaced"
changes nameless "removed bound/a" "removed bound"
changes here "removed ./a" "removed ."
echo "a mounted file was replaced: the console says so; folders without a name: what was in them is removed"

# Another program has a lease on a file, as Samba and knfsd have.
mkdir leases
echo 1 | tee leases/a leases/held >/dev/null
# hold TEXT: writes TEXT to the file, and holds a lease on it until $holder is killed.
hold() {
	python3 -c '
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
with open("leases/held", "a") as f:
    while True:
        try:
            fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            break
        except BlockingIOError: # it is being read
            pass
    f.write(sys.argv[1])
    f.flush()
    print("held", flush=True)
    signal.pause()' "$1" >holder 2>holder.log &
	holder=$!
	pids+=("$holder")
	await "the lease" grep -q held holder
}
watch lease -content leases
hold 2
sleep 2
echo 2 >>leases/a
await "a write beside it" received lease "modified leases/a"
changes lease "modified leases/a"
kill "$holder"
await "a write under the lease" received lease "modified leases/held"
hold ""
await "unreadable" received lease "unreadable leases/held: resource temporarily unavailable"
kill "$holder"
await "readable" received lease "readable leases/held"
changes lease "modified leases/a" "modified leases/held" \
	"unreadable leases/held: resource temporarily unavailable" "readable leases/held"
echo "a file with a lease on it: a short one caused no event, during a long one it was unreadable"

# No descriptors are left.
mkdir files
watch few files
prlimit --pid "$server" --nofile=7:
echo 1 >files/a
await "unreadable" received few "unreadable files: too many open files"
says few "cannot read files: too many open files"
prlimit --pid "$server" --nofile=512:
await "the write meanwhile" received few "created files/a"
says few "no longer unreadable: files"
changes few "unreadable files: too many open files" "readable files" "created files/a"
echo "without descriptors: unreadable, and what changed meanwhile was reported afterwards"

# Permissions are missing.
mkdir -p private/secret
chmod 0 private/secret
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
mkdir -m 777 nobody
watch nobody/socket private
says nobody/socket "cannot read private/secret/: permission denied"
greeting nobody/socket | grep -q '"unreadable":1,' || die "the greeting does not count it: $(greeting nobody/socket)"
chmod 755 private/secret
await "permission" received nobody/socket "readable private/secret/"
mkdir private/secret/new
await "a new folder" received nobody/socket "created private/secret/new/"
changes nobody/socket "readable private/secret/" "created private/secret/new/"
echo "a folder that may not be read: named at the start, and watched from when it may be read"
