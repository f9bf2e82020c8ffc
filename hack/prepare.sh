# shellcheck shell=bash
# What scripts have in common that prepare a program or a folder in the cache and print its path. Sourced by the scripts
# beside it, from the root of the repository.

cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
self=${0##*/}

# sum_of FILE…: the begin of the SHA-256 of files, which tells whether something was prepared from the same sources.
sum_of() {
	local sum
	sum=$(cat "$@" | sha256sum)
	printf '%s\n' "${sum:0:12}"
}

# need PROGRAM…: fails if a program is missing.
need() {
	local program
	for program in "$@"; do
		if ! command -v "$program" >/dev/null; then
			printf '%s: %s is not installed; make packages installs it on Debian\n' "$self" "$program" >&2
			exit 1
		fi
	done
}

# lock: waits for other runs, which would write the same files of the cache at the same time.
lock() {
	mkdir -p "$cache/tools"
	exec 8>"$cache/lock"
	flock 8
}

# download COMMAND…: runs a command that needs the network, five times before it gives up. What it prints is no path.
download() {
	local attempt
	for attempt in 1 2 3 4 5; do
		if "$@" >&2; then
			return
		fi
		printf '%s: attempt %d failed: %s\n' "$self" "$attempt" "$*" >&2
		sleep $((attempt * 5))
	done
	return 1
}

# go_program NAME FOLDER: builds the Go program of a folder of the repository; prints its path. A program that was built
# from the same source is used again.
go_program() {
	local program
	program=$cache/tools/$1-$(sum_of "$2"/*.go "$2/go.mod" "$2/go.sum")/$1
	if [ ! -x "$program" ]; then
		need go
		mkdir -p "$(dirname "$program")"
		lock
		(cd "$2" && download go mod download && go build -o "$program.new" .) >&2
		mv "$program.new" "$program"
	fi
	printf '%s\n' "$program"
}
