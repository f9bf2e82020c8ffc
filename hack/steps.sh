# shellcheck shell=bash
# Runs the steps of a longer job: says what begins, how long it took, and shows the whole output
# of a step that failed. Sourced by the scripts beside it.

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# step NAME COMMAND…: runs the command quietly; its output is shown when it fails. Meanwhile a
# terminal shows the seconds and the last line, a log gets a line a minute.
step() {
	local name=$1 started=$SECONDS code=0 ticker
	shift
	: >"$logs/step"
	printf '%-36s' "$name …" >&2
	# It ends with this script, however that ends.
	while sleep 1 && kill -0 $$ 2>/dev/null; do progress "$name" $((SECONDS - started)); done &
	ticker=$!
	"$@" >"$logs/step" 2>&1 || code=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	[ ! -t 2 ] || printf '\r\e[K%-36s' "$name …" >&2
	if [ "$code" -eq 0 ]; then
		printf ' ok, %d s\n' $((SECONDS - started)) >&2
	else
		printf ' FAILED (exit %d) after %d s\n' "$code" $((SECONDS - started)) >&2
		cat "$logs/step" >&2
		printf '\nfailed: %s\n  %s\n' "$name" "$*" >&2
	fi
	return "$code"
}

# How far a step is: its seconds, and what it printed last. What go downloads it says at the beginning
# of what may take minutes.
progress() {
	local last
	last=$(tail -n 200 "$logs/step" 2>/dev/null | grep -v '^go: downloading ' | tail -n 1 | tr -d '\000-\037' | cut -c 1-60) || last=
	if [ -t 2 ]; then
		printf '\r\e[K%-36s %d s  %s' "$1 …" "$2" "$last" >&2
	elif [ "$2" -gt 0 ] && [ $(($2 % 60)) -eq 0 ]; then
		printf '\n  %d min: %s\n%-36s' $(($2 / 60)) "$last" "" >&2
	fi
}
