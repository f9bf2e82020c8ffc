#!/usr/bin/env bash
# Builds the programs of the test cluster from their Go modules, once for each version.
#
# usage: build.sh [tool…]      tools: kubernetes etcd containerd registry helm (default: all)
#        build.sh kubernetes-1.30
#        build.sh runc
#
# Prints the folder that holds the programs. The folder survives between runs and is keyed by
# the tool's version, its go.sum, the flags of its build and the Go release, so that a changed pin
# builds anew. The script itself is not part of the key: a new tool does not rebuild the others.
# The programs of the oldest supported Kubernetes, and the newest runc, stay in a folder of their own: they have the
# names of those of the test cluster.
# The cache's place is $BAILIFF_CACHE, else $XDG_CACHE_HOME/bailiff, else ~/.cache/bailiff.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}
export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false"

version_of() { (cd "$here/$1" && go list -m -f '{{.Version}}' "$2"); }

# The main packages of a tool, as its tools.go names them.
packages_of() { sed -n 's/^\t_ "\(.*\)"$/\1/p' "$here/$1/tools.go"; }

# build TOOL MODULE: builds the programs of a tool where they are missing, and sets out to their folder.
build() {
	local tool=$1 module=$2 version flags key package name
	# The part of runc that enters namespaces is written in C.
	[ "$tool" != runc ] || local -x CGO_ENABLED=1
	version=$(version_of "$tool" "$module")
	case $tool in
	kubernetes | kubernetes-1.30)
		local minor=${version#v1.}
		flags="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
		flags+=" -X k8s.io/client-go/pkg/version.gitVersion=$version"
		;;
	containerd) flags="-s -w -X github.com/containerd/containerd/v2/version.Version=$version" ;;
	helm) flags="-s -w -X helm.sh/helm/v4/internal/version.version=$version" ;;
	runc) flags="-s -w -X main.version=$version" ;;
	registry) flags="-s -w -X github.com/distribution/distribution/v3/version.version=$version" ;;
	*) flags="-s -w" ;;
	esac
	key=$(cat "$here/$tool/go.mod" "$here/$tool/go.sum" "$here/$tool/tools.go" <(printf '%s\n' "$flags" "$GOFLAGS" "$CGO_ENABLED") <(go version) | sha256sum | cut -c1-12)
	out=$cache/tools/$tool-$version-$key
	if [ ! -e "$out/complete" ]; then
		printf 'building %s %s (the first time takes minutes) …\n' "$tool" "$version" >&2
		local started=$SECONDS
		rm -rf "$out"
		mkdir -p "$out"
		for package in $(packages_of "$tool"); do
			name=$(basename "$package")
			# etcd's main package is the module's root, which ends in v3.
			[ "$tool" = etcd ] && name=etcd
			printf '  %s\n' "$name" >&2
			(cd "$here/$tool" && go build -trimpath -ldflags "$flags" -o "$out/$name" "$package")
		done
		touch "$out/complete"
		printf 'built %s in %d s\n' "$tool" $((SECONDS - started)) >&2
	fi
}

# link: makes what was built last a program of the test cluster.
link() {
	local name
	mkdir -p "$cache/bin"
	for name in "$out"/*; do
		case $name in */complete) ;; *) ln -sfn "$name" "$cache/bin/$(basename "$name")" ;; esac
	done
}

[ $# -gt 0 ] || set -- containerd etcd helm kubernetes registry
case $* in
kubernetes-1.30 | runc)
	case $* in
	runc) build runc github.com/opencontainers/runc ;;
	*) build kubernetes-1.30 k8s.io/kubernetes ;;
	esac
	printf '%s\n' "$out"
	exit
	;;
esac
for tool in "$@"; do
	case $tool in
	kubernetes) build kubernetes k8s.io/kubernetes ;;
	etcd) build etcd go.etcd.io/etcd/server/v3 ;;
	containerd) build containerd github.com/containerd/containerd/v2 ;;
	helm) build helm helm.sh/helm/v4 ;;
	registry) build registry github.com/distribution/distribution/v3 ;;
	*)
		printf 'build.sh: no tool is called %s; there are: containerd etcd helm kubernetes registry\n' "$tool" >&2
		exit 2
		;;
	esac
	link
done
printf '%s\n' "$cache/bin"
