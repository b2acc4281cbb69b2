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
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

(($# <= 1)) || { echo "usage: scripts/nfs-check.sh [REVISION]" >&2; exit 2; }
machine_tools
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CGO_ENABLED=0 # the machine has its own libraries
setup

machine bash coreutils grep mawk mount kmod iproute2 e2fsprogs strace \
	nfs-kernel-server samba cifs-utils sshfs openssh-sftp-server bindfs
mkdir -p root/tree/big
cp net-watcher root/usr/bin
if (($# == 1)); then
	mkdir source
	git -C "$repository" archive "$1" | tar -x -C source
	GOTMPDIR=$folder go build -C source -o ../root/usr/bin/net-watcher.before .
fi
cp "$repository/scripts/nfs-guest.sh" root/init
chmod +x root/init
for ((d = 1; d <= ${FOLDERS:-100}; d++)); do mkdir "root/tree/big/$d" && (cd "root/tree/big/$d" && touch {1..100}); done
boot "${LIMIT:-1800}" 2048 "pause=${PAUSE:-65} parts=${PARTS:-times,calls}"
grep -q '^nfs-check: 0' machine.log
