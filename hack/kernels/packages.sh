# shellcheck shell=bash
# shellcheck disable=SC2154 # cache and work come from ../kernels.sh
# What the machines of ../kernels.sh have of Debian's packages: kernels, and on arm64 all programs, and the compiler of
# the tests. Sourced by it.
#
# apt has folders of its own, so that packages of other releases and architectures never reach the system's.

# What the machines of arm64 run, and the compiler for them, are of this release.
programs_release=trixie

# The programs that the tests start.
packages_of_a_machine=(bash bsdutils busybox-static coreutils crun dash mount perl-base runc util-linux)

# private ARCHITECTURE COMMAND…: a command of apt with folders for that architecture.
private() {
	local architecture=$1 command=$2
	shift 2
	"$command" -o Dir::Etc::sourcelist="$cache/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State="$cache/apt/$architecture" -o Dir::Cache="$cache/apt/$architecture" \
		-o Dir::State::status="$cache/apt/status" -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Acquire::Languages=none -o Acquire::Retries=5 \
		-o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User=root "$@"
}

# lists ARCHITECTURE: the lists of the mirror. Old ones name packages that it no longer has, so each run reads them anew.
lists() {
	local architecture=$1 release site
	[ ! -e "$work/lists-$architecture" ] || return 0
	mkdir -p "$cache/apt/$architecture"/{lists/partial,archives/partial}
	: >"$cache/apt/status"
	# The mirror is the one that the system uses.
	# shellcheck disable=SC2016 # apt expands it
	site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | sort -u | head -n 1)
	for release in bullseye bookworm trixie sid; do
		printf 'deb %s %s main\n' "${site:-http://deb.debian.org/debian}" "$release"
	done >"$cache/apt/sources.list"
	# A release that ended is no longer on the mirrors; only 5.10 needs it, and is asked for by name.
	private "$architecture" apt-get --quiet --quiet update >&2 || true
	touch "$work/lists-$architecture"
}

# unpack ARCHITECTURE FOLDER PACKAGE…: these packages alone.
unpack() {
	local architecture=$1 folder=$2 packages
	shift 2
	packages=$(mktemp -d "$cache/packages.XXXXXX")
	(cd "$packages" && private "$architecture" apt-get --quiet --quiet download "$@" >&2)
	unpack_all "$packages" "$folder"
}

# unpack_with_dependencies ARCHITECTURE FOLDER PACKAGE…
unpack_with_dependencies() {
	local architecture=$1 folder=$2 packages
	shift 2
	packages=$(mktemp -d "$cache/packages.XXXXXX")
	mkdir "$packages/partial"
	private "$architecture" apt-get --quiet --quiet --yes --no-install-recommends --download-only \
		--target-release "$programs_release" -o Dir::Cache::archives="$packages" install "$@" >&2
	unpack_all "$packages" "$folder"
}

unpack_all() {
	local package
	for package in "$1"/*.deb; do dpkg-deb -x "$package" "$2"; done
	rm -rf "$1"
}

# kernel NAME: unpacks the newest kernel of a series into a folder of the cache, and prints the folder.
kernel() {
	local name=$1 architecture=amd64 series=$1 image found='' folder work_folder overlay
	local -a images parts
	case $name in arm64-*) architecture=arm64 series=${name#arm64-} ;; esac
	folder=$cache/$name
	if [ "$series" != newest ] && [ -e "$folder/vmlinuz" ]; then
		printf '%s\n' "$folder"
		return
	fi
	lists "$architecture"
	# Each release's own name for its kernel depends on one image.
	mapfile -t images < <(private "$architecture" apt-cache show "linux-image-cloud-$architecture" |
		sed -n 's/^Depends:.*\(linux-image-[^ ,]*\).*/\1/p' | sort -Vu)
	for image in "${images[@]}"; do
		[[ $series != newest && $image != linux-image-"$series".* ]] || found=$image
	done
	if [ -z "$found" ]; then
		printf 'kernels.sh: Debian has no kernel %s for virtual machines; it has: %s\n' "$name" "${images[*]}" >&2
		return 1
	fi
	[ "$series" != newest ] || folder=$cache/$found
	if [ -e "$folder/vmlinuz" ]; then
		printf '%s\n' "$folder"
		return
	fi
	work_folder=$(mktemp -d "$cache/unpacked.XXXXXX")
	# Newer packages of an image have the kernel and its modules in packages of their own.
	mapfile -t parts < <(private "$architecture" apt-cache show "$found" | sed -n 's/^Depends: //p' |
		grep -o 'linux-\(binary\|modules\)-[^ ,]*' | sort -u)
	unpack "$architecture" "$work_folder" "$found" "${parts[@]}"
	mkdir "$work_folder/kept"
	find "$work_folder/boot" "$work_folder/usr" "$work_folder/lib" -name 'vmlinuz*' -type f \
		-exec cp {} "$work_folder/kept/vmlinuz" \; 2>/dev/null || true
	overlay=$(find "$work_folder" -name 'overlay.ko*')
	case $overlay in
	*.xz) xz --decompress --stdout "$overlay" >"$work_folder/kept/overlay.ko" ;;
	*.ko) cp "$overlay" "$work_folder/kept/overlay.ko" ;;
	*)
		printf 'kernels.sh: %s has no overlay module that can be unpacked: %s\n' "$found" "$overlay" >&2
		return 1
		;;
	esac
	if [ ! -s "$work_folder/kept/vmlinuz" ]; then
		printf 'kernels.sh: %s has no kernel: %s\n' "$found" "${parts[*]-}" >&2
		return 1
	fi
	rm -rf "$folder"
	mv "$work_folder/kept" "$folder"
	rm -rf "$work_folder"
	printf '%s\n' "$folder"
}

# programs_of_arm64 FOLDER: what a machine has of Debian, in a folder that has usr/ alone and links to it.
programs_of_arm64() {
	local kept=$cache/arm64-programs-$programs_release folder
	if [ ! -e "$kept/complete" ]; then
		lists arm64
		rm -rf "$kept"
		mkdir -p "$kept/usr"/{bin,lib,lib64,sbin}
		for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$kept/$folder"; done
		unpack_with_dependencies arm64 "$kept" "${packages_of_a_machine[@]}"
		rm -rf "${kept:?}/usr/share" "${kept:?}/var"
		touch "$kept/complete"
	fi
	cp -a --reflink=auto "$kept/." "$1"
}

# compiler_for_arm64: prints the path of a rustc that has the standard library of arm64.
compiler_for_arm64() {
	local version kept versioned each
	version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
	kept=$cache/arm64-rust-$version
	if [ ! -e "$kept/complete" ]; then
		lists amd64
		lists arm64
		rm -rf "$kept"
		mkdir -p "$kept/root"
		# Debian has a newer Rust for its browsers than the release's own. The library of the compiler has its version in
		# its name. A linker is not needed: the system's are used.
		versioned=$(private amd64 apt-cache show "libstd-rust-web-dev/$programs_release" |
			sed -n 's/^Depends:.*\(libstd-rust-web-[0-9.]*\).*/\1/p')
		unpack_with_dependencies amd64 "$kept/root" "$versioned"
		for each in amd64 arm64; do
			unpack "$each" "$kept/root" "libstd-rust-web-dev/$programs_release"
		done
		unpack amd64 "$kept/root" "rustc-web/$programs_release"
		# With the C library of its release, which can be newer than the system's.
		cat >"$kept/rustc" <<-EOF
			#!/bin/sh
			exec "$kept/root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$kept/root/usr/lib/x86_64-linux-gnu" \\
				"$kept/root/usr/bin/rustc" --sysroot "$kept/root/usr" "\$@"
		EOF
		chmod +x "$kept/rustc"
		"$kept/rustc" --version >&2
		touch "$kept/complete"
	fi
	printf '%s\n' "$kept/rustc"
}
