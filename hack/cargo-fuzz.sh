#!/usr/bin/env bash
# Installs cargo-fuzz into the cache, once for each version.
set -euo pipefail
version=0.13.2
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
root=$cache/tools/cargo-fuzz-$version
if [ ! -x "$root/bin/cargo-fuzz" ]; then
	# It runs for seconds: a build that takes minutes less is worth more than a fast program.
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
		cargo install --locked --quiet --no-track --version "$version" --root "$root" cargo-fuzz
fi
mkdir -p "$cache/bin"
ln -sfn "$root/bin/cargo-fuzz" "$cache/bin/cargo-fuzz"
