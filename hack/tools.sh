#!/usr/bin/env bash
# Builds the programs of the test cluster as testbed/tools/build.sh does; another run waits, which would
# write the same files of the cache at the same time.
#
# usage: tools.sh [tool…]
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
mkdir -p "$cache"
exec flock "$cache/lock" testbed/tools/build.sh "$@"
