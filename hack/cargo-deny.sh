#!/usr/bin/env bash
# Installs cargo-deny into the cache, once for each version.
set -euo pipefail
version=0.20.2
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
root=$cache/tools/cargo-deny-$version
if [ ! -x "$root/bin/cargo-deny" ]; then
	# It runs for seconds: a build that takes minutes less is worth more than a fast program.
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
		cargo install --locked --quiet --no-track --version "$version" --root "$root" --no-default-features cargo-deny
fi
mkdir -p "$cache/bin"
ln -sfn "$root/bin/cargo-deny" "$cache/bin/cargo-deny"
