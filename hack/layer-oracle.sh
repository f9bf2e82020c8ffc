#!/usr/bin/env bash
# Builds the program that unpacks layers as containerd does (conformance/layers) into the cache; prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/prepare.sh
. hack/prepare.sh
go_program layer-oracle conformance/layers
