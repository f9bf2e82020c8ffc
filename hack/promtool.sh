#!/usr/bin/env bash
# Puts promtool, of Debian's package prometheus, into the cache and prints its path. Only the program is
# unpacked: installing the package would start a server. A promtool in PATH is used instead.
set -euo pipefail
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
program=$cache/tools/promtool/promtool
if [ ! -x "$program" ]; then
	if command -v promtool; then
		exit 0
	fi
	if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
		printf 'promtool.sh: promtool not found; install it, for example from https://prometheus.io/download\n' >&2
		exit 1
	fi
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	cd "$folder"
	# The lists of packages may be missing or old.
	apt-get -o Acquire::Retries=5 download --quiet --quiet prometheus >&2 || {
		apt-get -o Acquire::Retries=5 update --quiet --quiet >&2
		apt-get -o Acquire::Retries=5 download --quiet --quiet prometheus >&2
	}
	dpkg-deb --extract prometheus_*.deb files
	mkdir -p "$(dirname "$program")"
	mv files/usr/bin/promtool "$program"
fi
printf '%s\n' "$program"
