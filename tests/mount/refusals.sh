#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Bad input: each has its own message (which folder, why, what next) and exit
# code, and nothing is written.
. "$(dirname "$0")/lib.sh"

# A fingerprint of all that is in the pool: nothing may change.
print_pool() { (cd "$POOL" && find . -printf '%p|%y|%s|%T@\n' | sort &&
	find . -type f -print0 | sort -z | xargs -0 -r sha256sum); }
unchanged() {
	print_pool >"$WORK/now"
	cmp -s "$WORK/before" "$WORK/now" || {
		diff "$WORK/before" "$WORK/now" | head >&2
		fail "something was written: $1"
	}
}
opts="passfile=$PASS,cache_dir=$CACHE"
try_mount() { # CODE SRC [OPTIONS]
	expect_exit "$1" mendfs mount "$2" "$MNT" -o "${3:-$opts}"
	! is_mounted "$MNT" || fail "refused, and mounted"
}

# mkfs
mkdir -p "$POOL/a" "$POOL/b" "$WORK/other"
M="mkfs.mendfs --passfile $PASS"
: >"$POOL/a/file"
expect_exit 1 $M "$POOL/a" "$POOL/b"
expect_words "$POOL/a" --force
rm "$POOL/a/file"
expect_exit 2 $M
expect_exit 2 $M --data 3 --parity 2 "$POOL/a" "$POOL/b"
expect_exit 2 $M --data 0 "$POOL/a" "$POOL/b"
expect_exit 2 $M --chunk-size 17K "$POOL/a" "$POOL/b"
expect_exit 2 $M --chunk-size 64M "$POOL/a" "$POOL/b"
expect_exit 2 $M --nonsense "$POOL/a"
expect_words nonsense
expect_exit 1 $M "$POOL/a" "$POOL/none"
expect_words "$POOL/none"
expect_exit 1 $M "$POOL/a" "$POOL/a"
expect_words "$POOL/a"
mkdir "$POOL/a/inner"
expect_exit 1 $M --force "$POOL/a" "$POOL/a/inner"
rmdir "$POOL/a/inner"
: >"$WORK/empty"
expect_exit 1 mkfs.mendfs --passfile "$WORK/empty" "$POOL/a"
[ -z "$(find "$POOL" -type f)" ] || fail "a refused mkfs left files"
rm -rf "$POOL"

# mount
make_pool
mkdir -p "$WORK/other/x" "$WORK/empty.d" "$WORK/junk.d"
: >"$WORK/junk.d/some-file"
mkfs.mendfs --passfile "$PASS" "$WORK/other/x" >/dev/null 2>&1
print_pool >"$WORK/before"
echo wrong >"$WORK/wrong"
try_mount 3 "$POOL/a" "passfile=$WORK/wrong,cache_dir=$CACHE"
unchanged "wrong passphrase"
try_mount 2 "$POOL/a" "$opts,frobnicate"
expect_words frobnicate
try_mount 2 "$POOL/a" "$opts,cache_size=lots"
try_mount 1 "$WORK/empty.d"
expect_words "$WORK/empty.d" empty
try_mount 1 "$WORK/junk.d"
expect_words "$WORK/junk.d" superblock
try_mount 1 "$WORK/not-there"
expect_words "$WORK/not-there"
try_mount 1 "$POOL/a:$WORK/other/x"
expect_words "$WORK/other/x"
try_mount 1 "$POOL/a:$POOL/a"
expect_words "$POOL/a"
unchanged "strange folders"

# An unmounted disk: an empty folder where one of the pool was.
hide c && mkdir "$POOL/c"
do_mount
mendfs status "$MNT" >"$WORK/out"
expect_words "$POOL/c"
do_umount
[ -z "$(ls -A "$POOL/c")" ] || fail "an empty folder was written to"
rmdir "$POOL/c" && unhide c

hide a b c
print_pool >"$WORK/before"
try_mount 4 "$POOL/d"
expect_words "$POOL/a" "$POOL/b" "$POOL/c"
unchanged "too few folders"
unhide a b c

# mount point or cache inside a folder, folder inside them
mkdir "$POOL/a/mnt"
expect_exit 1 mendfs mount "$POOL/a" "$POOL/a/mnt" -o "$opts"
expect_words "$POOL/a"
rmdir "$POOL/a/mnt"
try_mount 1 "$POOL/a" "passfile=$PASS,cache_dir=$POOL/b/cache"
expect_words "$POOL/b"
expect_exit 1 mendfs mount "$POOL/a" "$WORK/no-such-mount-point" -o "$opts"

# a second mount
do_mount
mkdir "$WORK/mnt2"
expect_exit 5 mendfs mount "$POOL/b" "$WORK/mnt2" -o "$opts"
expect_words umount
expect_exit 1 mkfs.mendfs --passfile "$PASS" --force "$POOL/a"
expect_exit 8 fsck.mendfs -n --passfile "$PASS" "$POOL/a"
do_umount
expect_exit 0 fsck.mendfs -n --passfile "$PASS" "$POOL/a"
expect_exit 1 mendfs umount "$MNT"
expect_exit 2 mendfs frobnicate
expect_words frobnicate
