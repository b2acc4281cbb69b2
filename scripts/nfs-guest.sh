#!/bin/bash
# The first process of the virtual machine that nfs-check.sh starts: servers of files and
# their clients in one kernel, which share no cache. What is written in /srv is what
# another host would write. It prints tables, and at the end "nfs-check: STATUS".
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
printf '%s: files\n' hosts passwd group >/etc/nsswitch.conf

# The directory /tree comes with this machine, with up to 19,000 files in big.
truncate -s 64M /disk
mkdir -p /tree/named/{edit,replace,create,remove} /tree/tree/{edit,replace,create,remove} /tree/aside
for d in /tree/{named,tree}; do echo 1 | tee "$d"/{edit,replace,remove}/f >/dev/null; done
mkfs.ext4 -q -N 20000 -d /tree /disk
modprobe -a loop nfsd nfsv4 fuse cifs
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

serve_smb() {
	mkdir -p /run/samba /var/{lib,cache,log}/samba /var/lib/samba/private /etc/samba
	cat >/etc/samba/smb.conf <<-END
		[global]
		smb ports = 445
		disable netbios = yes
		load printers = no
		map to guest = bad user
		guest account = root
		[srv]
		path = /srv
		guest ok = yes
		read only = no
	END
	smbd -D
}
smb() { mount -t cifs -o guest,nosharesock //127.0.0.1/srv "$1"; }

printf '#!/bin/bash\nexec /usr/lib/openssh/sftp-server\n' >/usr/bin/pipe
chmod +x /usr/bin/pipe
by_sshfs() { sshfs -o ssh_command=/usr/bin/pipe local:/srv "$1"; }
by_bindfs() { bindfs /srv "$1"; }

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
		status=1
		return 1
	fi
	labels+=("$label") kinds+=("$kind")
	"${command[@]}" -listen "127.0.0.1:$((6000 + n))" "${@/#/$dir/}" 2>"/log/$n.console" &
	pids+=($!)
	until grep -qs listening "/log/$n.console"; do
		kill -0 "${pids[n]}" || { cat "/log/$n.console"; status=1; return 1; }
		sleep 0.1
	done
	while read -r _ line; do echo "$EPOCHREALTIME $line"; done <"/dev/tcp/127.0.0.1/$((6000 + n))" >"/log/$n.events" &
	for _ in $(seq 300); do
		! grep -qsE " (watching|readable) .*$dir/${!#}" "/log/$n.events" || return 0
		sleep 0.1
	done
	cat "/log/$n.events"
	status=1
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
		echo more >>"/srv/$d/edit/f"
		mv "/srv/aside/$d" "/srv/$d/replace/f"
		echo 1 >"/srv/$d/create/f"
		rm "/srv/$d/remove/f"
	done
}

# seconds MS: prints milliseconds as seconds, rounded to tenths.
seconds() { printf '%d.%d' $((($1 + 50) / 1000)) $((($1 + 50) / 100 % 10)); }

# measure WAIT: changes files, waits up to WAIT s for the events, and prints the table.
measure() {
	local n d e t event path row
	change
	for _ in $(seq "$1"); do
		sleep 1
		(($(cat /log/*.events | grep -cE ' (modified|created|removed) .*/f$') < 8 * ${#labels[@]})) || break
	done
	echo "| where | named FILE: edited | replaced | created | removed | in a directory: edited | replaced | created | removed |"
	echo "|---|---|---|---|---|---|---|---|---|"
	for n in "${!labels[@]}"; do
		local -A ms=()
		while read -r t event path; do
			: "${ms[$event ${path#/m/"$n"/}]:=$(((${t/./} - t0) / 1000))}"
		done <"/log/$n.events"
		row="| ${labels[n]} |"
		for d in named tree; do
			for e in "${events[@]}"; do
				t=${ms[${e/ / $d/}]-}
				if [[ $t ]]; then row+=" $(seconds "$t") |"; else row+=" not in $1 s |"; fi
				if [[ ${labels[n]} = NFS* && ${labels[n]} != *before && $d = named && $e != removed* ]] && ((${t:-99999} > 2000)); then
					echo "too late, with ${labels[n]}: $e" >>/late
					status=1
				fi
			done
		done
		echo "$row"
	done
	! cat /late 2>/dev/null
}

# wire: prints how many calls went over the wire for the mount at /m/0 so far, and how many
# bytes with them.
wire() { awk '$1 == "device" { on = $5 == "/m/0" } on && /^\t *[A-Z_]+: / { n += $2; b += $5 + $6 } END { print n + 0, b + 0 }' /proc/self/mountstats; }

# since "CALLS BYTES" [SCANS]: prints the calls and kilobytes since then, for each scan.
since() {
	local calls bytes start
	read -ra start <<<"$1"
	read -r calls bytes <<<"$(wire)"
	echo "$(((calls - start[0]) / ${2:-1})), $(((bytes - start[1]) / ${2:-1} / 1000)) kB"
}

# large LABEL COMMAND...: prints a row about a large directory on NFS: the calls of the
# first scan, of each of three in which nothing has changed, and of one after an edit.
large() {
	local before first quiet edited t0 t
	watch "$1" nfs "${@:2}" -interval 20s -- big || return
	first=$(since "0 0") # with those of the mount
	sleep 10 # between scans
	before=$(wire)
	sleep 60
	quiet=$(since "$before" 3)
	before=$(wire)
	t0=${EPOCHREALTIME/./}
	echo 1 >>/srv/big/1/50
	sleep 20
	edited=$(since "$before")
	read -r t _ <<<"$(grep ' modified .*/big/1/50$' /log/0.events)"
	[[ ! $t ]] || t=$(seconds $(((${t/./} - t0) / 1000)))
	echo "| $1 | $first | $quiet | $edited | ${t:-not in 20 s} |"
	stop
}

# times: prints how soon changes are reported.
times() {
	local version suffix error targets=({named/{edit,replace,create,remove}/f,tree})
	for version in "${versions[@]}"; do
		suffix=${version:+, before}
		watch "NFS$suffix" nfs "net-watcher$version" -- "${targets[@]}"
		watch "NFS, \`-fresh\`$suffix" nfs "net-watcher$version" -fresh -- "${targets[@]}"
		watch "SMB$suffix" smb "net-watcher$version" -- "${targets[@]}"
		watch "SMB, \`-fresh\`$suffix" smb "net-watcher$version" -fresh -- "${targets[@]}"
		watch "sshfs$suffix" by_sshfs "net-watcher$version" -- "${targets[@]}"
		watch "sshfs, \`-fresh\`$suffix" by_sshfs "net-watcher$version" -fresh -- "${targets[@]}"
		watch "bindfs$suffix" by_bindfs "net-watcher$version" -- "${targets[@]}"
	done
	# Without -I2, a signal would not end strace, and so not net-watcher.
	for error in ENOSYS EPERM; do
		watch "NFS, statx fails with $error" nfs strace -f -I2 --seccomp-bpf -o /dev/null -e trace=statx -e "inject=statx:error=$error" net-watcher -- "${targets[@]}"
	done
	sleep "$pause"
	measure 65
	stop
}

# calls: prints how many calls a large directory takes.
calls() {
	local version suffix folders=(/srv/big/*) files=(/srv/big/*/*)
	echo "| calls for ${#files[@]} files in ${#folders[@]} folders | first scan | quiet scan | scan after an edit | edit reported after |"
	echo "|---|---|---|---|---|"
	for version in "${versions[@]}"; do
		suffix=${version:+, before}
		large "NFS$suffix" "net-watcher$version"
		large "NFS, \`-fresh\`$suffix" "net-watcher$version" -fresh
	done
}

status=0 versions=("")
[[ ! -e /usr/bin/net-watcher.before ]] || versions+=(.before)
: "${pause:=65}" "${parts:=times,calls}" # or by the command line of the kernel
serve_nfs
serve_smb
uname -r
for part in times calls; do
	[[ ,$parts, != *,$part,* ]] || "$part"
done
echo "nfs-check: $status"
echo o >/proc/sysrq-trigger
sleep 10
