#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, where they are missing.
# Elsewhere than on Debian it names them, and installs nothing.
#
# usage: install.sh [arm64]      arm64: also what compiles and runs the sensor's tests for machines of arm64
set -euo pipefail

packages=(
	clang clang-format libbpf-dev llvm                 # the sensor's BPF programs
	gcc libc6-dev make                                 # the sandbox's program, crates with C code
	golang-go                                          # the API server's engine, programs of the cluster
	default-jdk-headless maven nodejs npm python3 python3-pip # comparators of versions
	runc containernetworking-plugins conntrack iptables iproute2 procps util-linux # a node
	crun                                               # the other runtime, for the sensor's tests
	busybox-static                                     # an image for tests
	qemu-system-x86                                    # machines with other kernels, for the sensor's tests
	git shellcheck
)

[ "${1-}" != arm64 ] || packages+=(
	qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross
)

installed() { dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	for name in clang clang-format runc crun iptables ip nsenter busybox shellcheck dpkg go javac mvn node npm python3 pip3; do
		command -v "$name" >/dev/null || missing+=("$name")
	done
	[ -z "${missing[*]-}" ] && exit 0
	printf 'install.sh: these programs are missing: %s\n' "${missing[*]}" >&2
	printf 'On Debian they come with: %s\n' "${packages[*]}" >&2
	exit 1
fi

# Where these programs are there already, they are used, wherever they come from: a newer Go than Debian's is
# needed.
declare -A program=(
	[golang-go]=go [default-jdk-headless]=javac [maven]=mvn [nodejs]=node [npm]=npm
	[python3]=python3 [python3-pip]=pip3
)
missing=()
for package in "${packages[@]}"; do
	[ -n "${program[$package]-}" ] && command -v "${program[$package]}" >/dev/null && continue
	installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
	printf 'install.sh: run this as root first: apt-get install --yes %s\n' "${missing[*]}" >&2
	exit 1
fi
printf 'installing %s …\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=5 update --quiet --quiet
apt-get -o Acquire::Retries=5 install --quiet --quiet --yes --no-install-recommends "${missing[@]}" >/dev/null
