#!/usr/bin/env bash
# Runs the tests on a real cluster: starts it, loads the images, runs every story (which installs
# Bailiff by its chart), and takes the cluster down again, also when a story fails.
#
# usage: e2e.sh [argument of cargo test…]        for example: e2e.sh --test exec
#
# KEEP=1 leaves the cluster up afterwards, to look around: `cargo run -p bailiff-testbed -- env`.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
image=${BAILIFF_E2E_IMAGE:-target/image/bailiff.tar}
# An image that the caller names is taken as it is; ours is made from the source as it is now.
[ -n "${BAILIFF_E2E_IMAGE:-}" ] || hack/image.sh "$image" >/dev/null
cargo build --locked -q -p bailiff-testbed -p bailiff
testbed=target/debug/testbed
# shellcheck source=hack/one-cluster.sh
. hack/one-cluster.sh
if [ -z "${KEEP:-}" ]; then
	# Twice, if the first time a busy machine takes too long.
	trap '"$testbed" down --owner test || "$testbed" down --owner test' EXIT
fi
"$testbed" up --owner test 9>&-
"$testbed" load-test-images
"$testbed" load "$image"
eval "$("$testbed" env)"
export BAILIFF_E2E_KUBECONFIG=$KUBECONFIG
BAILIFF_E2E_PROGRAM=$PWD/target/debug/bailiff
export BAILIFF_E2E_PROGRAM
unset KUBECONFIG
# Faults start parts of the cluster anew.
cargo test --locked -p bailiff-e2e "$@" 9>&-
