#!/usr/bin/env bash
# Runs the tests on a real cluster: starts it, installs Bailiff by its chart, runs every story,
# takes it down again, also when a story fails.
#
# usage: e2e.sh [argument of cargo test…]        for example: e2e.sh --test evict
set -euo pipefail
cd "$(dirname "$0")/.."
:
export BAILIFF_E2E_IMAGE=${BAILIFF_E2E_IMAGE:-$PWD/target/image/bailiff.tar}
down() { cargo run --locked -q -p bailiff-testbed -- down; }
trap down EXIT
cargo run --locked -q -p bailiff-testbed -- up
eval "$(cargo run --locked -q -p bailiff-testbed -- env)"
export BAILIFF_E2E_KUBECONFIG=$KUBECONFIG BAILIFF_E2E_CLUSTER=$cluster
unset KUBECONFIG
cargo test --locked -p bailiff-e2e "$@"
