#!/usr/bin/env bash
# Records scripts/demo.sh for the head of the README, as it runs here: docs/demo.svg. It
# needs port 60300, and npm, which fetches svg-term. Look at the picture before you commit
# it: open it in a browser.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for program in asciinema unshare tmux watch nc npx python3; do
	need "$program" "apt install asciinema util-linux tmux procps netcat-openbsd nodejs npm python3"
done
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pids=() folder=$(mktemp -d)
trap cleanup EXIT
cd "$folder"

# The demo makes its folder, with the socket of its tmux, in this one.
mkdir demo
export TMPDIR=$folder/demo TZ=UTC LC_ALL=C.UTF-8 TERM=xterm-256color
socket() { echo "$folder"/demo/*/tmux; }
demo() { command tmux -S "$(socket)" "$@"; }
attached() { [[ $(demo list-clients) ]]; }
received() { (($(demo capture-pane -p -t demo:0.2 | grep -c "$1") >= $2)); }
{
	poll attached
	poll received modified 4
	for key in j s o n Enter; do # before the next change
		demo send-keys -t demo:0.2 "$key"
		sleep 0.1
	done
	poll received '"changed"' 4
	demo detach-client
} &
pids+=($!)

# watch shows the name of the host, which is "demo" in a namespace of its own.
unshare --map-root-user --uts sh -c 'hostname demo && exec "$@"' - \
	asciinema rec -q -y --cols 96 --rows 25 -c "$scripts/demo.sh" demo.cast </dev/null

# The film begins with the first picture and ends with the last change, which stays for two
# seconds.
python3 - <<'END'
import json

with open("demo.cast") as f:
    head, *events = [json.loads(line) for line in f]
changes = [i for i, (_, _, text) in enumerate(events) if '"changed"' in text]
if not changes:
    raise SystemExit("the demo shows no change: " + "".join(text for _, _, text in events))
begin, end = events[0][0], events[changes[-1]][0]
with open("cut.cast", "w") as f:
    for line in [head, *events[: changes[-1] + 1], [end + 2, "o", "\x1b[m"]]:
        print(json.dumps(line if line is head else [line[0] - begin, *line[1:]]), file=f)
END
npx --yes svg-term-cli@2.1.1 --in cut.cast --out demo.svg --window
# With a viewBox every browser scales it, and in slightly smaller letters no font is wider
# than svg-term expects.
sed -i -E -e '1s/ width="([0-9.]+)" height="([0-9.]+)">/ width="\1" height="\2" viewBox="0 0 \1 \2">/' \
	-e 's/font-size="1\.67"/font-size="1.66"/' demo.svg
grep -q '^<svg [^>]*viewBox=' demo.svg || die "svg-term has another first line: $(head -c 200 demo.svg)"

python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' demo.svg
# Each word is an element.
for text in '>connected:<' '>modified<' '>json<' '>{&quot;type&quot;:&quot;changed&quot;,'; do
	grep -qF -- "$text" demo.svg || die "the film does not show $text"
done
for text in "$(uname -n)" "$(id -un)" "$folder" "$scripts"; do
	! grep -qF -- "$text" demo.svg || die "the film shows \"$text\""
done
mv demo.svg "$scripts/../docs/demo.svg"
wc -c "$scripts/../docs/demo.svg"
