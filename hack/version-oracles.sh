#!/usr/bin/env bash
# Prepares the comparators that ecosystems order their versions with, each in the version that is named
# here, as programs in one folder of the cache; prints the folder. conformance/versions says what they read
# and answer. What was prepared from the same sources is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
packaging=26.3
semver=7.8.6
maven=3.10.0
copier=org.apache.maven.plugins:maven-dependency-plugin:3.11.0

# shellcheck source=hack/prepare.sh
. hack/prepare.sh
folder=$cache/tools/versions-$(sum_of hack/version-oracles.sh conformance/versions/*)
if [ -d "$folder" ]; then
	printf '%s\n' "$folder"
	exit 0
fi
need go python3 npm node javac mvn
lock
new=$folder.new
rm -rf "$new"
mkdir -p "$new/parts"
sources=$PWD/conformance/versions

# program NAME: writes a program whose body is the input; $here is its folder.
program() {
	{
		# shellcheck disable=SC2016 # The program expands it.
		printf '#!/bin/sh\nhere=$(dirname "$0")/parts\n'
		cat
	} >"$new/$1"
	chmod +x "$new/$1"
}

(cd "$sources" && download go mod download && go build -o "$new/go" .)

# What is downloaded has to be what it was; nothing of it is run before.
parts=$new/parts
download pip3 download --quiet --no-deps --only-binary :all: --dest "$parts" "packaging==$packaging"
download npm pack --silent --pack-destination "$parts" "semver@$semver"
download mvn --batch-mode --quiet "$copier:copy" "-Dartifact=org.apache.maven:maven-artifact:$maven" \
	"-DoutputDirectory=$parts"
(cd "$parts" && sha256sum --check --strict --quiet "$sources/artifacts.sha256") >&2

mv "$parts/packaging-$packaging-py3-none-any.whl" "$parts/packaging.whl"
cp "$sources/pep440.py" "$parts"
program pep440 <<'END'
PYTHONPATH=$here/packaging.whl exec python3 "$here/pep440.py"
END

mkdir -p "$parts/node_modules/semver"
tar -xzf "$parts/semver-$semver.tgz" --strip-components=1 -C "$parts/node_modules/semver"
cp "$sources/npm.js" "$parts"
program npm <<'END'
exec node "$here/npm.js"
END
program npm-strict <<'END'
exec node "$here/npm.js" strict
END

mv "$parts/maven-artifact-$maven.jar" "$parts/maven-artifact.jar"
javac -cp "$parts/maven-artifact.jar" -d "$parts" "$sources/Maven.java"
program maven <<'END'
exec java -cp "$here:$here/maven-artifact.jar" Maven
END

mv "$new" "$folder"
printf '%s\n' "$folder"
