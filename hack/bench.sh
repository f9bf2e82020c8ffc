#!/usr/bin/env bash
# Measures on a cluster of its own, and writes bench/results.md.
#
# EXECS=500 says how many shells are run; a second passes between two.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
# shellcheck source=hack/steps.sh
. hack/steps.sh
# shellcheck source=hack/bench-cluster.sh
. hack/bench-cluster.sh
target/debug/bailiff-bench --kubeconfig "$KUBECONFIG" --execs "${EXECS:-500}" --output bench/results.md
cat bench/results.md
