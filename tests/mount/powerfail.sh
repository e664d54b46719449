#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Folders on ext4 and XFS whose power fails under load: both file systems have
# a request that drops all that is not on their disk yet. Of all folders at
# once, and of m of them, where the pool must go on and keep its promises.
# MENDFS_TEST_ALL=1 makes many rounds of it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_crash.sh"

skip() {
	echo "skipped: $*"
	exit 77
}
[ "$(id -u)" = 0 ] || skip "not root"
[ -c /dev/loop-control ] || skip "no loop devices"
for t in mkfs.ext4 mkfs.xfs; do
	command -v $t >/dev/null || skip "no $t"
done

rounds=${MENDFS_TEST_ROUNDS:-1}
[ -z "${MENDFS_TEST_ALL:-}" ] || rounds=${MENDFS_TEST_ROUNDS:-30}
FOLDERS="a b c d"
DAEMON=

# The loop devices go with their mounts.
at_end() {
	[ -z "$LOAD" ] || kill "$LOAD" 2>/dev/null || :
	[ -z "$DAEMON" ] || kill -9 "$DAEMON" 2>/dev/null || :
}

disk_on() {
	for f in "$@"; do
		mkdir -p "$POOL/$f"
		mount -o loop "$WORK/$f.img" "$POOL/$f" ||
			fail "the disk of $f cannot be mounted"
	done
}
disk_off() {
	for f in "$@"; do
		umount "$POOL/$f" || fail "the disk of $f is in use"
	done
}
make_disks() {
	for f in a c; do
		truncate -s 400M "$WORK/$f.img"
		mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 \
			"$WORK/$f.img"
	done
	for f in b d; do
		truncate -s 400M "$WORK/$f.img"
		mkfs.xfs -q "$WORK/$f.img"
	done
	# shellcheck disable=SC2086
	disk_on $FOLDERS
}

power_fails() {
	# shellcheck disable=SC2046
	"$HELPERS/mount_power_off" 2 $(for f in "$@"; do echo "$POOL/$f"; done) ||
		fail "the disks cannot be shut down"
}

mount_pool() {
	do_mount "$POOL/a/pool"
	DAEMON=$(daemon_pid)
}

end_daemon() {
	kill_daemon "$DAEMON"
	DAEMON=
	clear_dead
}

# The disks come back with what had reached them.
power_returns() {
	# shellcheck disable=SC2086
	disk_off $FOLDERS
	# shellcheck disable=SC2086
	disk_on $FOLDERS
}

check_all() {
	mount_pool
	check_promises "$1" "$2"
	count_promises
	echo "$1: $(cat "$WORK/checked")"
	rm -rf "${MNT:?}/$1"
	do_umount
	DAEMON=
	mount_pool
}

# All at once; the daemon goes on for a moment with nothing under it.
all_fail() {
	start_load "$1" 600
	pause 500 2500
	# shellcheck disable=SC2086
	power_fails $FOLDERS
	pause 10 1500
	end_daemon
	end_load 1
	power_returns
	check_all "$1" "after a power failure of all"
}

# Two, while the load goes on unharmed; then all the others too, or a crash,
# or neither.
two_fail() {
	pick_pair
	start_load "$1" 5
	pause 500 2500
	# shellcheck disable=SC2086
	power_fails $PAIR
	dice 3
	case $DICE in
	0) end_load 0 ;;
	1) pause 500 1500 && end_daemon && end_load 1 ;;
	2)
		pause 500 1500
		others=$(echo "$FOLDERS" | tr ' ' '\n' |
			grep -v "[$PAIR]" | tr '\n' ' ')
		# shellcheck disable=SC2086
		power_fails $others
		end_daemon
		end_load 1
		;;
	esac
	if [ -n "$DAEMON" ]; then
		do_umount
		DAEMON=
	fi
	power_returns
	check_all "$1" "after a power failure of $PAIR ($DICE)"
}

make_disks
# shellcheck disable=SC2046
mkdir $(for f in $FOLDERS; do echo "$POOL/$f/pool"; done)
cheap_pool 2 2 "$POOL/a/pool" "$POOL/b/pool" "$POOL/c/pool" "$POOL/d/pool"
mount_pool
round=1
while [ $round -le "$rounds" ]; do
	all_fail "all$round"
	two_fail "two$round"
	round=$((round + 1))
done
do_umount
DAEMON=
echo "$rounds rounds, $PROMISES promises kept"
[ "$PROMISES" -gt $((rounds * 40)) ] || fail "hardly anything was promised"
