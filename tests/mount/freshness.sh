#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Old copies: of one folder, of all of them, of what this machine remembers;
# and two halves of a pool that were written apart.
. "$(dirname "$0")/lib.sh"

opts="passfile=$PASS,cache_dir=$CACHE"
try_mount() { # CODE SRC [OPTIONS]
	expect_exit "$1" mendfs mount "$2" "$MNT" -o "${3:-$opts}"
	! is_mounted "$MNT" || fail "refused, and mounted"
}
# restore FOLDER...: from the copy
restore() {
	for f in "$@"; do
		rm -rf "${POOL:?}/$f"
		cp -a "$WORK/old/$f" "$POOL/$f"
	done
}
says() { # NAME...: these files are there, and no others
	[ "$(ls "$MNT")" = "$(printf '%s\n' "$@")" ] ||
		fail "there are $(ls "$MNT"), not $*"
	for f in "$@"; do
		[ "$(cat "$MNT/$f")" = "$f" ] || fail "$f: $(cat "$MNT/$f")"
	done
}
add() { for f in "$@"; do echo "$f" >"$MNT/$f"; done; }
state() { find "$CACHE" -name state; }

make_pool
do_mount
add one two
do_umount
cp -a "$POOL" "$WORK/old"
do_mount
add three
rm "$MNT/one"
do_umount

# ---- one folder, then as many as may be lost ----
restore c
do_mount
says three two
do_umount
restore a f
do_mount
says three two
add four
do_umount

# ---- what this machine remembers is damaged: it heals itself ----
for damage in empty torn garbage gone index; do
	case $damage in
	empty) : >"$(state)" ;;
	torn) truncate -s 50 "$(state)" ;;
	garbage) head -c 300 /dev/urandom >"$(state)" ;;
	gone) rm "$(state)" ;;
	index) head -c 100000 /dev/urandom >"$(dirname "$(state)")/index" ;;
	esac
	do_mount
	says four three two
	do_umount
done

# ---- all of them ----
restore a b c d e f
try_mount 7 "$POOL/a"
expect_words older accept_rollback
try_mount 7 "$POOL/a" "$opts,ro"
restore a b c d e f
do_mount "$POOL/a" accept_rollback
says one two
add five
do_umount
do_mount
says five one two
do_umount

# ---- two halves, written apart ----
rm -rf "$POOL" "$CACHE" "$WORK/old"
mkdir -p "$POOL/a" "$POOL/b" "$POOL/c" "$POOL/d" "$CACHE" "$WORK/cache2"
mkfs.mendfs --passfile "$PASS" "$POOL/a" "$POOL/b" "$POOL/c" "$POOL/d" \
	>/dev/null 2>&1
do_mount
add both
do_umount
hide c d
try_mount 4 "$POOL/a"
do_mount "$POOL/a" degraded
add left
do_umount
unhide c d
hide a b
opts2="passfile=$PASS,cache_dir=$WORK/cache2"
expect_exit 0 mendfs mount "$POOL/c" "$MNT" -o "$opts2,degraded"
add right
do_umount
unhide a b
try_mount 7 "$POOL/a"
expect_words "side 1" "side 2" "$POOL/a" "$POOL/b" "$POOL/c" "$POOL/d" degraded
try_mount 7 "$POOL/d" "$opts,degraded,accept_rollback"
mkdir "$WORK/cache3"
expect_exit 0 mendfs mount "$POOL/a" "$MNT" \
	-o "passfile=$PASS,cache_dir=$WORK/cache3,ro"
expect_words "side 1" "side 2" "$POOL/a" "$POOL/d"
mendfs status "$MNT" >"$WORK/out"
expect_words diverged
case $(ls "$MNT" | tr '\n' ' ') in
"both left " | "both right ") ;;
*) fail "neither side: $(ls "$MNT")" ;;
esac
! touch "$MNT/no" 2>/dev/null || fail "wrote to it"
do_umount
# The user decides for one; the other gives way once it is made anew.
hide c d
do_mount "$POOL/a" degraded
says both left
do_umount
