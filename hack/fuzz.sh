#!/usr/bin/env bash
# Looks for inputs that break a law of the fuzz targets, and fails when it finds one.
#
# usage: fuzz.sh [brief]      brief: 30,000 inputs for each target, the same ones each time
#
# MINUTES=20 says how long each target runs,
# TARGET=parse|check|evaluate|reference|manifest|review|version|secdb|debian|cve|index runs one alone.
# What is learned stays in target/fuzz/corpus; an input that breaks a law is in target/fuzz/artifacts and
# belongs, made small, into crates/cel/tests/findings.rs; of the targets reference and review, into
# crates/oci/tests/references.txt and crates/webhook/tests/reviews.txt; of the targets manifest, version,
# secdb, debian, cve and index, into the file of that name in fuzz/.
#
# There is no sanitizer, which only nightly compilers have: what is fuzzed has no unsafe code, and a
# panic, an input that takes 10 seconds or 2 GiB are finds without one.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=$PWD/target/fuzz
# shellcheck source=hack/steps.sh
. hack/steps.sh
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
export PATH=$cache/bin:$PATH
limits=(-max_total_time=$((${MINUTES:-20} * 60)) -timeout=10)
corpus=$CARGO_TARGET_DIR/corpus
case ${1:-} in
brief)
	# Only a hang takes so long, however busy the machine is.
	limits=(-runs=30000 -seed=1 -reload=0 -timeout=120)
	# What was learned before would make the inputs others than those of the last run.
	# shellcheck disable=SC2154 # $logs comes from steps.sh
	corpus=$logs/corpus
	;;
'') ;;
*)
	printf 'fuzz.sh: no run is called %s; there is: brief\n' "$1" >&2
	exit 2
	;;
esac
limits+=(-rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 -verbosity=0)

# kept TARGET: the file of its kept inputs, one a line.
kept() {
	case $1 in
	reference) printf 'crates/oci/tests/references.txt\n' ;;
	review) printf 'crates/webhook/tests/reviews.txt\n' ;;
	manifest | version | secdb | debian | cve | index) printf 'fuzz/%s.txt\n' "$1" ;;
	*) printf 'crates/cli/tests/expressions.txt\n' ;;
	esac
}

# dictionary TARGET: the file of its words.
dictionary() {
	case $1 in
	reference | manifest | review | version | index) printf 'fuzz/%s.dict\n' "$1" ;;
	secdb | debian | cve) printf 'fuzz/advisory.dict\n' ;;
	*) printf 'fuzz/cel.dict\n' ;;
	esac
}

# seed TARGET: every kept input as a file; with an object where the target reads one.
seed() {
	local folder=$CARGO_TARGET_DIR/seeds/$1 object='' number=0 line
	rm -rf "$folder"
	mkdir -p "$folder" "$corpus/$1" "$CARGO_TARGET_DIR/artifacts/$1"
	if [ "$1" = evaluate ]; then
		object='\0{"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"replicas":3,"containers":[{"name":"a","image":"b:1"}]}}'
	fi
	while IFS= read -r line; do
		printf '%s'"$object" "$line" >"$folder/$number"
		number=$((number + 1))
	done <"$(kept "$1")"
}

step "cargo-fuzz" hack/cargo-fuzz.sh
step "build of the fuzz targets" cargo fuzz build --fuzz-dir fuzz --sanitizer none
for target in ${TARGET:-parse check evaluate reference manifest review version secdb debian cve index}; do
	seed "$target"
	step "fuzz $target" cargo fuzz run --fuzz-dir fuzz --sanitizer none "$target" \
		"$corpus/$target" "$CARGO_TARGET_DIR/seeds/$target" -- \
		"${limits[@]}" -dict="$(dictionary "$target")" -artifact_prefix="$CARGO_TARGET_DIR/artifacts/$target/"
	grep -a '^stat::number_of_executed_units' "$logs/step"
done
