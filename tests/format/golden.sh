#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The golden images of every disk version so far can be read, checked, written
# and read again, with all folders and without any two.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../mount/lib.sh"
. "$here/lib_golden.sh"
command -v xz >/dev/null || {
	echo "skipped: no xz"
	exit 77
}
printf %s "$GOLDEN_PASS" >"$PASS"

unpack() {
	rm -rf "$POOL" "$CACHE"
	mkdir "$POOL" "$CACHE"
	xz -dc "$1" | tar -C "$POOL" --no-same-owner -xf -
}

same_tree() {
	golden_describe "$MNT" >"$WORK/now"
	diff -a "$expect" "$WORK/now" >"$WORK/difference" || {
		head -n 20 "$WORK/difference" >&2
		fail "$image: the tree differs $1"
	}
}

pool_print() {
	(cd "$POOL" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

look_without() {
	hide "$@"
	from=$(find "$POOL" -mindepth 1 -maxdepth 1 | sort | head -n 1)
	do_mount "$from" ro
	same_tree "without $*"
	do_umount
	unhide "$@"
}

# Without any two: also of what was written while one was away.
look_without_pairs() {
	for pair in "a b" "a c" "b c" "a d" "b d" "c d"; do
		[ "$state" != missing ] || pair=${pair%% *}
		# shellcheck disable=SC2086
		look_without $pair
	done
}

check_pool() {
	expect_exit "$1" fsck.mendfs -n --read-data --passfile "$PASS" \
		--cache-dir "$CACHE" "$POOL/a"
}

# try STATE CODE: the image that was unpacked; CODE is what fsck.mendfs says
try() {
	state=$1
	pool_print >"$WORK/before"
	check_pool "$2"
	do_mount "$POOL/a" ro
	same_tree "read-only"
	do_umount
	look_without_pairs
	pool_print | cmp -s - "$WORK/before" ||
		fail "$image: reading has changed it"

	do_mount
	same_tree "mounted for writing"
	golden_text 5000 >"$MNT/later"
	do_umount
	rm -rf "$CACHE" && mkdir "$CACHE"
	do_mount
	golden_text 5000 | cmp -s - "$MNT/later" || fail "$image: later"
	rm "$MNT/later"
	same_tree "after a change"
	do_umount
	check_pool "$2"
}

[ -e "$here/v1-clean.tar.xz" ] || fail "there are no images"
for expect in "$here"/v*.expect; do
	image=${expect%.expect}-clean.tar.xz
	unpack "$image"
	try clean 0
	unpack "$image"
	rm -r "$POOL/d"
	try missing 4
	image=${expect%.expect}-journal.tar.xz
	unpack "$image"
	try journal 0
	image=${expect%.expect}-stale.tar.xz
	unpack "$image"
	try stale 0
done
