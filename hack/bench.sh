#!/usr/bin/env bash
# Measures, and writes bench/results.md: exec to Eviction on a cluster of its own, and expressions
# beside the API server's own engine.
#
# usage: bench.sh [exec|expressions]      one part alone; what the page says of the other stays
#
# EXECS=900 says how many shells are run by exec, in pairs with a bare client that evicts a pod, in
# RUNS=3 runs; each waits for the pod before to be replaced.
# BY_APPLICATION=200 says how many come after them that the application itself starts, RESTED=5 how many
# after these, by exec, each after 100 seconds in which nothing happens. ROUNDS=100
# says how often each side of the expressions has its turn.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
# shellcheck source=hack/steps.sh
. hack/steps.sh
part=${1:-all}
case $part in
all | exec | expressions) ;;
*)
	printf 'bench.sh: no part is called %s; there are: exec expressions\n' "$part" >&2
	exit 2
	;;
esac
page=bench/results.md
title='## Expressions beside'
# shellcheck disable=SC2154 # $logs comes from steps.sh
section=$logs/section
if [ "$part" = exec ]; then
	sed -n "/^$title/,\$p" "$page" >"$section"
else
	step "programs" cargo build --locked --release -p bailiff-bench --bin bailiff-bench-expressions
	step "the API server's engine" hack/oracle.sh
	target/release/bailiff-bench-expressions --peer "$(hack/oracle.sh)" --rounds "${ROUNDS:-100}" >"$section"
fi
if [ "$part" = expressions ]; then
	sed -i "/^$title/,\$d" "$page"
else
	# shellcheck source=hack/bench-cluster.sh
	. hack/bench-cluster.sh
	target/debug/bailiff-bench --kubeconfig "$KUBECONFIG" --execs "${EXECS:-900}" --runs "${RUNS:-3}" --by-application "${BY_APPLICATION:-200}" --rested "${RESTED:-5}" --output "$page"
	printf '\n' >>"$page"
fi
cat "$section" >>"$page"
cat "$page"
