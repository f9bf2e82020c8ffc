#!/usr/bin/env bash
# Prepares osv-scanner in the version that is named here, whose findings and times ours are compared with, in the
# cache; prints the program. It comes from the Go module proxy, whose checksum database says that it is what others
# got.
set -euo pipefail
cd "$(dirname "$0")/.."
version=2.5.0

# shellcheck source=hack/prepare.sh
. hack/prepare.sh
folder=$cache/tools/osv-scanner-$version
if [ ! -x "$folder/osv-scanner" ]; then
	need go
	lock
	new=$folder.new
	rm -rf "$new"
	mkdir -p "$new"
	download env GOBIN="$new" GOFLAGS=-mod=mod go install "github.com/google/osv-scanner/v2/cmd/osv-scanner@v$version"
	rm -rf "$folder"
	mv "$new" "$folder"
fi
printf '%s\n' "$folder/osv-scanner"
