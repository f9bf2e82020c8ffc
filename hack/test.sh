#!/usr/bin/env bash
# The one test command: everything, or one part of it.
#
# usage: test.sh [unit|e2e]
#
# unit: lints and the tests that need no cluster. e2e: the tests on a real cluster, in a cluster
# of two nodes that is started for them and taken down at the end, also when they fail.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
# shellcheck source=hack/steps.sh
. hack/steps.sh
part=${1:-all}
started=$SECONDS
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
export PATH=$cache/bin:$PATH

case $part in
all | unit | e2e) ;;
*)
	printf 'test.sh: no part is called %s; there are: unit e2e\n' "$part" >&2
	exit 2
	;;
esac

# Optimization has compiled a condition wrongly before, which no test without it can find.
released_program_reads_its_image() {
	local program
	program=target/$(rustc -vV | sed -n 's/^host: //p')/release/bailiff
	# shellcheck disable=SC2154 # $logs comes from steps.sh
	head -n 1 crates/scan/tests/data/osv-made.jsonl >"$logs/advisory.json"
	"$program" feed build --file "$logs/index" "osv=$logs/advisory.json"
	"$program" scan oci:target/image/bailiff.tar --index "$logs/index" -o "json=$logs/scan.json"
	if ! grep -q '"errors": \[\]' "$logs/scan.json"; then
		printf 'test.sh: the released program cannot read all of its own image\n' >&2
		return 1
	fi
}

step "packages" testbed/install.sh
step "compiled libraries of the cache" hack/compiled-dependencies.sh restore

if [ "$part" != e2e ]; then
	step "programs of the test cluster" hack/tools.sh
	hack/lint.sh
	step "build of the tests" cargo test --locked --workspace --no-run
	step "the API server's engine" hack/oracle.sh
	BAILIFF_CEL_ORACLE=$(hack/oracle.sh)
	export BAILIFF_CEL_ORACLE
	step "comparators of versions" hack/version-oracles.sh
	BAILIFF_VERSION_ORACLES=$(hack/version-oracles.sh)
	export BAILIFF_VERSION_ORACLES
	step "containerd's unpacking" hack/layer-oracle.sh
	BAILIFF_LAYER_ORACLE=$(hack/layer-oracle.sh)
	export BAILIFF_LAYER_ORACLE
	step "packages that are scanned" hack/scan-artifacts.sh
	BAILIFF_SCAN_ARTIFACTS=$(hack/scan-artifacts.sh)
	export BAILIFF_SCAN_ARTIFACTS
	step "promtool" hack/promtool.sh
	step "the newest runc" hack/tools.sh runc
	BAILIFF_NEWEST_RUNC=$(hack/tools.sh runc)/runc
	export BAILIFF_NEWEST_RUNC
	# The output of the tests themselves is shown: it names every test and their number.
	cargo test --locked --workspace --no-fail-fast --exclude bailiff-e2e --exclude bailiff-testbed
	step "the sensor on other kernels" hack/kernels.sh
	hack/fuzz.sh brief
fi
if [ "$part" != unit ]; then
	step "programs of the test cluster" hack/tools.sh
	step "image" hack/image.sh
	step "scan by the released program" released_program_reads_its_image
	# shellcheck source=hack/one-cluster.sh
	. hack/one-cluster.sh
	cargo test --locked -p bailiff-testbed -- --test-threads=1 9>&-
	hack/e2e.sh
fi
step "compiled libraries to the cache" hack/compiled-dependencies.sh save
printf '\nall tests passed in %d min %d s\n' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60))
