#!/usr/bin/env bash
# Keeps what is compiled of the libraries in the cache, so that a fresh clone compiles our own crates alone.
#
# usage: compiled-dependencies.sh restore|save
#
# restore: gives target/ what the cache has, if nothing is compiled there yet. save: puts into the cache what target/
# has, in place of what was there. Cargo itself decides by its fingerprints what of it is of use, so the content can be
# older than Cargo.lock. Our own crates are left out: their paths are those of the clone. Files are copied and not
# linked, because cargo writes some of its own in place, and a build must change no other one's.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
target=${CARGO_TARGET_DIR:-$PWD/target}
compiler=$(rustc -vV | sha256sum)
kept=$cache/compiled/${compiler:0:12}

# profiles FOLDER: the folders of profiles in it, such as debug.
profiles() {
	[ -d "$1" ] || return 0
	(cd "$1" && find . -maxdepth 4 -type d -name .fingerprint -printf '%h\n')
}

# copy FROM TO: reads names of files in FROM, a line each, and gives TO the same, with the folders above them.
copy() {
	local names
	mkdir -p "$2"
	names=$(mktemp)
	sort -u >"$names"
	(cd "$1" && xargs -r -d '\n' -a "$names" cp -a --reflink=auto --parents -t "$2")
	rm -f "$names"
}

# libraries FOLDER: what the profile in this folder has of libraries. A unit is NAME-HASH, and its files have the hash.
libraries() {
	(
		cd "$1"
		find .fingerprint -mindepth 1 -maxdepth 1 -type d ! -name 'bailiff*' -printf '%f\n' |
			awk -v units="$(find .fingerprint -mindepth 1 -maxdepth 1 -type d -name 'bailiff*' -printf '%f\n' | tr '\n' ' ')" '
				BEGIN { split(units, list, " "); for (i in list) { sub(/.*-/, "", list[i]); ours[list[i]] = 1 } }
				{ hash = $0; sub(/.*-/, "", hash); if (!(hash in ours)) { print hash } }' >"$hashes"
		for part in .fingerprint build deps; do
			[ -d "$part" ] || continue
			find "$part" -mindepth 1 -maxdepth 1 ! -name '*bailiff*' |
				awk 'NR == FNR { wanted[$0] = 1; next } { hash = $0; sub(/.*-/, "", hash); sub(/\..*/, "", hash); if (hash in wanted) print }' "$hashes" -
		done
	)
}

hashes=$(mktemp)
trap 'rm -f "$hashes"' EXIT
case ${1:-} in
restore)
	for profile in $(profiles "$kept"); do
		[ ! -d "$target/$profile/.fingerprint" ] || continue
		libraries "$kept/$profile" | copy "$kept/$profile" "$target/$profile"
	done
	;;
save)
	mkdir -p "$cache/compiled"
	# Another run would write the same files at the same time.
	exec 8>"$cache/compiled/lock"
	flock 8
	rm -rf "$kept.new"
	for profile in $(profiles "$target"); do
		libraries "$target/$profile" | copy "$target/$profile" "$kept.new/$profile"
	done
	# Of one compiler alone: each has gigabytes.
	find "$cache/compiled" -mindepth 1 -maxdepth 1 -type d ! -name "$(basename "$kept").new" -exec rm -rf {} +
	[ ! -d "$kept.new" ] || mv "$kept.new" "$kept"
	;;
*)
	printf 'usage: compiled-dependencies.sh restore|save\n' >&2
	exit 2
	;;
esac
