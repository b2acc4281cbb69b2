# shellcheck shell=bash
# Functions for virtual machines that are made of Debian's packages. A script sources this
# file after lib.sh. It is for Debian or a relative of it on amd64.

# machine_tools: installs what the other functions need, where that is missing.
machine_tools() {
	local t missing=''
	[[ $(uname -sm) = "Linux x86_64" ]] || die "this is for Linux on amd64"
	PATH=$PATH:/usr/sbin # where users may lack it
	for t in qemu-system-x86_64 cpio depmod; do command -v "$t" >/dev/null || missing=yes; done
	if [[ $missing ]]; then
		as_root apt-get update -q
		DEBIAN_FRONTEND=noninteractive as_root apt-get install -q -y --no-install-recommends qemu-system-x86 cpio kmod
	fi
}

# machine PACKAGE...: makes root, the file system of a machine, and vmlinuz. The packages
# are downloaded and unpacked, not installed, with all that they need, as if nothing were
# installed here.
machine() {
	local kernel=linux-image-cloud-amd64 d p version left_out=('./usr/share/*' './usr/include/*' './usr/lib/udev/*'
		'*/python3*/*' '*/perl*/*' '*/gconv/*' '*/kernel/sound/*' '*/kernel/drivers/[!b]*' '*/kernel/net/netfilter/*'
		'*/kernel/fs/xfs/*' '*/kernel/fs/btrfs/*')
	apt-cache show "$kernel" >/dev/null 2>&1 || kernel=linux-image-amd64
	mkdir -p packages/partial root/usr/{bin,sbin,lib,lib64}
	touch installed
	apt-get -q -y --no-install-recommends --download-only -o Debug::NoLocking=1 -o APT::Sandbox::User= \
		-o Dir::State::status="$PWD/installed" -o Dir::Cache="$PWD" -o Dir::Cache::archives="$PWD/packages" \
		install "$kernel" "$@" >apt.log 2>&1 || die "$(cat apt.log)"
	for d in bin sbin lib lib64; do ln -s "usr/$d" "root/$d"; done
	for p in packages/*.deb; do
		dpkg-deb --fsys-tarfile "$p" | tar -x -C root --no-same-owner --keep-directory-symlink "${left_out[@]/#/--exclude=}"
	done
	ln -sf mawk root/usr/bin/awk
	mv root/boot/vmlinuz-* vmlinuz
	rm -r root/boot
	version=$(echo root/lib/modules/*)
	depmod -b root "${version##*/}"
}

# boot SECONDS MEGABYTES ARG...: boots the machine without a network, with these arguments
# for its kernel, and waits for its end, for so many seconds at most. What it prints is
# printed, and kept in machine.log.
#
# The clock of the machine counts instructions, 1 ns each, and jumps when all is idle: it
# measures the same however busy this host is, and waits cost no time.
boot() {
	(cd root && find . | cpio -o -H newc --quiet) >initrd
	timeout "$1" qemu-system-x86_64 -accel tcg -cpu max -icount shift=0,sleep=off -rtc clock=vm -m "$2" -no-reboot -nic none \
		-display none -monitor none -serial file:machine.log -kernel vmlinuz -initrd initrd \
		-append "console=ttyS0 quiet loglevel=3 panic=-1 ${*:3}" </dev/null &
	pids+=($!)
	touch machine.log
	tail -n +1 -f --pid="$!" machine.log & # ends after the machine
	wait "${pids[@]}" || true
	wait
}
