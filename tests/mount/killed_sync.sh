#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 while the daemon waits for the kernel's pages, which the kernel then
# holds against its thread: "mendfs umount" frees it, and the next mount works.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_crash.sh"

# Much that is only in the kernel, of a file that stays open.
make_dirty() {
	exec 4>"$MNT/large"
	head -c 80000000 /dev/urandom >&4
}

# cleared HOW: the daemon was killed
cleared() {
	kill_daemon "$pid"
	! is_mounted "$MNT" || clear_dead
	exec 4>&- || :
	! grep -q . "/proc/$pid/cmdline" 2>/dev/null ||
		fail "the daemon is still there after $1"
	do_mount "$POOL/a" cache_size=8M
	[ "$(cat "$MNT/small")" = synced ] || fail "small after $1"
}

cheap_pool 2 1 "$POOL/a" "$POOL/b" "$POOL/c"
do_mount "$POOL/a" cache_size=8M
echo synced >"$MNT/small"
sync "$MNT/small" "$MNT"
for i in 1 2 3; do
	pid=$(daemon_pid)
	make_dirty
	mendfs sync "$MNT" >/dev/null 2>&1 &
	pause 20 100
	cleared "kill -9 during a sync"
	wait

	pid=$(daemon_pid)
	make_dirty
	kill -TERM "$pid"
	pause 20 100
	cleared "kill -9 while ending"
done
do_umount
