#!/usr/bin/env bash
# Tries the examples of docs/operations.md as they stand there: runs the command of each
# service, and gives the alerts to promtool, the files to logrotate, nft, haproxy and nginx,
# the manifests to the schemas of Kubernetes and of Compose. It opens the ssh tunnels to an
# sshd on loopback, and has the side-car reload an nginx when a directory changes as the
# kubelet changes that of a ConfigMap. It says which programs it lacks; curl and python3 must
# be there. Go fetches the schemas' checkers, which takes a network.
#
# Left out, because it takes a virtual machine, a registry or another system: systemd,
# OpenRC, podman and launchd themselves, Windows.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need curl "apt install curl"
need python3 "apt install python3"
PATH=$PATH:/usr/sbin:/usr/local/sbin
docs=$(cd "$(dirname "${BASH_SOURCE[0]}")/../docs" && pwd)/operations.md
setup

# example TEXT: prints the block of code in the docs that has this text.
example() {
	awk -v text="$1" '
		/^ *```/ {
			if (inside && found) { printf "%s", block; all = 1; exit }
			inside = !inside; found = 0; block = ""; match($0, /^ */); indent = RLENGTH
			next
		}
		inside { block = block substr($0, indent + 1) "\n"; if (index($0, text)) found = 1 }
		END { exit !all }
	' "$docs" || die "no example in the docs has: $1"
}

# list KEY: reads YAML and prints the strings of the lists after that key, one a line; they
# are written as in JSON.
list() { sed -n "s/^ *$1: \(\[.*\]\)$/\1/p" | python3 -c 'import json, sys; [print(s) for line in sys.stdin for s in json.loads(line)]'; }

# serves WHAT: reads the arguments of a server, one a line, and runs it with them, but on
# free ports of loopback and on a directory that is there.
serves() {
	local args
	mapfile -t args < <(sed -e 's|^localhost$|127.0.0.1:0|; s|^:60300$|127.0.0.1:0|; s|^http://.*:8080$|http://127.0.0.1:0|' \
		-e "s|^/etc.*|$folder/conf|; s|^/srv/conf$|$folder/conf|; s|^C:.conf$|$folder/conf|")
	[[ " ${args[*]} " = *" $folder/conf "* ]] || die "$1: no FILE in: ${args[*]}"
	./net-watcher "${args[@]}" 2>"$1.log" &
	server=$!
	pids+=("$server")
	await "$1" grep -q listening "$1.log"
	ok "the command of $1"
}
ends() { kill "$server"; wait "$server" || die "the server did not end well"; }

mkdir conf
echo begin >conf/a

example "#!/sbin/openrc-run" >openrc
sh -n openrc
serves OpenRC < <(sed -n 's/^command_args="\(.*\)"$/\1/p' openrc | tr ' ' '\n')
ends

example "<plist" >net-watcher.plist
serves launchd < <(python3 -c 'import plistlib, sys
print(*plistlib.load(sys.stdin.buffer)["ProgramArguments"][1:], sep="\n")' <net-watcher.plist)
ends

example "<BootTrigger>" >net-watcher.xml
serves Windows < <(python3 -c 'import sys, xml.etree.ElementTree as xml
line = xml.parse(sys.stdin).find(".//{*}Arguments").text
print(*line.split(".exe\"")[1].split(" 2>>")[0].split(), sep="\n")' <net-watcher.xml)
ends

serves podman < <(example "podman run" | grep -o ' net-watcher -.*' | tr ' ' '\n' | tail -n +3)
ends

example "# compose.yaml" >compose.yaml
go run github.com/compose-spec/compose-go/v2/cmd@v2.16.2 compose.yaml >/dev/null
ok "compose.yaml"
serves Compose < <(list command <compose.yaml)
address=$(sed -n 's/.*listening on \(127[^ ]*\).*/\1/p' Compose.log)
url=$(grep -o 'http://127.0.0.1:[0-9]*' Compose.log | head -n 1)
mapfile -t health < <(list test <compose.yaml | tail -n +2)
[[ ${health[*]} = "/net-watcher -connect localhost "* ]] || die "the check of health has changed: ${health[*]}"
timeout 10 ./net-watcher -connect "$address" "${health[@]:3}" 2>health.log || die "the check of health: $(<health.log)"

# The metrics that rules name are there.
example "# net-watcher.rules.yml" >net-watcher.rules.yml
example "# prometheus.yml" >prometheus.yml
curl -s "$url/metrics" >metrics.log
while read -r metric; do
	grep -q "^${metric}[ {]" metrics.log || die "an alert is about $metric, which is not there"
done < <(grep -o 'net_watcher_[a-z_]*' net-watcher.rules.yml)
lacks promtool "the alerts" || promtool check config prometheus.yml
ends
status=0
timeout 10 ./net-watcher -connect "$address" "${health[@]:3}" 2>health.log || status=$?
((status == 1)) || die "the check of health without a server: status $status"
ok "the check of health"

# kubectl's source has the schemas of Kubernetes, for its tests.
example "# web.yaml" >web.yaml
kubectl=$(cd "$folder" && go mod download -json k8s.io/kubectl@v0.34.1 | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
python3 - "$kubectl/testdata/openapi/swagger.json" <<'END'
import json, sys
definitions = json.load(open(sys.argv[1]))["definitions"]
for name, schema in definitions.items():
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    for kind in schema.get("x-kubernetes-group-version-kind", []):
        file = "-".join(filter(None, [kind["kind"].lower(), kind["group"], kind["version"]])) + ".json"
        json.dump({"$ref": "all.json#/definitions/" + name}, open(file, "w"))
definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"] = ["string", "number"]
definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["type"] = ["string", "integer"]
json.dump({"definitions": definitions}, open("all.json", "w"))
END
go run github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 -strict -summary \
	-schema-location "$folder/{{.ResourceKind}}{{.KindSuffix}}.json" web.yaml

# swap TEXT: has the ConfigMap's directory changed as the kubelet does it.
swap() {
	local new old
	new=..$(date +%s.%N) old=$(readlink cm/..data || true)
	mkdir -p "cm/$new"
	echo "server { listen 127.0.0.1:$front; return 200 $1; }" >"cm/$new/default.conf"
	ln -s "$new" cm/..data_tmp
	mv -T cm/..data_tmp cm/..data
	if [[ $old ]]; then rm -r "cm/$old"; else ln -s ..data/default.conf cm/default.conf; fi
}
serving() { [[ $(curl -s "http://127.0.0.1:$front/") = "$1" ]]; }
if ! lacks nginx "the side-car"; then
	front=$(free_port)
	swap one
	cat >nginx.conf <<-END
		pid $folder/nginx.pid;
		events {}
		http {
			access_log off;
			client_body_temp_path $folder; proxy_temp_path $folder; fastcgi_temp_path $folder;
			uwsgi_temp_path $folder; scgi_temp_path $folder;
			include $folder/cm/*.conf;
		}
	END
	mkdir bin
	printf '#!/bin/sh\nexec %s -e %s -c %s "$@"\n' "$(command -v nginx)" "$folder/nginx.log" "$folder/nginx.conf" >bin/nginx
	chmod +x bin/nginx
	bin/nginx -g 'daemon off;' &
	pids+=($!)
	list command <web.yaml | sed -e 1d -e 's|^http://:8080$|http://127.0.0.1:0|' -e "s|/etc/nginx/conf.d|$folder/cm|" -e 's/sleep 5/sleep 1/' >sidecar
	mapfile -t sidecar <sidecar
	PATH=$folder/bin:$PATH ./net-watcher "${sidecar[@]}" 2>sidecar.log &
	pids+=($!)
	await "the side-car" grep -q listening sidecar.log
	await "nginx" serving one
	for text in two three; do
		swap "$text"
		await "a reload" serving "$text"
	done
	swap 'four; nonsense'
	await "what nginx says to nonsense" grep -q 'unknown directive "nonsense"' nginx.log
	serving three || die "nginx serves a configuration that is not valid"
	swap five
	await "a reload after nonsense" serving five
	ok "the side-car"
fi

if ! lacks nft "the firewall"; then
	example "table inet" >firewall.nft
	if [[ $(id -u) = 0 ]]; then check=(nft); else check=(sudo -n nft); fi
	if "${check[@]}" list tables >/dev/null 2>nft.log; then
		"${check[@]}" -c -f firewall.nft
		ok "nft -c"
	else
		echo "not checked: the firewall ($(<nft.log))"
	fi
fi

if ! lacks logrotate "logrotate"; then
	example copytruncate | sed "s|/var/log/|$folder/log/|" >logrotate.conf
	mkdir -m 755 log
	./net-watcher -v -interval 20ms -listen ./socket conf 2>>log/net-watcher.log &
	pids+=($!)
	# logged N: whether the file begins with N changes.
	logged() { [[ $(grep -c modified log/net-watcher.log) = "$1" ]]; }
	for n in 1 2; do
		await "the console" logged 0
		await "the start" test -S socket
		echo "$n" >>conf/a
		await "a change on the console" logged 1
		logrotate -f -s "$folder/logrotate.state" logrotate.conf
	done
	[[ $(zcat log/net-watcher.log.1.gz | tr -d '\0' | wc -c) = $(zcat log/net-watcher.log.1.gz | wc -c) ]] || die "there are holes in the log"
	ok "logrotate"
fi

if ! lacks haproxy "haproxy's configuration"; then
	for text in "option httpchk" tcp-ut; do
		{
			printf '%s\n' defaults "timeout connect 5s" "timeout client 50s" "timeout server 50s" "mode http" \
				"listen other" "bind 127.0.0.1:1"
			example "$text"
		} >haproxy.cfg
		haproxy -c -f haproxy.cfg >haproxy.log 2>&1 || die "haproxy: $(<haproxy.log)"
	done
	ok "haproxy -c"
fi

sshd=$(command -v sshd || true)
if ! lacks sshd "ssh"; then
	[[ $(id -u) != 0 ]] || mkdir -p /run/sshd # as the package's service does
	for key in host user; do ssh-keygen -q -t ed25519 -N '' -f "$key.key"; done
	far=$(free_port) here=$(free_port)
	./net-watcher -interval 20ms -listen "127.0.0.1:$far" -listen ./far.sock conf 2>ssh-server.log &
	pids+=($!)
	await "the server for ssh" grep -q listening ssh-server.log
	echo "$(example permitopen= | sed "s|localhost:60300|127.0.0.1:$far|") $(<user.key.pub)" >limited.pub
	options=(-i user.key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o LogLevel=ERROR)

	# tunnel KEYS LINE: runs an sshd for these public keys, and the line of the docs through it.
	tunnel() {
		local door args
		door=$(free_port)
		printf '%s\n' "ListenAddress 127.0.0.1:$door" "HostKey $folder/host.key" "AuthorizedKeysFile $folder/$1" \
			"PidFile none" "UsePAM no" "StrictModes no" >sshd.conf
		"$sshd" -D -e -f "$folder/sshd.conf" 2>>sshd.log &
		pids+=($!)
		read -ra args < <(sed -e "s|60300:localhost:60300|127.0.0.1:$here:127.0.0.1:$far|" \
			-e "s|./watch.sock:/run/net-watcher/socket|./near.sock:$folder/far.sock|" -e 's/HOST/127.0.0.1/' <<<"$2")
		await "sshd" nc -z 127.0.0.1 "$door"
		"${args[0]}" "${options[@]}" -p "$door" "${args[@]:1}" 2>ssh.log &
		pids+=($!)
	}
	scanned() { timeout 10 ./net-watcher -connect "$1" -scan -once 2>scan.log; }
	mapfile -t lines < <(example "ssh -N -L ./watch.sock")
	tunnel limited.pub "${lines[0]}"
	await "the tunnel to a port" scanned "127.0.0.1:$here"
	! ssh "${options[@]}" -p "$(sed -n 's/^ListenAddress .*://p' sshd.conf)" 127.0.0.1 echo in >in.log || die "the limited key runs commands"
	[[ ! -s in.log ]] || die "the limited key runs commands"
	tunnel user.key.pub "${lines[1]}"
	await "the tunnel to a socket" scanned ./near.sock
	ok "ssh"
fi
ok "all"
