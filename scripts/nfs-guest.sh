#!/bin/bash
# The first process of the virtual machine that nfs-check.sh starts: an NFS
# server and its clients in one kernel, which share no cache. What is written in /srv is
# what another host would write. It prints tables, and at the end "nfs-check: STATUS".
set -uo pipefail
export PATH=/usr/sbin:/usr/bin HOME=/

[[ $$ = 1 ]] || { echo "${0##*/}: nfs-check.sh starts this in a virtual machine" >&2; exit 2; }

mkdir -p /m /log /proc /sys /dev /run /tmp /var/lib/nfs/v4recovery
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mkdir -p /run/rpc_pipefs
ip link set lo up
printf '%s\n' root:x:0:0::/:/bin/bash nobody:x:65534:65534::/:/bin/false >/etc/passwd
printf '%s\n' root:x:0: nogroup:x:65534: >/etc/group
echo "127.0.0.1 localhost" >/etc/hosts
echo "hosts: files" >/etc/nsswitch.conf

# The directory /tree comes with this machine: 10,000 files in big.
truncate -s 64M /disk
mkdir -p /tree/named/{edit,replace,create,remove} /tree/tree/{edit,replace,create,remove} /tree/aside
for d in /tree/{named,tree}; do echo 1 | tee "$d"/{edit,replace,remove}/f >/dev/null; done
mkfs.ext4 -q -N 20000 -d /tree /disk
modprobe -a loop nfsd nfsv4 fuse
mkdir /srv
mount -o loop /disk /srv

serve_nfs() {
	mount -t nfsd nfsd /proc/fs/nfsd
	mount -t rpc_pipefs rpc /run/rpc_pipefs
	touch /var/lib/nfs/{etab,rmtab}
	echo '/srv *(rw,no_root_squash,no_subtree_check,fsid=0)' >/etc/exports
	exportfs -a
	rpc.mountd -N 3
	rpc.nfsd -N 3 8
	echo Y >/proc/fs/nfsd/v4_end_grace # no client had anything open before
}
nfs() { mount -t nfs4 -o nosharecache 127.0.0.1:/ "$1"; } # each with caches of its own

printf '#!/bin/bash\nexec /usr/lib/openssh/sftp-server\n' >/usr/bin/pipe
chmod +x /usr/bin/pipe
by_sshfs() { sshfs -o ssh_command=/usr/bin/pipe local:/srv "$1"; }
by_bindfs() { bindfs /srv "$1"; }

# calls DIR: prints how many calls went over the wire for the mount at DIR so far.
calls() {
	case $(stat -f -c %T "$1") in
	nfs) awk -v dir="$1" '$1 == "device" { on = $5 == dir } on && /^\t *[A-Z_]+: / { n += $2 } END { print n + 0 }' /proc/self/mountstats ;;
	*) echo 0 ;;
	esac
}

labels=() kinds=() pids=()

# watch LABEL KIND COMMAND -- TARGET...: mounts by the function KIND, and starts the
# net-watcher of COMMAND on targets there. Events go to /log/N, each after the time.
watch() {
	local n=${#labels[@]} label=$1 kind=$2 dir command=()
	dir=/m/$n
	shift 2
	while [[ $1 != -- ]]; do command+=("$1"); shift; done
	shift
	mkdir "$dir"
	if ! "$kind" "$dir"; then
		echo "not mounted: $label"
		rmdir "$dir"
		return 1
	fi
	labels+=("$label") kinds+=("$kind")
	began=$(calls "$dir")
	"${command[@]}" -listen "127.0.0.1:$((6000 + n))" "${@/#/$dir/}" 2>"/log/$n.console" &
	pids+=($!)
	until grep -qs listening "/log/$n.console"; do
		kill -0 "${pids[n]}" || { cat "/log/$n.console"; return 1; }
		sleep 0.1
	done
	while read -r _ line; do echo "$EPOCHREALTIME $line"; done <"/dev/tcp/127.0.0.1/$((6000 + n))" >"/log/$n.events" &
	for _ in $(seq 300); do
		! grep -qs " watching .*$dir/${!#}" "/log/$n.events" || return 0
		sleep 0.1
	done
	cat "/log/$n.events"
}

# stop: ends all that watch has started.
stop() {
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
	labels=() kinds=() pids=()
	umount -l /m/*
	rmdir /m/*
	rm /log/*
}

events=("modified edit/f" "modified replace/f" "created create/f" "removed remove/f")

# change: edits, replaces, creates and removes a file in named and one in tree.
change() {
	echo 123 | tee /srv/aside/{named,tree} >/dev/null
	t0=${EPOCHREALTIME/./}
	for d in named tree; do
		echo more >>/srv/$d/edit/f
		mv /srv/aside/$d /srv/$d/replace/f
		echo 1 >/srv/$d/create/f
		rm /srv/$d/remove/f
	done
}

# measure QUIET WAIT: changes files that have been quiet for QUIET s, waits up to WAIT s for
# the events, and prints the rows of the table.
measure() {
	local n d e t event path row before=() after=()
	sleep $(($1 - 10))
	for n in "${!labels[@]}"; do before[n]=$(calls "/m/$n"); done
	sleep 10
	for n in "${!labels[@]}"; do after[n]=$(calls "/m/$n"); done
	change
	for _ in $(seq "$2"); do
		sleep 1
		(($(cat /log/*.events | grep -cE ' (modified|created|removed) .*/f$') < 8 * ${#labels[@]})) || break
	done
	for n in "${!labels[@]}"; do
		local -A ms=()
		while read -r t event path; do
			: "${ms[$event ${path#/m/"$n"/}]:=$(((${t/./} - t0) / 1000))}"
		done <"/log/$n.events"
		row="| ${labels[n]} |"
		for d in named tree; do
			for e in "${events[@]}"; do
				t=${ms[${e/ / $d/}]-}
				row+=" ${t:-none in $2 s} |"
				if [[ ${labels[n]} = NFS && $d = named && $e != removed* ]] && ((${t:-99999} > 2000)); then
					echo "too late, with ${labels[n]}: $e"
					status=1
				fi
			done
		done
		echo "$row $(((after[n] - before[n]) / 10)) |"
	done
}

# large LABEL COMMAND...: prints a row about 10,000 files in 100 directories on NFS.
large() {
	local dir first quiet one before
	watch "$1" nfs "${@:2}" -interval 4s -- big || return
	dir=/m/0
	first=$(($(calls $dir) - began))
	sleep 2 # between scans
	before=$(calls $dir)
	sleep "$((pause / 4 * 4))"
	quiet=$((($(calls $dir) - before) / (pause / 4)))
	before=$(calls $dir)
	echo 1 >>/srv/big/50/50
	sleep 4
	one=$(($(calls $dir) - before))
	echo "| $1 | $first | $quiet | $one |"
	stop
}

status=0
: "${pause:=65}" "${folders:=100}" # or by the command line of the kernel
serve_nfs
uname -r
targets=({named/{edit,replace,create,remove}/f,tree})
for version in "" .before; do
	[[ -e /usr/bin/net-watcher$version ]] || continue
	suffix=${version:+, before}
	watch "NFS$suffix" nfs "net-watcher$version" -- "${targets[@]}"
	watch "NFS, \`-fresh\`$suffix" nfs "net-watcher$version" -fresh -- "${targets[@]}"
	watch "sshfs$suffix" by_sshfs "net-watcher$version" -- "${targets[@]}"
	watch "sshfs, \`-fresh\`$suffix" by_sshfs "net-watcher$version" -fresh -- "${targets[@]}"
	watch "bindfs$suffix" by_bindfs "net-watcher$version" -- "${targets[@]}"
done
measure "$pause" 65
stop
rm /srv/{named,tree}/create/f
echo 1 | tee /srv/{named,tree}/remove/f >/dev/null
for error in ENOSYS EPERM; do
	watch "NFS, statx fails with $error" nfs strace -f --seccomp-bpf -o /dev/null -e trace=statx -e "inject=statx:error=$error" net-watcher -- "${targets[@]}"
done
measure 10 65
stop
large "now" net-watcher
large "now, \`-fresh\`" net-watcher -fresh
if [[ -e /usr/bin/net-watcher.before ]]; then
	large "before" net-watcher.before
	large "before, \`-fresh\`" net-watcher.before -fresh
fi
echo "nfs-check: $status"
echo o >/proc/sysrq-trigger
sleep 10
