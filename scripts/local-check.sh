#!/usr/bin/env bash
# Tries net-watcher on one machine, as its user would type it, in a terminal: a build, a
# development server, scripts that wait, filters; then each line of docs/guide.md's table
# for those who know another watcher, with that watcher beside it. The script names those
# watchers that are not installed.
#
#   scripts/local-check.sh          those that are installed
#   scripts/local-check.sh -all     fails if one is not installed (npm fetches two of them)
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case $* in
	'' | -all) ;;
	*) echo "usage: scripts/local-check.sh [-all]" >&2; exit 2 ;;
esac
all=${1-}
need tmux "apt install tmux, or brew install tmux"
need make "apt install make, or xcode-select --install"

setup
export PATH="$PWD:$PWD/node_modules/.bin:$PATH"
echo "PS1='\$ '" >rc
tmux new-session -d -s s -x 200 -y 50 "sleep 10000"
tmux set-option -g default-command "bash --noprofile --rcfile $PWD/rc"
failed=0

# terminal NAME: opens a terminal in a folder of its own, with the same few files.
terminal() {
	mkdir "$1"
	(
		cd "$1"
		mkdir -p src/sub .git
		echo 1 | tee src/a.c src/b.go src/sub/c.js src/notes.txt .git/index >target.txt
		printf 'all:\n\t@echo built; cat src/a.c\n' >Makefile
		cat >server.js <<-'END'
			const http = require('http'), fs = require('fs')
			const body = fs.readFileSync('src/sub/c.js')
			http.createServer((_, r) => r.end(body)).listen(+process.argv[2], '127.0.0.1', () => console.log('serving ' + body))
		END
	)
	name=$1
	problem=
	tmux new-window -d -n "$name" -c "$folder/$name"
	poll shows "$name" '^\$' || die "no shell in the terminal"
}

# type WORDS: types them, and Enter.
type() { tmux send-keys -t "$name" -l "$*" && tmux send-keys -t "$name" Enter; }

# sees PATTERN: waits until the terminal has it.
sees() { [[ $problem ]] || poll shows "$name" "$1" || problem="does not show: $1"; }

# lines PATTERN NUMBER: waits until the terminal has so many lines of it, and not more.
lines() {
	[[ $problem ]] && return
	poll counts "$1" "$2" && sleep 0.3 && counts "$1" "$2" || problem="does not show $2 times: $1"
}
counts() { [[ $(screen "$name" | grep -cE "$1") = "$2" ]]; }

# edit FILE...: changes files, at another time than before.
edit() { for file; do echo "$RANDOM$RANDOM" >>"$folder/$name/$file"; done; }

# stop: types Ctrl-C, and waits for the prompt.
stop() {
	tmux send-keys -t "$name" C-c
	[[ $problem ]] || poll prompt || problem="does not end with Ctrl-C"
}
# shellcheck disable=SC2317
prompt() { screen "$name" | tail -n 1 | grep -qE '(^|\^C)\$ ?$'; }

# done_with WHAT: reports what works, or the problem.
done_with() {
	if [[ $problem ]]; then
		printf '%-8s %s: %s\n' FAILED "$1" "$problem"
		screen "$name"
		failed=1
	else
		printf '%-8s %s\n' works "$1"
	fi
	tmux kill-window -t "$name"
}

watching='watching .* every 1s'

terminal build
type net-watcher -initial src -- make
lines ^built 1
edit src/a.c
lines ^built 2
rm -r "$folder/build/src/sub"
lines ^built 3
stop
done_with "net-watcher -initial src -- make"

terminal server
port=$((20000 + RANDOM % 10000))
command="net-watcher -restart -initial . -- node server.js $port"
if command -v node >/dev/null; then
	type "$command"
	lines ^serving 1
	for n in 2 3; do
		edit src/sub/c.js
		lines ^serving "$n"
	done
	! shows server 'EADDRINUSE|Error' || problem="the port is in use"
	stop
	! (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null || problem="the server is left behind"
fi
done_with "$command"

terminal settle
type "net-watcher -settle 2s src -- sh -c 'echo run'"
sees "$watching"
for n in 1 2 3 4; do edit src/a.c; sleep 1; done
lines ^run 1
edit src/a.c
lines ^run 2
stop
done_with "net-watcher -settle 2s src -- ...: one run for changes one after another"

terminal wait
type 'timeout 60 net-watcher -once -initial -listen - later.txt; echo "status $?"'
sees "$watching"
edit later.txt
sees 'created later.txt'
lines '^status 0' 1
type 'timeout 60 net-watcher -once -initial -listen - later.txt; echo "status $?"'
lines '^status 0' 2
type 'timeout 1 net-watcher -once -listen - later.txt; echo "status $?"'
lines '^status 124' 1
done_with "net-watcher -once -initial -listen - later.txt"

terminal status
type "net-watcher -once src -- sh -c 'exit 3'; echo \"status \$?\""
sees "$watching"
edit src/a.c
lines '^status 3' 1
done_with "net-watcher -once src -- sh -c 'exit 3'"

terminal pipe
# shellcheck disable=SC2016
type 'net-watcher -listen - -format json src | head -n 1; echo "status ${PIPESTATUS[0]}"'
sees "$watching"
edit src/a.c
sees '"change":"modified"'
edit src/a.c
lines '^status 0' 1
done_with "net-watcher -listen - -format json src | head -n 1"

terminal scan
type 'net-watcher -interval 1h -listen ./s src & sleep 1; echo x >>src/a.c; net-watcher -connect ./s -scan; echo "status $?"'
sees 'modified src/a.c'
lines '^status 0' 1
type 'net-watcher -connect ./s -scan; echo "status $?"'
lines '^status 0' 2
lines 'modified src/a.c' 1
type 'kill %1'
done_with "net-watcher -connect ./s -scan"

terminal filter
type "net-watcher -only '*.c' -only '*.go' -ignore .git/ -listen - ."
sees "$watching"
edit .git/index src/notes.txt src/b.go src/a.c
lines '(modified|created)' 2
sees 'modified ./src/b.go'
stop
done_with "net-watcher -only '*.c' -only '*.go' -ignore .git/ -listen - ."

terminal checkout
type "net-watcher -content=changed -listen - src"
sees "$watching"
touch "$folder/checkout/src/a.c"
sleep 2
edit src/b.go
lines '(modified|created)' 1
stop
done_with "net-watcher -content=changed -listen - src: a touch is no event"

terminal loop
type "net-watcher -interval 50ms src -- sh -c 'echo run; echo x >>src/a.c'"
sees 'watching src every 50ms'
edit src/b.go
sees 'sh has run 10 times in a row'
stop
done_with "net-watcher src -- a command that writes below src"

# beside PROGRAM WHAT OURS WHEN...: WHAT, typed, acts when a file changes, and OURS does too.
# Both print "ran", for each change that the words WHEN make.
beside() {
	local program=$1 theirs=$2 ours=$3
	if ! command -v "$program" >/dev/null; then
		printf '%-8s %s\n' missing "$theirs"
		[[ $all != -all ]] || failed=1
		return
	fi
	shift 3
	number=$((number + 1))
	local command first
	for command in "$theirs" "$ours"; do
		terminal "pair$number${command%%[^a-z]*}"
		type "$command"
		sleep 1.5 # another program may say nothing when it is ready
		! prompt || problem="has ended"
		first=$(screen "$name" | grep -c '^ran' || true)
		"$@"
		[[ $problem ]] || poll ran_since "$first" || problem="does not act on: $*"
		stop
		if [[ $problem ]]; then
			done_with "$command"
			return
		fi
		tmux kill-window -t "$name"
	done
	printf '%-8s %s\n%-8s   %s\n' same "$theirs" '' "$ours"
}
number=0
# shellcheck disable=SC2317
ran_since() { (($(screen "$name" | grep -c '^ran') > $1)); }

if [[ $all ]] && command -v npm >/dev/null; then
	npm install --silent --no-fund --no-audit nodemon@3 chokidar-cli@3 >npm.log 2>&1 || cat npm.log
fi
beside entr "ls src/*.c | entr echo ran" "net-watcher -initial -only '*.c' src -- echo ran" edit src/a.c
beside entr "ls src/*.c | entr -p echo ran" "net-watcher -only '*.c' src -- echo ran" edit src/a.c
beside entr "ls src/*.c | entr -r sh -c 'echo ran; exec sleep 100'" \
	"net-watcher -restart -initial -only '*.c' src -- sh -c 'echo ran; exec sleep 100'" edit src/a.c
beside entr "ls src/*.c | entr -p sh -c 'echo ran \$0' /_" \
	"net-watcher -only '*.c' src -- sh -c 'echo ran \$NET_WATCHER_FILE'" edit src/a.c
beside inotifywait "inotifywait -q -m -r --format 'ran %w%f' src" "net-watcher -listen - src | sed -u 's/^/ran /'" edit src/a.c
beside inotifywait "while inotifywait -qq -r -e modify,create,delete,move src; do echo ran; done" \
	"net-watcher src -- echo ran" edit src/a.c
beside fswatch "fswatch -r src | sed -u 's/^/ran /'" "net-watcher -listen - src | sed -u 's/^/ran /'" edit src/a.c
beside fswatch "fswatch -o src | xargs -I{} echo ran" "net-watcher src -- echo ran" edit src/a.c
beside nodemon "nodemon --quiet --watch src --ext js --exec 'echo ran; sleep 100'" \
	"net-watcher -restart -initial -only '*.js' src -- sh -c 'echo ran; sleep 100'" edit src/sub/c.js
beside chokidar "chokidar 'src/**/*.js' -c 'echo ran'" "net-watcher -only '*.js' src -- echo ran" edit src/sub/c.js

exit $failed
