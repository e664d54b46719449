#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the golden images of a disk version: once, when the version is fixed.
# Never again for a version that was released: a new disk version gets new
# images beside the old ones, which every later mendfs must read.
# Usage, as root: make_golden.sh BINARY_DIR HELPER_DIR VERSION
#   e.g. sh tests/format/make_golden.sh build/tools build/tests/mount 1
# Writes v<VERSION>.expect and v<VERSION>-<state>.tar.xz beside this script:
#   clean    unmounted
#   journal  cut off, with a journal to be replayed
#   stale    a folder that was away came back, before a clean unmount
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../mount/lib.sh"
. "$here/lib_golden.sh"
HELPERS=$2
version=$3

[ "$(id -u)" = 0 ] || fail "only root can make files of others"
for f in "$here/v$version".* "$here/v$version"-*; do
	[ ! -e "$f" ] || fail "$f is there: golden images are made once;" \
		"only before the version is released may it be removed"
done

printf %s "$GOLDEN_PASS" >"$PASS"
new_pool() {
	rm -rf "$POOL" "$CACHE"
	mkdir -p "$POOL/a" "$POOL/b" "$POOL/c" "$POOL/d" "$CACHE"
	"$HELPERS/mount_cheap_pool" "$GOLDEN_PASS" 2 2 "$POOL/a" "$POOL/b" \
		"$POOL/c" "$POOL/d" || fail "cheap_pool"
	do_mount
	golden_begin "$MNT"
	do_umount
}

# Checked against the first, then packed; files in the order of their names.
same_tree() {
	golden_describe "$MNT" >"$WORK/now"
	[ -e "$WORK/expect" ] || cp "$WORK/now" "$WORK/expect"
	cmp "$WORK/expect" "$WORK/now" || fail "the trees differ"
}
pack() {
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
		-C "$POOL" -cf - a b c d | xz -9e >"$WORK/v$version-$state.tar.xz"
}

state=clean
new_pool
do_mount
golden_go_on "$MNT"
same_tree
do_umount
pack

state=journal
new_pool
do_mount
golden_go_on "$MNT"
same_tree
sync "$MNT"
echo "not synced" >"$MNT/not-synced"
"$HELPERS/mount_power_off" 2 "$MNT" || fail "power_off"
do_umount
pack

state=stale
new_pool
hide d
do_mount
golden_go_on "$MNT"
do_umount
unhide d
do_mount
same_tree
do_umount
pack

mv "$WORK/expect" "$here/v$version.expect"
mv "$WORK/v$version"-*.tar.xz "$here/"
ls -l "$here/v$version"*
