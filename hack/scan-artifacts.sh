#!/usr/bin/env bash
# Prepares packages of vulnerable versions as their own tools install and publish them, each in the version that is
# named here, in one folder of the cache; prints the folder. crates/scan/tests/artifacts.rs says what has to be found
# in them. What was prepared from the same sources is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
urllib3=1.26.4
jinja2=2.11.2
log4j=2.14.1
spring=5.3.17
nimbus=9.37.1
compress=1.20
copier=org.apache.maven.plugins:maven-dependency-plugin:3.11.0

# shellcheck source=hack/prepare.sh
. hack/prepare.sh
mapfile -t all < <(find hack/scan-artifacts.sh conformance/artifacts -type f | LC_ALL=C sort)
folder=$cache/tools/artifacts-$(sum_of "${all[@]}")
if [ -d "$folder" ]; then
	printf '%s\n' "$folder"
	exit 0
fi
need go python3 npm mvn jar
lock
new=$folder.new
rm -rf "$new"
mkdir -p "$new/parts"
sources=$PWD/conformance/artifacts
parts=$new/parts

# artifact GROUP:NAME:VERSION: a jar.
artifact() {
	download mvn --batch-mode --quiet "$copier:copy" "-Dartifact=$1" "-DoutputDirectory=$parts"
}

# What is downloaded has to be what it was; nothing of it is run.
download pip3 download --quiet --no-deps --only-binary :all: --dest "$parts" "urllib3==$urllib3" "jinja2==$jinja2"
artifact "org.apache.logging.log4j:log4j-core:$log4j"
artifact "org.springframework:spring-expression:$spring"
artifact "com.nimbusds:nimbus-jose-jwt:$nimbus"
artifact "org.apache.commons:commons-compress:$compress"
(cd "$parts" && sha256sum --check --strict --quiet "$sources/sha256") >&2

# As pip installs wheels.
pip3 install --quiet --no-deps --no-index --no-compile --disable-pip-version-check \
	--target "$new/python/site-packages" "$parts/urllib3-$urllib3-py2.py3-none-any.whl" \
	"$parts/Jinja2-$jinja2-py2.py3-none-any.whl" >&2

# The lock file has the sums of all packages.
mkdir -p "$new/npm"
cp "$sources/npm/package.json" "$sources/npm/package-lock.json" "$new/npm"
(cd "$new/npm" && download npm ci --ignore-scripts --no-audit --no-fund --silent)

# Jars as they are published, one in an application of Spring Boot, and one in other archives under other names.
mkdir -p "$new/java" "$parts/boot/BOOT-INF/lib" "$parts/outer/docs"
cp "$parts/log4j-core-$log4j.jar" "$parts/spring-expression-$spring.jar" "$parts/nimbus-jose-jwt-$nimbus.jar" \
	"$parts/commons-compress-$compress.jar" "$new/java"
cp "$parts/log4j-core-$log4j.jar" "$parts/boot/BOOT-INF/lib"
jar --create --no-compress --file "$parts/app.jar" -C "$parts/boot" BOOT-INF
{
	# shellcheck disable=SC2016 # The script expands it.
	printf '#!/bin/sh\nexec java -jar "$0" "$@"\n'
	cat "$parts/app.jar"
} >"$new/java/app.jar"
cp "$parts/app.jar" "$parts/outer/docs/readme.txt"
jar --create --file "$new/java/backup" -C "$parts/outer" docs
python3 - "$parts/log4j-core-$log4j.jar" "$new/java/stripped.jar" <<'END'
import sys, zipfile

with zipfile.ZipFile(sys.argv[1]) as jar, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as stripped:
    for entry in jar.infolist():
        if not entry.filename.startswith("META-INF/maven/"):
            stripped.writestr(entry, jar.read(entry))
END

# A program with modules of vulnerable versions, without symbols as most are shipped.
mkdir -p "$new/go"
(cd "$sources/go" && download go mod download && CGO_ENABLED=0 go build -trimpath -ldflags=-s -o "$new/go/web" .) >&2

rm -rf "$parts"
mv "$new" "$folder"
printf '%s\n' "$folder"
