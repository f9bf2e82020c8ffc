#!/usr/bin/env bash
# A long run on a cluster of its own: shells are run and answered, round after round. It fails
# when one was not answered, when a component was started anew, or when memory grew by more than
# a quarter after the first round.
#
# Before that, all kernel tests run on each kernel, also on arm64, which takes an hour or two with two processors. Then
# each runtime starts 100 containers and 100 programs in one under a policy against executables from memory, which finds
# nothing.
#
# MINUTES=60 says how long, EXECS=200 how many shells by exec a round has; two that the application
# itself starts come after them, because a third would open the circuit breaker.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
# shellcheck source=hack/steps.sh
. hack/steps.sh
step "packages" testbed/install.sh arm64
step "the sensor on all kernels" env TESTS=all hack/kernels.sh 5.10 6.1 6.12 6.12-lockdown 6.12-integrity newest newest-lockdown arm64-6.1 arm64-6.12
step "the newest runc" hack/tools.sh runc
step "100 containers of each runtime" env BAILIFF_CONTAINER_STARTS=100 "BAILIFF_NEWEST_RUNC=$(hack/tools.sh runc)/runc" \
	cargo test --locked -p bailiff-sensor --lib is_an_executable_from_memory
# shellcheck source=hack/bench-cluster.sh
. hack/bench-cluster.sh

# Kilobytes of memory of all of Bailiff's processes that are a component.
memory() {
	ps -eo rss=,args= | awk '$2 ~ /bailiff$/ && ($3 == "sensor" || $3 == "controller") { sum += $1 } END { print sum + 0 }'
}

mkdir -p target/soak
until=$((SECONDS + ${MINUTES:-60} * 60))
first=''
round=0
while [ "$SECONDS" -lt "$until" ]; do
	round=$((round + 1))
	# shellcheck disable=SC2154 # $logs comes from steps.sh
	target/debug/bailiff-bench --kubeconfig "$KUBECONFIG" --execs "${EXECS:-200}" --runs 1 --by-application 2 --rested 0 --output "target/soak/$round.md" 2>"$logs/round" || {
		cat "$logs/round" >&2
		printf 'soak.sh: round %d failed\n' "$round" >&2
		exit 1
	}
	kubectl delete incidents,configmaps --all -n bailiff-bench >/dev/null
	now=$(memory)
	: "${first:=$now}"
	printf 'round %d: every exec answered; memory of all components %d KiB (first round: %d KiB)\n' "$round" "$now" "$first"
done
restarts=$(kubectl get pods -n bailiff-system -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}')
case $restarts in
*[1-9]*)
	printf 'soak.sh: a component was started anew (restarts: %s); see kubectl logs --previous\n' "$restarts" >&2
	exit 1
	;;
esac
if [ "$now" -gt $((first + first / 4)) ]; then
	printf 'soak.sh: memory grew from %d KiB to %d KiB\n' "$first" "$now" >&2
	exit 1
fi
printf 'soak: %d rounds, no restart, memory from %d KiB to %d KiB\n' "$round" "$first" "$now"
