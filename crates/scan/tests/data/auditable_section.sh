#!/usr/bin/env bash
# Writes auditable-section: what cargo-auditable stores in the binary of a crate that depends on vulnerable versions.
#
# usage: auditable_section.sh      with cargo-auditable 0.7.7 (cargo install cargo-auditable --version 0.7.7)
set -euo pipefail
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'END'
[package]
name = "audited"
version = "0.1.0"
edition = "2021"

[dependencies]
time = "=0.1.43"

[build-dependencies]
autocfg = "=1.1.0"

[workspace]
END
printf 'fn main() {\n    println!("{}", time::precise_time_ns());\n}\n' >"$folder/src/main.rs"
printf 'fn main() {\n    autocfg::rerun_path("build.rs");\n}\n' >"$folder/build.rs"
(cd "$folder" && CARGO_TARGET_DIR=$folder/target cargo auditable build --release)
objcopy --output-target binary --set-section-flags .dep-v0=alloc --only-section .dep-v0 \
	"$folder/target/release/audited" auditable-section
