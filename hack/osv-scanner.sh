#!/usr/bin/env bash
# Prepares osv-scanner in the version that is named here, whose findings and times ours are compared with, in the
# cache; prints the program. It comes from the Go module proxy, whose checksum database says that it is what others
# got.
set -euo pipefail
cd "$(dirname "$0")/.."
version=2.5.0

cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
folder=$cache/tools/osv-scanner-$version
if [ -x "$folder/osv-scanner" ]; then
	printf '%s\n' "$folder/osv-scanner"
	exit 0
fi
if ! command -v go >/dev/null; then
	printf 'osv-scanner.sh: go is not installed; make packages installs it on Debian\n' >&2
	exit 1
fi
mkdir -p "$cache/tools"
# Another run would write the same files at the same time.
exec 8>"$cache/lock"
flock 8
new=$folder.new
rm -rf "$new"
mkdir -p "$new"
for attempt in 1 2 3 4 5; do
	if GOBIN=$new GOFLAGS=-mod=mod go install "github.com/google/osv-scanner/v2/cmd/osv-scanner@v$version" >&2; then
		rm -rf "$folder"
		mv "$new" "$folder"
		printf '%s\n' "$folder/osv-scanner"
		exit 0
	fi
	printf 'osv-scanner.sh: attempt %d failed\n' "$attempt" >&2
	sleep $((attempt * 5))
done
exit 1
