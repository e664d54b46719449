#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The cache folder's disk is full, or read-only: the mount goes well all the
# same, as the local index is only a cache (FAULTS.md, row 7; D14).
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || {
	echo "skipped: only root can mount a small disk"
	exit 77
}
mkdir -m 700 "$WORK/spare"
export XDG_RUNTIME_DIR="$WORK/spare"
mount -t tmpfs -o size=64k,mode=700 small "$CACHE"

make_pool
head -c 1000000 /dev/urandom >"$WORK/data"

# look NAME: mounts, finds what was written before, writes more, ends
look() {
	do_mount
	[ ! -e "$MNT/data" ] || cmp "$WORK/data" "$MNT/data" || fail "$1: data"
	cp "$WORK/data" "$MNT/data"
	echo "$1" >"$MNT/$1"
	mendfs sync "$MNT"
	[ -n "$(ls -A "$XDG_RUNTIME_DIR/mendfs-0" 2>/dev/null)" ] ||
		fail "$1: nothing lies in the spare folder"
	do_umount
	[ -z "$(ls -A "$XDG_RUNTIME_DIR/mendfs-0")" ] ||
		fail "$1: something is left in the spare folder"
}

head -c 65536 /dev/zero >"$CACHE/fill" 2>/dev/null || :
look full
rm "$CACHE/fill"
look small # room for the state, not for the index
mount -o remount,ro "$CACHE"
look readonly
umount "$CACHE"
do_mount
for f in full small readonly; do
	[ "$(cat "$MNT/$f")" = "$f" ] || fail "$f is gone"
done
cmp "$WORK/data" "$MNT/data" || fail "data"
do_umount
