#!/usr/bin/env bash
# Runs the sensor's kernel tests on kernels of Debian, each in a machine that QEMU emulates: what the kernel of this
# machine accepts says nothing about another's verifier, structures and cgroups.
#
# usage: kernels.sh [SERIES…]     default: 6.1 6.12 6.12-lockdown
#
# A series is 5.10, 6.1, 6.12, or newest for the newest that Debian has. arm64-6.1 and the like are machines of arm64,
# whose tests are compiled for it. 6.12-lockdown and the like are booted locked down; the test is that the sensor says
# so, and with 6.12-integrity that its remedy is one. 6.1 is the oldest that is supported. 5.10 is too old, and the test
# is that the sensor says so.
#
# Each machine has cgroup v2 alone, overlayfs as a module and no network. As many run side by side as there are
# processors. TESTS=all runs all tests, which takes a quarter of an hour for each kernel; TESTS="NAME…" runs these;
# otherwise those run that read structures or use functions which differ between kernels.
set -euo pipefail
cd "$(dirname "$0")/.."
# What is built is looked for here, whatever the caller builds elsewhere.
export CARGO_TARGET_DIR=$PWD/target
cache=${BAILIFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bailiff}/kernels
[ $# -gt 0 ] || set -- 6.1 6.12 6.12-lockdown
# shellcheck source=hack/kernels/packages.sh
. hack/kernels/packages.sh

if [ "$(uname -m)" != x86_64 ]; then
	printf 'kernels.sh: the machines are emulated on x86_64, and this one is %s; run it on x86_64\n' "$(uname -m)" >&2
	exit 1
fi
needed=(qemu-system-x86_64 apt-get dpkg-deb dpkg-query xz busybox cc)
hint='make packages'
case " $* " in *" arm64-"*)
	needed+=(qemu-system-aarch64 aarch64-linux-gnu-gcc)
	hint='testbed/install.sh arm64'
	;;
esac
for program in "${needed[@]}"; do
	if ! command -v "$program" >/dev/null; then
		printf 'kernels.sh: %s is missing; on Debian run: %s\n' "$program" "$hint" >&2
		exit 1
	fi
done

mkdir -p "$cache"
work=$(mktemp -d)
machines=()
# shellcheck disable=SC2317 # the trap calls it
finish() {
	[ ${#machines[@]} -eq 0 ] || kill "${machines[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

# tests_of FOLDER CARGO-ARGUMENT…: builds the kernel tests, and prints the path of the program.
tests_of() {
	local target=$1 program
	shift
	program=$(CARGO_TARGET_DIR=$target cargo test --locked "$@" --test kernel --no-run --message-format=json 2>"$work/build" |
		sed -n 's/.*"name":"kernel".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
	if [ ! -x "$program" ]; then
		cat "$work/build" >&2
		printf 'kernels.sh: the kernel tests were not built\n' >&2
		return 1
	fi
	printf '%s\n' "$program"
}

# root_of_a_machine FOLDER TESTS COMPILER STRIP: what all machines of an architecture have besides programs.
root_of_a_machine() {
	local name
	mkdir -p "$1"/{proc,sys,dev,tmp,run,etc,mnt,programs}
	"$4" -o "$1/kernel-tests" "$2"
	install -m 755 hack/kernels/init "$1/init"
	for name in threads forks; do
		"$3" -O2 -Wall -Werror -static -pthread "crates/sensor/tests/kernel/$name.c" -o "$1/programs/$name"
	done
}

# libraries PROGRAM…: those that they load.
libraries() {
	local library
	for library in $(ldd "$@" 2>/dev/null | grep -v ':$' | grep -o '/[^ :]*' | sort -u || true); do
		mkdir -p "$root$(dirname "$library")"
		[ -e "$root$library" ] || cp -L "$library" "$root$library"
	done
}

# The tests are those that cargo test --workspace builds, so nothing is compiled twice.
tests=$(tests_of "$CARGO_TARGET_DIR" --workspace)
# The programs that the tests start are those of this machine, by the packages that machines of arm64 have, too.
root=$work/root-amd64
mkdir -p "$root/usr"/{bin,lib,lib64,sbin}
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$root/$folder"; done
mapfile -t programs < <(dpkg-query --listfiles "${packages_of_a_machine[@]}" | grep -E '^(/usr)?/s?bin/[^/]+$' | sort -u)
for program in "${programs[@]}"; do
	path=$(readlink -f "$program")
	[ -e "$root/usr/bin/${path##*/}" ] || cp "$path" "$root/usr/bin/${path##*/}"
	[ "${path##*/}" = "${program##*/}" ] || ln -sf "${path##*/}" "$root/usr/bin/${program##*/}"
done
libraries "${programs[@]}"
cp -r /usr/lib/x86_64-linux-gnu/perl-base "$root/usr/lib/x86_64-linux-gnu/"
root_of_a_machine "$root" "$tests" cc strip
libraries "$tests"

case " $* " in *" arm64-"*)
	mkdir "$work/root-arm64"
	programs_of_arm64 "$work/root-arm64"
	compiler=$(compiler_for_arm64)
	for_arm64=$(RUSTC=$compiler CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_PROFILE_DEV_DEBUG=none \
		tests_of "$PWD/target/arm64" -p bailiff-sensor --target aarch64-unknown-linux-gnu)
	root_of_a_machine "$work/root-arm64" "$for_arm64" aarch64-linux-gnu-gcc aarch64-linux-gnu-strip
	;;
esac

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
"$tests" --list --ignored >"$work/ignored" 2>/dev/null
case ${TESTS-} in
'') ;;
all) mapfile -t names < <(grep -vxFf "$work/ignored" "$work/list" | sed -n 's/: test$//p') ;;
*) read -ra names <<<"$TESTS" ;;
esac
for name in "${names[@]}"; do
	if ! grep -qx "$name: test" "$work/list"; then
		printf 'kernels.sh: no kernel test is called %s\n' "$name" >&2
		exit 1
	fi
done

# boot NAME KERNEL PARAMETERS ARGUMENT…: what the machine printed is in the file of this name; the tests' arguments follow.
boot() {
	local name=$1 folder own architecture=amd64
	local -a qemu
	folder=$(kernel "$2")
	qemu=(qemu-system-x86_64 -cpu max)
	local parameters="console=ttyS0 no_timer_check tsc=unstable $3"
	case $2 in arm64-*)
		architecture=arm64
		qemu=(qemu-system-aarch64 -machine virt -cpu cortex-a72)
		parameters="console=ttyAMA0 $3"
		;;
	esac
	shift 3
	own=$work/$name
	cp -al "$work/root-$architecture" "$own"
	cp "$folder/overlay.ko" "$own/overlay.ko"
	printf '%s\n' "$@" >"$own/arguments"
	(cd "$own" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$own.initramfs"
	rm -rf "$own"
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
	# Without hardware that virtualizes: the programs' addresses and the instructions are emulated.
	timeout 5400 "${qemu[@]}" -accel tcg -net none -m 1500 -nographic -no-reboot \
		-kernel "$folder/vmlinuz" -initrd "$own.initramfs" \
		-append "quiet panic=-1 mitigations=off $parameters" \
		</dev/null >"$work/$name.log" 2>&1 &
	machines+=($!)
}

refused=(--ignored --exact --nocapture refused::as_it_is)
for series in "$@"; do
	case $series in
	5.10) boot "$series" "$series" "" "${refused[@]}" ;;
	*-lockdown) boot "$series" "${series%-lockdown}" lockdown=confidentiality "${refused[@]}" ;;
	*-integrity) boot "$series" "${series%-integrity}" lockdown=integrity --exact a_program_is_seen_with_what_it_is ;;
	*) boot "$series" "$series" "" --exact --test-threads=1 "${names[@]}" ;;
	esac
done
wait || true
machines=()

failed=0
for name in "$@"; do
	log=$work/$name.log
	tr -d '\r' <"$log" >"$log.text"
	case $name in
	5.10) expected='said: .*the kernel is version 5\.10' ;;
	*-lockdown) expected='said: .*lockdown' ;;
	*-integrity) expected='test result: ok\. 1 passed' ;;
	*) expected="test result: ok\. ${#names[@]} passed" ;;
	esac
	if grep -q "$expected" "$log.text"; then
		printf 'kernel %s: %s\n' "$name" "$(grep -o "$expected.*" "$log.text" | head -n 1)"
	else
		cat "$log.text"
		printf 'kernel %s: the tests failed; the machine printed what stands above\n' "$name"
		failed=1
	fi
done
exit $failed
