#!/usr/bin/env bash
# Measures, and writes bench/results.md: exec to Eviction on a cluster of its own, the controller with
# 10,000 Incidents that wait, expressions beside the API server's own engine, admission reviews beside a
# handler that allows everything, packages matched beside osv-scanner, images read beside unpacking them,
# and what observing processes costs.
#
# usage: bench.sh [exec|waiting|expressions|admission|scan|image|sensor]      one part alone; what the page says of the others stays
#
# EXECS=900 says how many shells are run by exec, in pairs with a bare client that evicts a pod, in
# RUNS=3 runs; each waits for the pod before to be replaced.
# BY_APPLICATION=2 says how many come after them that the application itself starts: a third would open
# the circuit breaker. RESTED=5 says how many come after these, by exec, each after 100 seconds in which
# nothing happens. INCIDENTS=10000 says how many wait. ROUNDS=100 says how often each side of the
# expressions has its turn. TURNS=10 says how often each side of the reviews has its turns. ADVISORIES names a
# directory with the archives of OSV, PyPI/all.zip and so on, for scan and image; without it, they are downloaded.
# STARTS=10000 says how many programs a turn of sensor starts, LOOPS=5 how many turns it has, and SECONDS_AT_MOST=60
# how long it starts them as fast as possible; it needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
# shellcheck source=hack/steps.sh
. hack/steps.sh
part=${1:-all}
case $part in
all | exec | waiting | expressions | admission | scan | image | sensor) ;;
*)
	printf 'bench.sh: no part is called %s; there are: exec waiting expressions admission scan image sensor\n' "$part" >&2
	exit 2
	;;
esac
page=bench/results.md

# Prints what the page says of a part.
said() {
	awk -v part="$1" '
		/^# Measured/ { now = "exec" }
		/^## Waiting Incidents/ { now = "waiting" }
		/^## Expressions beside/ { now = "expressions" }
		/^## Admission reviews/ { now = "admission" }
		/^## Advisories/ { now = "scan" }
		/^## Processes that are observed/ { now = "sensor" }
		/^## Images/ { now = "image" }
		now == part' "$page"
}

# shellcheck disable=SC2154 # $logs comes from steps.sh
for each in exec waiting expressions admission scan image sensor; do
	said "$each" >"$logs/said-$each"
done
is() { [ "$part" = all ] || [ "$part" = "$1" ]; }
if is expressions; then
	step "programs" cargo build --locked --release -p bailiff-bench --bin bailiff-bench-expressions
	step "the API server's engine" hack/oracle.sh
	target/release/bailiff-bench-expressions --peer "$(hack/oracle.sh)" --rounds "${ROUNDS:-100}" >"$logs/said-expressions"
	printf '\n' >>"$logs/said-expressions"
fi
if is admission; then
	step "programs" cargo build --locked --release -p bailiff-bench --bin bailiff-bench-admission
	target/release/bailiff-bench-admission --rounds "${TURNS:-10}" >"$logs/said-admission"
fi
if is scan || is image; then
	step "programs" cargo build --locked --release -p bailiff -p bailiff-bench --bin bailiff --bin bailiff-bench-scan --bin bailiff-bench-image
	step "osv-scanner" hack/osv-scanner.sh
	if [ -z "${ADVISORIES:-}" ]; then
		ADVISORIES=$logs/advisories
		for ecosystem in Go Maven PyPI crates.io; do
			mkdir -p "$ADVISORIES/$ecosystem"
			step "advisories of $ecosystem" curl -sSf -o "$ADVISORIES/$ecosystem/all.zip" \
				"https://osv-vulnerabilities.storage.googleapis.com/$ecosystem/all.zip"
		done
	fi
fi
if is scan; then
	printf '\n' >"$logs/said-scan"
	target/release/bailiff-bench-scan --advisories "$ADVISORIES" --bailiff target/release/bailiff \
		--peer "$(hack/osv-scanner.sh)" >>"$logs/said-scan"
fi
if is sensor; then
	step "programs" cargo build --locked --release -p bailiff-bench --bin bailiff-bench-sensor
	printf '\n' >"$logs/said-sensor"
	target/release/bailiff-bench-sensor --starts "${STARTS:-10000}" --turns "${LOOPS:-5}" \
		--seconds "${SECONDS_AT_MOST:-60}" >>"$logs/said-sensor"
fi
if is image; then
	step "packages that are scanned" hack/scan-artifacts.sh
	step "index" target/release/bailiff feed build --file "$logs/index" \
		"osv=$ADVISORIES/PyPI/all.zip" "osv=$ADVISORIES/Go/all.zip"
	printf '\n' >"$logs/said-image"
	# osv-scanner is a large program of Go.
	target/release/bailiff-bench-image measure --bailiff target/release/bailiff --artifacts "$(hack/scan-artifacts.sh)" \
		--go "$(hack/osv-scanner.sh)" --go "$(hack/scan-artifacts.sh)/go/web" --index "$logs/index" >>"$logs/said-image"
fi
if is exec || is waiting; then
	# shellcheck source=hack/bench-cluster.sh
	. hack/bench-cluster.sh
fi
if is exec; then
	target/debug/bailiff-bench --kubeconfig "$KUBECONFIG" --execs "${EXECS:-900}" --runs "${RUNS:-3}" --by-application "${BY_APPLICATION:-2}" --rested "${RESTED:-5}" --output "$logs/said-exec"
	printf '\n' >>"$logs/said-exec"
fi
if is waiting; then
	target/debug/bailiff-bench-waiting --kubeconfig "$KUBECONFIG" --incidents "${INCIDENTS:-10000}" >"$logs/said-waiting"
	printf '\n' >>"$logs/said-waiting"
fi
cat "$logs/said-exec" "$logs/said-waiting" "$logs/said-expressions" "$logs/said-admission" "$logs/said-scan" "$logs/said-image" "$logs/said-sensor" | cat -s >"$page"
cat "$page"
