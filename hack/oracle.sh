#!/usr/bin/env bash
# Builds the API server's own engine as a program that answers JSON lines, into the cache; prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/prepare.sh
. hack/prepare.sh
go_program cel-oracle conformance/oracle
