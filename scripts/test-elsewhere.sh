#!/usr/bin/env bash
# Runs the tests as other machines and another system: linux/386 natively, other
# processors under qemu-user, and Windows under wine. It prints how long each takes,
# and which tests are left out or skip themselves.
#
#   scripts/test-elsewhere.sh                      all of them
#   scripts/test-elsewhere.sh -short mips windows  some, without the longest tests
#
# The names are those of machines, below. All of them take some half an hour on two
# cores. Linux on amd64, as root or with sudo, with the programs that it asks for.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# 64 and 32 bits, and the two orders of bytes; mips has error numbers of its own, too.
# qemu's s390x is no judge: its stat(2) loses the nanoseconds.
machines=(386 arm64 riscv64 mips64 mips windows)

flags=()
while [[ ${1-} = -* ]]; do
	[[ $1 = -short ]] || die "there is no $1"
	flags+=("$1")
	shift
done
(($# == 0)) || machines=("$@")

[[ $(uname -sm) = "Linux x86_64" ]] || die "this is for Linux on amd64"
need go "see https://go.dev/dl"
as_root() { if [[ $(id -u) = 0 ]]; then "$@"; else sudo "$@"; fi; }

folder=$(mktemp -d)
registered=()
finish() {
	local r
	for r in "${registered[@]}"; do as_root tee "$r" <<<-1 >/dev/null || true; done
	[[ ! -d $folder/wine ]] || WINEPREFIX=$folder/wine wineserver -k || true # also what a test has left behind
	rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
export CGO_ENABLED=0 # no C library of the other machine is needed

# left_out TEST REASON: leaves out a test (as go test -skip has it).
left_out() {
	skip+=("$1")
	printf 'left out: %s: %s\n' "$@"
}

# run MACHINE FLAG...: runs all tests, and notes whether they pass.
results=() failed=0
run() {
	local begin=$SECONDS result=ok pattern
	pattern=$(IFS='|' && echo "${skip[*]}")
	go test -v -count=1 -timeout 60m "${flags[@]}" ${pattern:+-skip "$pattern"} "${@:2}" ./... >"$folder/log" 2>&1 || result=FAILED
	[[ $result = ok ]] || failed=1
	tr -d '\r' <"$folder/log" >"$folder/$1.log"
	# What failed has all its lines, and what was skipped its reason.
	awk '/^ *=== / { name = $3; next }
		/^ *--- PASS/ { next }
		/^ *--- (SKIP|FAIL)/ { print $2 " " $3 text[$3]; delete text[$3]; next }
		/^(ok|FAIL|panic:)/ { print }
		{ text[name] = text[name] "\n" $0 }' "$folder/$1.log"
	# Without a failed test, it is a build, or a test that took the others with it.
	[[ $result = ok ]] || grep -q -- '--- FAIL' "$folder/$1.log" || tail -n 100 "$folder/$1.log"
	results+=("$(printf '%-8s %-6s %4d s, tests passed: %d, skipped: %d' "$1" "$result" $((SECONDS - begin)) \
		"$(grep -c -- '^--- PASS' "$folder/$1.log")" "$(grep -c -- '--- SKIP' "$folder/$1.log")")")
}

# emulate NAME: makes the kernel run programs of a machine by qemu, also those that
# programs start, until the end.
emulate() {
	local formats=/proc/sys/fs/binfmt_misc
	need "qemu-$1-static" "apt install qemu-user-static"
	[[ -e $formats/register ]] || as_root mount -t binfmt_misc binfmt_misc "$formats" || die "this kernel has no binfmt_misc"
	[[ ! -e $formats/qemu-$1 ]] || return 0
	as_root tee "$formats/register" <"/usr/lib/binfmt.d/qemu-$1.conf" >/dev/null
	registered+=("$formats/qemu-$1")
}

# windows prepares wine. Go's programs need what wine 8 does not have.
windows() {
	need wine "apt install wine wine64"
	need x86_64-w64-mingw32-gcc "apt install gcc-mingw-w64-x86-64"
	export WINEPREFIX=$folder/wine WINEDEBUG=-all
	mkdir "$folder/windows"
	wineboot --init >/dev/null 2>&1
	# One program runs all along: services that start with the first one would keep the
	# output of a test open.
	tail --pid=$$ -f /dev/null | wine cmd >/dev/null 2>&1 &

	# A library with one function, for random numbers.
	x86_64-w64-mingw32-gcc -shared -O2 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" -x c - -ladvapi32 <<-'END'
		#include <windows.h>
		#include <ntsecapi.h>
		BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T size) { return RtlGenRandom(data, size); }
	END

	# The deletion of an open file as POSIX has it: os.RemoveAll has another way where
	# the system says that it lacks this one, but wine says so with another status
	# (STATUS_NOT_IMPLEMENTED).
	local file=internal/syscall/windows/at_windows.go
	file=$(go env GOROOT)/src/$file
	sed 's/^\tcase STATUS_INVALID_INFO_CLASS,/\tcase NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS,/' "$file" >"$folder/windows/at.go"
	! cmp -s "$file" "$folder/windows/at.go" || die "this Go has another $file: find out how it deletes"
	echo "{\"Replace\": {\"$file\": \"$folder/windows/at.go\"}}" >"$folder/windows/overlay.json"
}

for machine in "${machines[@]}"; do
	printf '\n== %s\n' "$machine"
	skip=()
	case $machine in
	386) GOARCH=386 run 386 ;;
	arm64)
		emulate aarch64
		GOARCH=arm64 run arm64
		;;
	riscv64)
		emulate riscv64
		GOARCH=riscv64 run riscv64
		;;
	mips | mips64)
		emulate "$machine"
		left_out '^TestDialLocalhost$' "qemu reports why connect(2) failed by a number of this machine, not of mips (SO_ERROR)"
		GOARCH=$machine run "$machine"
		;;
	windows)
		windows
		left_out '^TestDeps$|^TestRun$' "there is no go command"
		left_out '^TestScripts$/^aliases' "a rename that changes only the case of a name does nothing, and reports success"
		left_out '^TestScripts$/^links|^TestScripts$/^content.txt_only_what_was_changed|^TestScripts$/^filters.txt_links|^TestFrozenLink$' \
			"symbolic links are not made, and success is reported"
		left_out '^(TestShutdownResetsTheStuck|TestSlowOverTLS)$' "a socket is shut down before it is closed, so nothing resets it (SO_LINGER)"
		GOOS=windows GOARCH=amd64 run windows -overlay "$folder/windows/overlay.json" -exec wine
		;;
	*) die "there is no machine $machine (there are: 386 arm64 riscv64 mips64 mips windows)" ;;
	esac
done

echo
printf '%s\n' "${results[@]}"
((failed == 0))
