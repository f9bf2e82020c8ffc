#!/usr/bin/env bash
# Looks for inputs that break a law of the fuzz targets, and fails when it finds one.
#
# usage: fuzz.sh [brief]      brief: 30,000 inputs for each target, the same ones each time
#
# MINUTES=20 says how long each target runs, TARGET=parse runs one of fuzz/fuzz_targets alone. What is learned stays
# in target/fuzz/corpus; an input that breaks a law is in target/fuzz/artifacts and belongs, made small, into
# crates/cel/tests/findings.rs or, of the targets reference and review, crates/oci/tests/references.txt and
# crates/webhook/tests/reviews.txt, and of those that are not about expressions fuzz/TARGET.txt.
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
	parse | check | evaluate) printf 'crates/cli/tests/expressions.txt\n' ;;
	*) printf 'fuzz/%s.txt\n' "$1" ;;
	esac
}

# dictionary TARGET: the file of its words.
dictionary() {
	case $1 in
	parse | check | evaluate) printf 'fuzz/cel.dict\n' ;;
	secdb | debian | cve) printf 'fuzz/advisory.dict\n' ;;
	*) printf 'fuzz/%s.dict\n' "$1" ;;
	esac
}

# seed TARGET: every kept input as a file; with an object where the target reads one. Those of files of an image
# have escapes such as \n and \x00.
seed() {
	local folder=$CARGO_TARGET_DIR/seeds/$1 object='' format='%s' number=0 line
	rm -rf "$folder"
	mkdir -p "$folder" "$corpus/$1" "$CARGO_TARGET_DIR/artifacts/$1"
	if [ "$1" = evaluate ]; then
		object='\0{"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"replicas":3,"containers":[{"name":"a","image":"b:1"}]}}'
	fi
	case $1 in
	python | jar | dpkg | apk | elf | answer | buildinfo | release) format='%b' ;;
	esac
	while IFS= read -r line; do
		# shellcheck disable=SC2059 # It is one of the two above.
		printf "$format$object" "$line" >"$folder/$number"
		number=$((number + 1))
	done <"$(kept "$1")"
}

step "cargo-fuzz" hack/cargo-fuzz.sh
step "build of the fuzz targets" cargo fuzz build --fuzz-dir fuzz --sanitizer none
# run TARGET LOG: runs a target, and prints how many inputs it had, or its output if it failed.
run() {
	local code=0
	"$CARGO_TARGET_DIR/$triple/release/$1" "$corpus/$1" "$CARGO_TARGET_DIR/seeds/$1" \
		"${limits[@]}" -dict="$(dictionary "$1")" -artifact_prefix="$CARGO_TARGET_DIR/artifacts/$1/" >"$2" 2>&1 || code=$?
	if [ "$code" -ne 0 ]; then
		cat "$2" >&2
		printf 'failed: fuzz %s (exit %d)\n' "$1" "$code" >&2
		return 1
	fi
	printf 'fuzz %s: %s inputs\n' "$1" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$2")" >&2
}

triple=$(rustc -vV | sed -n 's/^host: //p')
all=$(basename -s .rs fuzz/fuzz_targets/*.rs)
pids=()
for target in ${TARGET:-$all}; do
	seed "$target"
	run "$target" "$logs/fuzz-$target" &
	pids+=($!)
	# As many at a time as there are processors.
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do sleep 0.2; done
done
code=0
for pid in "${pids[@]}"; do
	wait "$pid" || code=1
done
exit "$code"
