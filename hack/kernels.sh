#!/usr/bin/env bash
# Runs the sensor's kernel tests on kernels of Debian, each in a machine that QEMU emulates: what the kernel of this
# machine accepts says nothing about another's verifier, structures and cgroups.
#
# usage: kernels.sh [SERIES...]     default: 6.1 6.12; also 5.10, and newest for the newest that Debian has
#
# Each series has a machine of its own, with cgroup v2 alone, overlayfs as a module and no network; the machines
# run side by side. 6.1 is the oldest that is supported. 5.10 is too old, and the test is that the sensor says so.
# TESTS=all runs all tests, which takes a quarter of an hour for each kernel; otherwise those run that read structures
# or use helpers which differ between kernels. LOCKDOWN=1 boots each kernel a second time, locked down.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}/kernels
[ $# -gt 0 ] || set -- 6.1 6.12

if [ "$(uname -m)" != x86_64 ]; then
	printf 'kernels.sh: the machines are x86_64, and this one is %s; run it on x86_64\n' "$(uname -m)" >&2
	exit 1
fi
for program in qemu-system-x86_64 apt-get dpkg-deb xz busybox; do
	if ! command -v "$program" >/dev/null; then
		printf 'kernels.sh: %s is missing; on Debian run: make packages\n' "$program" >&2
		exit 1
	fi
done

# apt with folders of its own, so that packages of other releases never reach the system's.
releases=(bullseye bookworm trixie sid)
private() {
	local command=$1
	shift
	"$command" -o Dir::Etc::sourcelist="$cache/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State="$cache/apt/state" -o Dir::Cache="$cache/apt/cache" -o Dir::State::status="$cache/apt/status" \
		-o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null -o Acquire::Languages=none \
		-o Acquire::Retries=5 -o APT::Sandbox::User=root "$@"
}

# Unpacks the newest kernel of a series into its folder of the cache, and prints the folder.
kernel() {
	local series=$1 image found='' folder work overlay part
	local -a images parts
	folder=$cache/$series
	if [ -e "$folder/vmlinuz" ]; then
		printf '%s\n' "$folder"
		return
	fi
	if [ ! -e "$cache/apt/updated" ]; then
		mkdir -p "$cache"/apt/{state/lists/partial,cache/archives/partial}
		: >"$cache/apt/status"
		# The mirror is the one that the system uses.
		# shellcheck disable=SC2016 # apt expands it
		site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | sort -u | head -n 1)
		for release in "${releases[@]}"; do
			printf 'deb %s %s main\n' "${site:-http://deb.debian.org/debian}" "$release"
		done >"$cache/apt/sources.list"
		# A release that ended is no longer on the mirrors; only 5.10 needs it, and is asked for by name.
		private apt-get --quiet --quiet update >&2 || true
		touch "$cache/apt/updated"
	fi
	# Each release's own name for its kernel depends on one image.
	mapfile -t images < <(private apt-cache show linux-image-cloud-amd64 |
		sed -n 's/^Depends:.*\(linux-image-[^ ,]*\).*/\1/p' | sort -Vu)
	for image in "${images[@]}"; do
		[[ $series != newest && $image != linux-image-"$series".* ]] || found=$image
	done
	if [ -z "$found" ]; then
		printf 'kernels.sh: Debian has no kernel %s for virtual machines; it has: %s\n' "$series" "${images[*]}" >&2
		exit 1
	fi
	work=$(mktemp -d "$cache/unpacked.XXXXXX")
	# Newer packages of an image have the kernel and its modules in packages of their own.
	mapfile -t parts < <(private apt-cache show "$found" | sed -n 's/^Depends: //p' |
		grep -o 'linux-\(binary\|modules\)-[^ ,]*' | sort -u)
	(cd "$work" && private apt-get --quiet --quiet download "$found" "${parts[@]}" &&
		for part in ./*.deb; do dpkg-deb -x "$part" .; done) >&2
	mkdir "$work/kept"
	find "$work/boot" "$work/usr" "$work/lib" -name 'vmlinuz*' -type f -exec cp {} "$work/kept/vmlinuz" \; 2>/dev/null || true
	overlay=$(find "$work" -name 'overlay.ko*')
	case $overlay in
	*.xz) xz --decompress --stdout "$overlay" >"$work/kept/overlay.ko" ;;
	*.ko) cp "$overlay" "$work/kept/overlay.ko" ;;
	*)
		printf 'kernels.sh: %s has no overlay module that can be unpacked: %s\n' "$found" "$overlay" >&2
		exit 1
		;;
	esac
	if [ ! -s "$work/kept/vmlinuz" ]; then
		printf 'kernels.sh: %s has no kernel: %s\n' "$found" "${parts[*]-}" >&2
		exit 1
	fi
	rm -rf "$folder"
	mv "$work/kept" "$folder"
	rm -rf "$work"
	printf '%s\n' "$folder"
}

work=$(mktemp -d)
# Old lists name packages that the mirror no longer has.
rm -f "$cache/apt/updated"
machines=()
# shellcheck disable=SC2317 # the trap calls it
finish() {
	[ ${#machines[@]} -eq 0 ] || kill "${machines[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

# The tests are those that cargo test --workspace builds, so nothing is compiled twice.
tests=$(cargo test --locked --workspace --test kernel --no-run --message-format=json 2>"$work/build" |
	sed -n 's/.*"name":"kernel".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
if [ ! -x "$tests" ]; then
	cat "$work/build" >&2
	printf 'kernels.sh: the kernel tests were not built\n' >&2
	exit 1
fi

# What a machine has: the tests, the programs that they start, their libraries.
root=$work/root
mkdir -p "$root"/{proc,sys,dev,tmp,run,etc,mnt,usr/bin,usr/lib,usr/lib64,usr/sbin}
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$root/$folder"; done
libraries() {
	local library
	for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true); do
		mkdir -p "$root$(dirname "$library")"
		[ -e "$root$library" ] || cp -L "$library" "$root$library"
	done
}
programs=(sh dash bash cat cp chmod chown true false ln rm mv mkdir mkfifo unshare env touch script perl seq rmdir mount umount
	chroot od wc id readlink ls uname setpriv sleep setsid busybox)
[ "${TESTS-}" != all ] || programs+=(runc crun)
for program in "${programs[@]}"; do
	path=$(readlink -f "$(type -P "$program")")
	[ -e "$root/usr/bin/${path##*/}" ] || cp "$path" "$root/usr/bin/${path##*/}"
	[ "${path##*/}" = "$program" ] || ln -sf "${path##*/}" "$root/usr/bin/$program"
	libraries "$path"
done
cp -r "/usr/lib/$(uname -m)-linux-gnu/perl-base" "$root/usr/lib/$(uname -m)-linux-gnu/"
strip -o "$root/kernel-tests" "$tests"
libraries "$tests"
install -m 755 hack/kernels/init "$root/init"

# Those whose result depends on the kernel's version. A name that no longer exists fails the run.
names=(
	a_program_is_seen_with_what_it_is
	pods_of_every_cgroup_driver_are_seen_and_nothing_else_is
	a_loader_that_is_executed_is_told_from_a_program_that_is_loaded
	descent::only_what_executed_something_reports_its_end
	script::a_script_is_the_file_that_the_kernel_opened_whatever_path_led_to_it
	source::where_an_executable_comes_from_is_told
	stdio::a_reverse_shell_is_told_from_a_pipe_and_a_terminal
	directory::the_longest_texts_of_all_leave_room_for_each_other
)
"$tests" --list >"$work/list" 2>/dev/null
if [ "${TESTS-}" = all ]; then
	mapfile -t names < <(sed -n 's/: test$//p' "$work/list")
	ignored=$("$tests" --list --ignored 2>/dev/null | grep -c ': test$')
	number=$((${#names[@]} - ignored))
else
	for name in "${names[@]}"; do
		if ! grep -qx "$name: test" "$work/list"; then
			printf 'kernels.sh: no kernel test is called %s\n' "$name" >&2
			exit 1
		fi
	done
	number=${#names[@]}
fi

# boot SERIES PARAMETERS WHAT…: what the machine printed is in the file of this name; the tests' arguments follow.
boot() {
	local name=$1 series=$2 parameters=$3 folder own
	shift 3
	folder=$(kernel "$series")
	own=$work/$name
	cp -al "$root" "$own"
	cp "$folder/overlay.ko" "$own/overlay.ko"
	printf '%s\n' "$@" >"$own/arguments"
	(cd "$own" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$own.initramfs"
	rm -rf "$own"
	# Without hardware that virtualizes: the programs' addresses and the instructions are emulated.
	timeout 3600 qemu-system-x86_64 -accel tcg -cpu max -net none -m 1500 -nographic -no-reboot \
		-kernel "$folder/vmlinuz" -initrd "$own.initramfs" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=unstable $parameters" \
		</dev/null >"$work/$name.log" 2>&1 &
	machines+=($!)
	wanted[$name]=$!
}

declare -A wanted
for series in "$@"; do
	if [ "$series" = 5.10 ]; then
		boot "$series" "$series" "" --ignored --exact --nocapture refused::as_it_is
	else
		boot "$series" "$series" "" --exact --test-threads=1 "${names[@]}"
		[ -z "${LOCKDOWN-}" ] || boot "$series-lockdown" "$series" lockdown=confidentiality --ignored --exact --nocapture refused::as_it_is
	fi
done

failed=0
for name in "${!wanted[@]}"; do
	wait "${wanted[$name]}" || true
	log=$work/$name.log
	tr -d '\r' <"$log" >"$log.text"
	case $name in
	5.10) expected='said: .*the kernel is version 5\.10' ;;
	*-lockdown) expected='said: .*lockdown' ;;
	*) expected="test result: ok\. $number passed" ;;
	esac
	if grep -q "$expected" "$log.text"; then
		printf 'kernel %s: %s\n' "$name" "$(grep -o "$expected.*" "$log.text" | head -n 1)"
	else
		cat "$log.text"
		printf 'kernel %s: the tests failed; the machine printed what stands above\n' "$name"
		failed=1
	fi
done
machines=()
exit $failed
