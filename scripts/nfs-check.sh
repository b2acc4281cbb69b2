#!/usr/bin/env bash
# Measures on NFS, SMB, sshfs and bindfs how soon net-watcher reports what changes behind
# the mount, and on NFS how many calls go over the wire, in a virtual machine without a
# network. It prints the tables of docs/filesystems.md, and fails unless each of them is
# complete, and the edit, the replacement and the creation of a FILE on NFS are reported
# within one interval and a second.
#
#   scripts/nfs-check.sh             the present code
#   scripts/nfs-check.sh REVISION    a commit too, to compare with
#
# It takes these from the environment:
#
#   PAUSE=65             seconds in which nothing changes before the changes that are measured; an
#                        NFS client believes its cache for 60 s in the end
#   FOLDERS=100          folders of 100 files each in which calls are counted; 190 at most
#   PARTS=times,calls    both tables, or one of them
#   LIMIT=1800           seconds after which the machine is stopped, which fails
#
# Debian or a relative of it on amd64, with apt-get and 100 MB of packages to download.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# <= 1)) || { echo "usage: scripts/nfs-check.sh [REVISION]" >&2; exit 2; }
[[ $(uname -sm) = "Linux x86_64" ]] || die "this is for Linux on amd64"

as_root() { if [[ $(id -u) = 0 ]]; then "$@"; else sudo "$@"; fi; }

PATH=$PATH:/usr/sbin # where users may lack it
tools=(qemu-system-x86_64 cpio depmod) missing=''
for t in "${tools[@]}"; do command -v "$t" >/dev/null || missing=yes; done
if [[ $missing ]]; then
	as_root apt-get update -q
	DEBIAN_FRONTEND=noninteractive as_root apt-get install -q -y --no-install-recommends qemu-system-x86 cpio kmod
fi

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CGO_ENABLED=0 # the machine has its own libraries
setup

# The packages of the machine are downloaded and unpacked, not installed, with all that
# they need, as if nothing were installed here.
kernel=linux-image-cloud-amd64
apt-cache show "$kernel" >/dev/null 2>&1 || kernel=linux-image-amd64
mkdir -p packages/partial root/usr/{bin,sbin,lib,lib64} root/tree/big
touch installed
apt-get -q -y --no-install-recommends --download-only -o Debug::NoLocking=1 -o APT::Sandbox::User= \
	-o Dir::State::status="$folder/installed" -o Dir::Cache="$folder" -o Dir::Cache::archives="$folder/packages" \
	install "$kernel" bash coreutils grep mawk mount kmod iproute2 e2fsprogs strace \
	nfs-kernel-server samba cifs-utils sshfs openssh-sftp-server bindfs >apt.log 2>&1 || die "$(cat apt.log)"
for d in bin sbin lib lib64; do ln -s "usr/$d" "root/$d"; done
left_out=('./usr/share/*' './usr/include/*' './usr/lib/udev/*' '*/python3*/*' '*/perl*/*' '*/gconv/*'
	'*/kernel/sound/*' '*/kernel/drivers/[!b]*' '*/kernel/net/netfilter/*' '*/kernel/fs/xfs/*' '*/kernel/fs/btrfs/*')
for p in packages/*.deb; do
	dpkg-deb --fsys-tarfile "$p" | tar -x -C root --no-same-owner --keep-directory-symlink "${left_out[@]/#/--exclude=}"
done
ln -sf mawk root/usr/bin/awk
mv root/boot/vmlinuz-* vmlinuz
rm -r root/boot
version=$(echo root/lib/modules/*)
depmod -b root "${version##*/}"

cp net-watcher root/usr/bin
if (($# == 1)); then
	mkdir source
	git -C "$repository" archive "$1" | tar -x -C source
	GOTMPDIR=$folder go build -C source -o ../root/usr/bin/net-watcher.before .
fi
cp "$repository/scripts/nfs-guest.sh" root/init
chmod +x root/init
for ((d = 1; d <= ${FOLDERS:-100}; d++)); do mkdir "root/tree/big/$d" && (cd "root/tree/big/$d" && touch {1..100}); done
(cd root && find . | cpio -o -H newc --quiet) >initrd

# The clock of the machine counts instructions, 1 ns each, and jumps when all is idle: it
# measures the same however busy this host is, and waits cost no time.
timeout "${LIMIT:-1800}" qemu-system-x86_64 -accel tcg -cpu max -icount shift=0,sleep=off -rtc clock=vm -m 2048 -no-reboot -nic none \
	-display none -monitor none -serial file:machine.log -kernel vmlinuz -initrd initrd \
	-append "console=ttyS0 quiet loglevel=3 panic=-1 pause=${PAUSE:-65} parts=${PARTS:-times,calls}" </dev/null &
pids+=($!)
touch machine.log
tail -n +1 -f --pid="$!" machine.log & # ends after the machine
wait "${pids[@]}" || true
wait
grep -q '^nfs-check: 0' machine.log
