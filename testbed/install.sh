#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, where they are missing.
# Elsewhere than on Debian it names them, and installs nothing.
set -euo pipefail

packages=(
	clang clang-format libbpf-dev llvm                 # the sensor's BPF programs
	gcc libc6-dev make                                 # the sandbox's program, crates with C code
	golang-go                                          # see below: only where no go is there
	runc containernetworking-plugins conntrack iptables iproute2 procps util-linux # a node
	crun                                               # the other runtime, for the sensor's tests
	busybox-static                                     # an image for tests
	git shellcheck
)

installed() { dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	for program in clang clang-format runc crun iptables ip nsenter busybox shellcheck; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
	[ -z "${missing[*]-}" ] && exit 0
	printf 'install.sh: these programs are missing: %s\n' "${missing[*]}" >&2
	printf 'On Debian they come with: %s\n' "${packages[*]}" >&2
	exit 1
fi

missing=()
for package in "${packages[@]}"; do
	# A newer Go than Debian's is needed; where one is there already, it is used.
	[ "$package" = golang-go ] && command -v go >/dev/null && continue
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
