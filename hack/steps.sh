# shellcheck shell=bash
# Runs the steps of a longer job: says what begins, how long it took, and shows the whole output
# of a step that failed. Sourced by the scripts beside it.

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# step NAME COMMAND…: runs the command quietly; its output is shown when it fails.
step() {
	local name=$1 started=$SECONDS
	shift
	printf '%-36s' "$name …" >&2
	if "$@" >"$logs/step" 2>&1; then
		printf ' ok, %d s\n' $((SECONDS - started)) >&2
	else
		local code=$?
		printf ' FAILED (exit %d) after %d s\n' "$code" $((SECONDS - started)) >&2
		cat "$logs/step" >&2
		printf '\nfailed: %s\n  %s\n' "$name" "$*" >&2
		return "$code"
	fi
}
