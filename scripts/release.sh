#!/usr/bin/env bash
# Makes the files of a release from the commit that is checked out, and tries them.
#
#   scripts/release.sh [FOLDER]      leaves them in FOLDER (default: dist)
#
# If the commit has a tag vX.Y.Z, that is the version; else it is a snapshot. All is
# built twice, from clones in different folders and with nothing in Go's cache, and
# must come out the same, byte by byte. Then the .deb is installed, the program run,
# and removed; the other packages, the archives and the image are unpacked and
# compared; and the programs for Linux run, those for other processors in qemu.
#
# Debian or a relative of it on amd64, as root or with sudo. What is missing is
# installed with apt-get. On two idle cores it takes some 20 minutes, half of them
# for building goreleaser.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

goreleaser=github.com/goreleaser/goreleaser/v2@v2.15.1
cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

(($# <= 1)) || { echo "usage: scripts/release.sh [FOLDER]" >&2; exit 2; }
[[ $(uname -sm) = "Linux x86_64" ]] || die "this is for Linux on amd64"

step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$(realpath -m "${1:-$repository/dist}")
[[ -z $(git -C "$repository" status --porcelain) ]] ||
	die "the tree is dirty: commit or remove what git status shows"
commit=$(git -C "$repository" rev-parse HEAD)

step "tools"
declare -A package=([buildah]=buildah [skopeo]=skopeo [umoci]=umoci [rpm]=rpm [man]=man-db
	[systemd-analyze]=systemd [qemu-aarch64-static]=qemu-user-static)
missing=()
for program in "${!package[@]}"; do
	command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
if ((${#missing[@]})); then
	as_root apt-get update -q
	DEBIAN_FRONTEND=noninteractive as_root apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
if dpkg -s net-watcher >/dev/null 2>&1; then die "a package net-watcher is installed: remove it first"; fi

installed=''
remove() { [[ ! $installed ]] || as_root dpkg --purge net-watcher; installed=''; }
setup
trap 'remove; cleanup' EXIT
go version
GOBIN=$folder/bin nice go install "$goreleaser"
# An SBOM has the checksum of the program that made it.
CGO_ENABLED=0 GOBIN=$folder/bin go install -trimpath "$cyclonedx"
PATH=$folder/bin:$PATH

# The processors for Linux, and what runs their programs here.
declare -A qemu=([amd64]='' [386]='' [arm64]=qemu-aarch64-static [armv6]=qemu-arm-static
	[riscv64]=qemu-riscv64-static [s390x]=qemu-s390x-static [ppc64le]=qemu-ppc64le-static)

mode=(--snapshot)
tag=$(git -C "$repository" describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null) && mode=()
if [[ $tag ]]; then
	grep -qF "## ${tag#v}" "$repository/CHANGELOG.md" || die "CHANGELOG.md has no part ${tag#v}"
fi

# image CLONE FILES: makes the image of the programs in the archives for Linux.
image() {
	local arch name platform storage=(--storage-driver vfs --root "$folder/storage" --runroot "$folder/storage-run")
	local time
	time=$(git -C "$1" log -1 --format=%ct)
	# One by one: together they would be in the image in the order in which they are done.
	for platform in linux/amd64 linux/arm64 linux/arm/v6 linux/386 linux/riscv64 linux/s390x linux/ppc64le; do
		arch=${platform#linux/}
		name=net-watcher_${version}_linux_${arch/\//}
		mkdir "$folder/context"
		tar -C "$folder/context" --strip-components=1 -xf "$2/$name.tar.gz" "$name/net-watcher"
		buildah "${storage[@]}" build --quiet --isolation chroot --timestamp "$time" --platform "$platform" \
			--manifest image --file "$1/packaging/Containerfile" "$folder/context" >/dev/null
		rm -rf "$folder/context"
	done
	buildah "${storage[@]}" manifest push --quiet --all image "oci:$folder/layout:$version"
	tar -C "$folder/layout" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$time" \
		-cf "$2/net-watcher_${version}_image.tar" .
	buildah "${storage[@]}" rmi --all --force >/dev/null
	rm -rf "$folder/layout"
}

# make CLONE FILES: makes the release in a new clone, and leaves its files in a folder.
make() {
	git clone -q "$repository" "$1"
	[[ $(git -C "$1" rev-parse HEAD) = "$commit" ]] || die "the clone has another commit"
	# An .apk has the times that these files have here.
	touch -d "@$(git -C "$1" log -1 --format=%ct)" "$1"/packaging/*.sh
	(cd "$1" && goreleaser check -q && nice goreleaser release --skip=publish "${mode[@]}")
	mkdir "$2"
	cp "$1"/dist/*.{tar.gz,zip,deb,rpm,apk,cdx.json} "$1/dist/checksums.txt" "$2"
	version=$(sed -n 's/.*"version":"\([^"]*\)".*/\1/p' "$1/dist/metadata.json")
	image "$1" "$2"
	(cd "$2" && sha256sum "net-watcher_${version}_image.tar" >>checksums.txt)
}

step "once"
make "$folder/once/net-watcher" "$folder/files"
step "again, elsewhere, without a cache"
GOCACHE=$folder/cache make "$folder/again/in/another/place" "$folder/files2"
rm -rf "$folder/cache"
diff -r "$folder/files" "$folder/files2" || die "the second time other bytes came out"
cd "$folder/files"
sha256sum --check --quiet checksums.txt
count=$(wc -l <checksums.txt)
echo "$count files are the same, byte by byte"

[[ ! $tag || $tag = "v$version" ]] || die "the version is $version, not $tag"
cd "$folder"

step "all programs"
for archive in files/*.tar.gz files/*.zip; do
	name=$(basename "${archive%.*}" .tar)
	case $archive in
	*.zip) python3 -m zipfile -e "$archive" unpacked ;;
	*) mkdir -p unpacked && tar -C unpacked -xf "$archive" ;;
	esac
	program=(unpacked/"$name"/net-watcher*)
	for f in LICENSE README.md docs/guide.md docs/net-watcher.1 packaging/net-watcher.service; do
		cmp "unpacked/$name/$f" "$repository/$f"
	done
	settings=$(go version -m "${program[0]}")
	for s in "vcs.revision=$commit" vcs.modified=false CGO_ENABLED=0 -trimpath=true; do
		grep -qF "	build	$s" <<<"$settings" || die "$name: no $s"
	done
	sbom=files/$name.cdx.json
	grep -qF "$(sha256sum <"${program[0]}" | cut -d' ' -f1)" "$sbom" || die "$sbom does not have the checksum of the program"
done
echo "$(find unpacked -mindepth 1 -maxdepth 1 | wc -l) archives: static programs of commit ${commit::12}, with their pages and SBOMs"

step "packages"
for arch in "${!qemu[@]}"; do
	base=net-watcher_${version}_linux_$arch
	for format in deb rpm apk; do
		mkdir -p "$format/$arch"
		case $format in
		deb) dpkg-deb --extract "files/$base.deb" "deb/$arch" ;;
		rpm)
			rpm --checksig "files/$base.rpm" >/dev/null
			as_root rpm --force-debian --root "$folder/rpm/$arch" --nodeps --ignorearch --noscripts -i "files/$base.rpm"
			;;
		apk) tar --warning=no-unknown-keyword -C "apk/$arch" -xzf "files/$base.apk" ;;
		esac
		cmp "unpacked/$base/net-watcher" "$format/$arch/usr/bin/net-watcher"
		cmp "$repository/docs/net-watcher.1" "$format/$arch/usr/share/man/man1/net-watcher.1"
		cmp "$repository/packaging/net-watcher.service" "$format/$arch/usr/lib/systemd/system/net-watcher.service"
	done
done
echo "${#qemu[@]} each of .deb, .rpm and .apk have the program, the manual page and the unit"

# scenario NAME COMMAND...: the command is net-watcher, in a way; it serves a file that
# changes, to a client of its own, and stops. NAME is the folder of the file.
scenario() {
	local port server client
	rm -f server.log client.log client.err.log
	printf 1 >"$1/target.txt"
	"${@:2}" -interval 20ms -listen localhost:0 "${inside:-$1}/target.txt" 2>server.log &
	server=$!
	pids+=("$server")
	await "a server: $1" grep -q 'listening on' server.log
	port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' server.log)
	./net-watcher -connect "localhost:$port" >client.log 2>client.err.log &
	client=$!
	pids+=("$client")
	await "a client: $1" grep -q following client.err.log
	printf 22 >"$1/target.txt"
	await "a change: $1" grep -q 'modified .*target\.txt' client.log
	kill "$client" && wait "$client"
	as_root kill "$server" && wait "$server"
}

# is PLATFORM COMMAND...: runs -version, which must name the commit and the platform.
is() {
	local printed
	printed=$("${@:2}" -version)
	[[ $printed = *"(commit ${commit::12}, "*" $1" ]] || die "-version prints $printed"
	echo "$printed"
}

step "installed"
as_root dpkg --install "files/net-watcher_${version}_linux_amd64.deb"
installed=yes
is linux/amd64 /usr/bin/net-watcher
mkdir installed
scenario installed /usr/bin/net-watcher
MANPAGER=cat MANWIDTH=80 man net-watcher | grep -A 3 '^NAME'
systemd-analyze verify net-watcher.service
remove
[[ ! -e /usr/bin/net-watcher ]] || die "dpkg left the program"

step "each processor"
for arch in "${!qemu[@]}"; do
	mkdir "run-$arch"
	program=(${qemu[$arch]:+"${qemu[$arch]}"} "unpacked/net-watcher_${version}_linux_$arch/net-watcher")
	platform=${arch/armv6/arm}
	is "linux/$platform" "${program[@]}"
	scenario "run-$arch" "${program[@]}"
done

step "the image"
image=oci-archive:files/net-watcher_${version}_image.tar
skopeo inspect --raw "$image" | python3 -c '
import json, sys
for m in json.load(sys.stdin)["manifests"]: print(*m["platform"].values(), sep="/")'
for arch in amd64 arm64 arm 386 riscv64 s390x ppc64le; do
	skopeo inspect --override-arch "$arch" --config "$image" >config.json
	python3 - "$arch" <<-'PYTHON'
		import json, sys
		config = json.load(open("config.json"))
		got = [config["architecture"], config["config"]["User"], config["config"]["Entrypoint"], len(config["rootfs"]["diff_ids"])]
		assert got == [sys.argv[1], "65534:65534", ["/net-watcher"], 1], got
	PYTHON
done
skopeo copy -q --override-arch amd64 "$image" oci:layout:latest
as_root umoci unpack --image layout:latest bundle >/dev/null
[[ $(find bundle/rootfs -type f) = bundle/rootfs/net-watcher ]] || die "the image has more than the program"
cmp bundle/rootfs/net-watcher "unpacked/net-watcher_${version}_linux_amd64/net-watcher"
as_nobody=(chroot --userspec=65534:65534 bundle/rootfs /net-watcher)
[[ $(id -u) = 0 ]] || as_nobody=(sudo "${as_nobody[@]}")
is linux/amd64 "${as_nobody[@]}"
as_root mkdir -m 0777 bundle/rootfs/data
inside=/data scenario bundle/rootfs/data "${as_nobody[@]}"
echo "it runs as nobody, with nothing else in its root"

step "done: $out"
rm -rf "$out"
cp -r files "$out"
cd "$out"
du -h --apparent-size -- *
