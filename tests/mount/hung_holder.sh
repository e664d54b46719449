#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A daemon that is killed while a folder hangs cannot end, and keeps the pool
# locked. The next mount says so, says what frees it, and hangs nowhere itself.
#
# The folder is a FUSE file system whose server waits in another one that was
# stopped: so it has taken the daemon's request and does not answer, and no
# signal ends that wait.
. "$(dirname "$0")/lib.sh"

command -v bindfs >/dev/null || {
	echo "skipped: needs bindfs"
	exit 77
}
[ "$(id -u)" = 0 ] || {
	echo "skipped: needs root"
	exit 77
}
outer= inner= daemon=

at_end() {
	for pid in $outer $inner $daemon; do
		kill -9 "$pid" 2>/dev/null || :
	done
}

# wait_for SECONDS COMMAND...
wait_for() {
	tries=$(($1 * 10))
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || fail "waited in vain: $*"
		sleep 0.1
	done
}
hangs() { mendfs status "$MNT" | grep -E "(suspect|down) +$POOL/d"; }
is_zombie() { grep -q ') Z ' "/proc/$1/stat"; }
opts="passfile=$PASS,cache_dir=$CACHE"

make_pool
mkdir "$WORK/real" "$WORK/inner" "$WORK/second"
mv "$POOL/d" "$WORK/real/d"
mkdir "$POOL/d"
bindfs -f "$WORK/real" "$WORK/inner" &
inner=$!
wait_for 10 [ -d "$WORK/inner/d" ]
bindfs -f "$WORK/inner/d" "$POOL/d" &
outer=$!
wait_for 10 [ -e "$POOL/d/mendfs.lock" ]

do_mount
daemon=$(mendfs status --json "$MNT" | jq '.[0].pid')
echo promised >"$MNT/file" && sync "$MNT/file"
kill -STOP "$inner"
# The folder hangs, and nothing else does.
wait_for 30 hangs
echo too >"$MNT/file2" && sync "$MNT/file2" || fail "one hung folder stops all"

kill -9 "$daemon"
wait_for 20 is_zombie "$daemon"
start=$(date +%s)
expect_exit 5 mendfs mount "$POOL/a" "$WORK/second" -o "$opts"
[ $(($(date +%s) - start)) -lt 40 ] || fail "a refusal takes too long"
expect_words "rocess $daemon" "was killed" "$POOL/d: no answer" "umount -f"
# Also where the dead mount still is.
expect_exit 1 mendfs mount "$POOL/a" "$MNT" -o "$opts"
expect_words "mendfs umount --lazy $MNT"

# ---- freed ----
kill -9 "$outer"
outer=
gone() { [ ! -e "/proc/$1/stat" ] || ! grep -q . "/proc/$1/stat"; }
wait_for 20 gone "$daemon"
daemon=
mendfs umount --lazy "$MNT" 2>/dev/null || fail "the dead mount stays"
do_mount
[ "$(cat "$MNT/file" "$MNT/file2")" = "promised
too" ] || fail "what was synced is not there"
do_umount
