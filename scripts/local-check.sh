#!/usr/bin/env bash
# Tries net-watcher on one machine, as its user would type it, in a terminal: a build, a
# development server, scripts that wait, filters; then each line of docs/guide.md's table
# for those who know another watcher, as it stands there, both sides. The script names those
# watchers that are not installed.
#
#   scripts/local-check.sh          those that are installed
#   scripts/local-check.sh -all     fails if one but watchexec is not installed (npm fetches two)
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

page=$(cd "$(dirname "${BASH_SOURCE[0]}")/../docs" && pwd)/guide.md
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

if [[ $all ]] && command -v npm >/dev/null; then
	npm install --silent --no-fund --no-audit nodemon@3 chokidar-cli@3 >npm.log 2>&1 || cat npm.log
fi

# acts NUMBER: whether the terminal has more than so many lines of a run, or of a changed file.
# shellcheck disable=SC2317
acts() { (($(actions) > $1)); }
actions() { screen "$name" | grep -cE '^ran|(^|[ /])a\.c' || true; }

# pair THEIRS OURS: types both, each in a terminal with programs that print "ran", and sees
# that both act on a change. THEIRS is left out if its program is not installed.
pair() {
	local i command program first file=src/a.c typed=()
	number=$((number + 1))
	case $2 in
		*.js*) file=src/sub/c.js ;;
		*.go*) file=main.go ;;
	esac
	for command in "$@"; do
		for program in entr inotifywait fswatch nodemon chokidar watchexec; do
			[[ " $command" = *" $program "* ]] || continue
			! command -v "$program" >/dev/null || break
			printf '%-8s %s\n' missing "$command"
			[[ $all != -all || $program = watchexec ]] || failed=1
			continue 2
		done
		terminal "pair$number-${#typed[@]}"
		typed+=("$command")
		(
			cd "$folder/$name"
			printf 'all:\n\t@echo ran\n' >Makefile
			printf '#!/bin/sh\necho ran\nexec sleep 100\n' >server
			chmod +x server
			echo "console.log('ran'); setInterval(() => {}, 1000)" >server.js
			echo '{"scripts": {"test": "echo ran"}}' >package.json
			echo 'module here' >go.mod
			printf 'package main\n\nfunc main() {\n\tprintln("ran")\n\tselect {}\n}\n' >main.go
			printf 'package main\n\nimport "testing"\n\nfunc Test(t *testing.T) {\n\tprintln("ran")\n\tt.Fail()\n}\n' >main_test.go
			touch .gitignore
		)
		type "$command"
	done
	sleep 1.5 # another program may say nothing when it is ready
	for i in "${!typed[@]}"; do
		name=pair$number-$i problem=''
		if [[ $2 = *-once* ]]; then
			sees ^ran
			poll prompt || problem="does not end"
		else
			! prompt || problem="has ended"
			first=$(actions)
			echo "//" >>"$folder/$name/$file"
			[[ $problem ]] || poll acts "$first" || problem="does not act on a change of $file"
			# Its loop would go on if Ctrl-C met make, which ends well all the same.
			[[ ${typed[i]} != while* ]] || poll counts 'Watches established' 2 || problem="does not wait again"
			stop
		fi
		done_with "${typed[i]}"
	done
}
number=0
while IFS= read -r -u 3 theirs && IFS= read -r -u 3 ours; do
	pair "$theirs" "$ours"
done 3< <(awk -F ' [|] ' '
	/^## / { inside = /another watcher/ }
	inside && /^\| `/ { split($1, theirs, "`"); split($2, ours, "`"); print theirs[2]; print ours[2] }
' "$page" | sed 's/\\|/|/g')
((number > 0)) || die "docs/guide.md has no table of other watchers"

exit $failed
