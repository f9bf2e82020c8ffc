#!/usr/bin/env bash
# Runs every check that needs no test: formatting, lints, licences, charts, shell scripts.
# A program that is missing is installed or built first; none is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/steps.sh
. hack/steps.sh

step "packages" testbed/install.sh
step "helm" hack/tools.sh helm
step "cargo-deny" hack/cargo-deny.sh

step "rustfmt" cargo fmt --all --check
step "rustfmt of the fuzz targets" cargo fmt --manifest-path fuzz/Cargo.toml --check
step "clang-format" clang-format --dry-run --Werror crates/sensor/bpf/*.c crates/sensor/bpf/*.h
mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' '.ci/run')
step "shellcheck" shellcheck --external-sources "${scripts[@]}"
# Without advisories: their database changes by itself, and an old commit has to stay green.
# `make advisories` asks it.
step "cargo deny" cargo deny --locked check --hide-inclusion-graph bans licenses sources
step "helm lint" helm lint --strict --quiet charts/bailiff charts/bailiff-policies
step "clippy" cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
