#!/usr/bin/env bash
# Builds the container image as an archive that containerd, docker and registries' tools read:
# one layer, one file, the static program. No Docker is needed.
#
# usage: image.sh [OUTPUT]        default: target/image/bailiff.tar
#
# PROFILE=dev builds faster what runs slower. The image is called $IMAGE, by default bailiff.dev/bailiff:VERSION with the workspace's version.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
output=${1:-target/image/bailiff.tar}
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"$/\1/p' Cargo.toml)
image=${IMAGE:-bailiff.dev/bailiff:$version}
profile=${PROFILE:-release}
triple=$(rustc -vV | sed -n 's/^host: //p')

# With an explicit target the flags reach the program alone, and not the macros that help to
# build it, which cannot be static.
printf 'building the static program (%s) …\n' "$triple" >&2
BAILIFF_COMMIT=${BAILIFF_COMMIT:-$(git rev-parse --short=12 HEAD 2>/dev/null || true)} \
	RUSTFLAGS="-C target-feature=+crt-static" \
	cargo build --locked --quiet --profile "$profile" --target "$triple" -p bailiff
program=target/$triple/${profile/dev/debug}/bailiff
if ! file=$(readelf -lW "$program") || grep -q INTERP <<<"$file"; then
	printf 'image.sh: %s is not static; an image with nothing else in it could not run it\n' "$program" >&2
	exit 1
fi
mkdir -p "$(dirname "$output")"
cargo run --locked --quiet -p bailiff-testbed -- image --binary "$program" --name "$image" --output "$output"
printf '%s\n' "$output"
