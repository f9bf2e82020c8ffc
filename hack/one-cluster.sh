# Sourced by what starts a test cluster, of which a machine has one: waits until no other run has it.
#
# Descriptor 9 holds the lock until the script ends that sourced this, and those that it runs. A command
# whose processes outlive it is run with 9>&-.
# shellcheck shell=bash
lock=/run/lock/bailiff-testbed
# Inherited from the script that runs this one, it is held already.
if ! [ "/proc/$$/fd/9" -ef "$lock" ]; then
	mkdir -p "${lock%/*}"
	exec 9>"$lock"
	flock --nonblock 9 || {
		printf 'waiting for another run that has the test cluster of this machine (%s) …\n' "$lock" >&2
		flock 9
	}
fi
