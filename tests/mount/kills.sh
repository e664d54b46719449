#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon at random instants under load, or while it ends. What the load was
# promised must be there after every kind of next mount: with the cache folder
# and without, without any m folders, and after a mount that was killed too.
# MENDFS_TEST_ALL=1 makes many rounds of it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_crash.sh"

rounds=${MENDFS_TEST_ROUNDS:-3}
[ -z "${MENDFS_TEST_ALL:-}" ] || rounds=${MENDFS_TEST_ROUNDS:-100}
FOLDERS="a b c d"

lose_cache() { rm -rf "$CACHE" && mkdir "$CACHE"; }

# The folders as the crash left them, for looks that may change them.
copy_begin() {
	mv "$POOL" "$WORK/real"
	cp -a "$WORK/real" "$POOL"
	cp -a "$CACHE" "$WORK/real.cache"
}
copy_again() {
	rm -rf "$POOL"
	cp -a "$WORK/real" "$POOL"
}
copy_end() {
	rm -rf "$POOL" "$CACHE"
	mv "$WORK/real" "$POOL"
	mv "$WORK/real.cache" "$CACHE"
}

# mount_one [OPTIONS]: from whichever folder is there
mount_one() {
	for f in $FOLDERS; do
		[ ! -d "$POOL/$f" ] || break
	done
	do_mount "$POOL/$f" "$@"
}

# Only the last record, as it was perhaps being written, may have few copies.
check_pool() {
	fsck.mendfs -n --read-data --passfile "$PASS" --cache-dir "$CACHE" \
		"$POOL/a" >"$WORK/out" 2>&1 || [ $? = 4 ] || {
		cat "$WORK/out" >&2
		fail "fsck.mendfs could not check the crashed pool"
	}
	! grep -E '^(warning|error) ' "$WORK/out" |
		grep -v '^warning journal-copies-few ' >&2 ||
		fail "fsck.mendfs finds damage in the crashed pool"
}

# Killed, or first asked to end: what is left is then written meanwhile.
end_daemon() {
	dice 3
	if [ "$DICE" = 0 ]; then
		kill -TERM "$1"
		pause 0 400
	fi
	kill_daemon "$1"
}

# Little memory, many commits, or neither.
some_options() {
	dice 3
	case $DICE in
	0) OPTIONS=cache_size=8M ;;
	1) OPTIONS=commit=1 ;;
	2) OPTIONS= ;;
	esac
}

# Each pair of folders hidden: nothing is written by a read-only mount.
look_without_pairs() {
	for pair in $PAIRS; do
		hide "${pair%:*}" "${pair#*:}"
		mount_one ro
		check_promises "$1" "read-only without $pair"
		do_umount
		unhide "${pair%:*}" "${pair#*:}"
	done
}

# Recovery without two folders, which then come back.
recover_degraded() {
	pick_pair
	# shellcheck disable=SC2086
	hide $PAIR
	lose_cache
	mount_one degraded
	check_promises "$1" "after recovery without $PAIR"
	tree_print "$MNT/$1" >"$WORK/settled.copy"
	do_umount
	# shellcheck disable=SC2086
	unhide $PAIR
	mount_one
	tree_print "$MNT/$1" | cmp -s - "$WORK/settled.copy" ||
		fail "$1 changed when $PAIR came back"
	do_umount
}

# A mount that is killed as well, perhaps in the middle of recovery.
kill_mounting() {
	mendfs mount -f "$POOL/a" "$MNT" -o "passfile=$PASS,cache_dir=$CACHE" \
		>/dev/null 2>&1 &
	pid=$!
	pause 5 250
	kill -9 $pid
	wait $pid 2>/dev/null || :
	! is_mounted "$MNT" || clear_dead
}

# What earlier rounds left is settled: it must not change any more.
same_as_settled() {
	for s in "$WORK"/settled.r*; do
		[ -e "$s" ] || continue
		tree_print "$MNT/${s##*/settled.}" | cmp -s - "$s" ||
			fail "${s##*/settled.} is not what it was before"
	done
}

forget_round() {
	[ -e "$WORK/settled.r$1" ] || return 0
	rm "$WORK/settled.r$1"
	rm -rf "$MNT/r$1"
}

# shellcheck disable=SC2046
cheap_pool 2 2 $(for f in $FOLDERS; do echo "$POOL/$f"; done)
do_mount
round=1
while [ $round -le "$rounds" ]; do
	name=r$round
	pid=$(daemon_pid)
	start_load $name 600
	forget_round $((round - 2))
	pause 100 3000
	end_daemon "$pid"
	! is_mounted "$MNT" || clear_dead
	end_load 1

	copy_begin
	check_pool
	look_without_pairs $name
	mount_one
	check_promises $name "with the cache folder"
	do_umount
	copy_again
	recover_degraded $name
	copy_end

	lose_cache
	dice 2
	[ "$DICE" = 0 ] || kill_mounting
	some_options
	do_mount "$POOL/a" "$OPTIONS"
	check_promises $name "without the cache folder"
	count_promises
	same_as_settled
	tree_print "$MNT/$name" >"$WORK/settled.$name"
	echo "round $round: $(cat "$WORK/checked")"
	round=$((round + 1))
done
do_umount
echo "$rounds kills, $PROMISES promises kept"
[ "$PROMISES" -gt $((rounds * 20)) ] || fail "hardly anything was promised"
