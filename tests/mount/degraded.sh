#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writing without two folders, their return, then without two others; and the
# rules of who may write when a majority is missing.
. "$(dirname "$0")/lib.sh"

fill() { head -c "$2" /dev/urandom >"$1" && sha256sum <"$1" >>"$WORK/sums.$3"; }
check() {
	for f in "$MNT"/file?; do sha256sum <"$f"; done |
		cmp -s - "$WORK/sums.$1" || fail "contents differ: $2"
}

make_pool
do_mount
fill "$MNT/file1" 3000000 six
do_umount
hide b e
rm -rf "$CACHE" && mkdir "$CACHE"
do_mount
check six "without b and e"
fill "$MNT/file2" 5000000 six
mendfs status "$MNT" >"$WORK/out"
expect_words "$POOL/b" "$POOL/e"
do_umount
unhide b e
do_mount
check six "after b and e came back"
fill "$MNT/file3" 100 six
do_umount
# b and e never got file2; nothing that was written may depend on c and f
# together with them, so any two can go.
hide c f
do_mount
check six "without c and f"
do_umount
unhide c f
hide a b c
expect_exit 4 mendfs mount "$POOL/d" "$MNT" \
	-o "passfile=$PASS,cache_dir=$CACHE"
expect_words "$POOL/a" "$POOL/b" "$POOL/c"
unhide a b c

# Two folders, one gone: no majority.
rm -rf "$POOL" "$CACHE"
mkdir -p "$POOL/a" "$POOL/b" "$CACHE"
mkfs.mendfs --passfile "$PASS" "$POOL/a" "$POOL/b" >/dev/null 2>&1
do_mount
fill "$MNT/file1" 400000 two
do_umount
hide a
expect_exit 4 mendfs mount "$POOL/b" "$MNT" \
	-o "passfile=$PASS,cache_dir=$CACHE"
expect_words degraded "$POOL/a"
do_mount "$POOL/b" degraded
check two "degraded"
fill "$MNT/file2" 70000 two
do_umount
do_mount "$POOL/b" ro
check two "read-only"
! touch "$MNT/no" 2>/dev/null || fail "wrote to a read-only mount"
do_umount
