#!/usr/bin/env bash
# Builds the program that unpacks layers as containerd does (conformance/layers) into the cache; prints its path. A
# program that was built from the same source is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
sum=$(cat conformance/layers/*.go conformance/layers/go.mod conformance/layers/go.sum | sha256sum)
program=$cache/tools/layer-oracle-${sum:0:12}/layer-oracle
if [ ! -x "$program" ]; then
	if ! command -v go >/dev/null; then
		printf 'layer-oracle.sh: go is not installed; it builds the program that layers are compared with\n' >&2
		exit 1
	fi
	mkdir -p "$(dirname "$program")"
	# Another run would write the same file at the same time.
	exec 8>"$cache/lock"
	flock 8
	cd conformance/layers
	for attempt in 1 2 3 4 5; do
		if go mod download; then
			break
		fi
		printf 'layer-oracle.sh: attempt %d to download the modules of containerd failed\n' "$attempt" >&2
		sleep $((attempt * 5))
	done
	go build -o "$program.new" .
	mv "$program.new" "$program"
fi
printf '%s\n' "$program"
