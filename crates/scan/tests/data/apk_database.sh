#!/usr/bin/env bash
# Writes apk-installed, a database of vulnerable versions of Alpine 3.11 that apk-tools installs, and apk-query.json, what
# apk-tools says about it. The packages are made, with names, versions and origins of Alpine's.
#
# usage: apk_database.sh APK      a program of apk-tools 3, as root
set -euo pipefail
cd "$(dirname "$0")"
apk=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# package NAME VERSION ORIGIN FILE…: builds a package.
package() {
	local name=$1 version=$2 origin=$3 file
	shift 3
	for file in "$@"; do
		mkdir -p "$folder/$name/$(dirname "$file")"
		printf '%s\n' "$file" >"$folder/$name/$file"
	done
	"$apk" mkpkg --files "$folder/$name" --output "$folder/$name.apk" --info "name:$name" --info "version:$version" \
		--info "origin:$origin" --info arch:x86_64 --info license:MIT --info "description:A package of a test"
}
package busybox 1.29.3-r10 busybox bin/busybox etc/securetty
package sqlite-libs 3.28.0-r0 sqlite usr/lib/libsqlite3.so.0.8.6 "usr/share/a b"
package wget 1.19.5-r0 wget etc/wgetrc usr/bin/wget
package made-libs 1.0_rc1-r0 made lib/libmade.so.1
package removed 1.0-r0 removed usr/bin/removed

root=(--root "$folder/root" --arch x86_64 --no-network --repositories-file /dev/null)
"$apk" "${root[@]}" --initdb --allow-untrusted --no-scripts add "$folder"/*.apk >&2
"$apk" "${root[@]}" --no-scripts del removed >&2
cp "$folder/root/lib/apk/db/installed" apk-installed
"$apk" "${root[@]}" query --installed --format json --fields name,version,arch,origin,contents '*' >apk-query.json
