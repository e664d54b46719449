#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Real trees go in; the same comes out after a remount, without any two
# folders, without the cache folder, and without both.
. "$(dirname "$0")/lib.sh"

# Bounded copies of what every machine has.
mkdir "$WORK/src"
cp -a /usr/include "$WORK/src/include"
mkdir "$WORK/src/doc"
find /usr/share/doc -maxdepth 1 -mindepth 1 | sort | head -n 150 |
	while read -r d; do cp -a "$d" "$WORK/src/doc/"; done
mkdir "$WORK/src/odd"
(
	cd "$WORK/src/odd"
	head -c 5000000 /dev/urandom >random
	: >empty
	head -c 131072 /dev/zero >chunk
	head -c 131073 /dev/zero >chunk1
	truncate -s 3000000 sparse
	printf tail | dd of=sparse bs=1 seek=2999990 conv=notrunc 2>/dev/null
	ln empty hard
	ln -s ../include soft
	mkfifo fifo
	mkdir -p deep/er/and/deeper
	touch -d '1985-10-26 01:21:00.123456789' old
	chmod 4711 old
	printf x >"$(printf 'new\nline and \377 byte')"
)
git init -q "$WORK/src/repo"
cp -a "$WORK/src/include/linux" "$WORK/src/repo/linux"
git -C "$WORK/src/repo" add .
git -C "$WORK/src/repo" -c user.name=t -c user.email=t@localhost \
	commit -qm one

make_pool
do_mount
cp -a "$WORK/src/." "$MNT/tree"
git clone -q "$WORK/src/repo" "$MNT/clone"
git -C "$MNT/clone" fsck --strict 2>&1 | grep -v '^notice' >&2 || :
rsync -a "$WORK/src/include/" "$MNT/rsynced/"
tree_print "$WORK/src" >"$WORK/want"
same() {
	tree_print "$MNT/tree" >"$WORK/got"
	cmp -s "$WORK/want" "$WORK/got" || {
		diff "$WORK/want" "$WORK/got" | head -n 20 >&2
		fail "the tree differs $1"
	}
}
same "while mounted"
diff -r --no-dereference "$WORK/src/include" "$MNT/rsynced" >/dev/null || fail "rsync copy differs"
do_umount

do_mount
same "after a remount"
git -C "$MNT/clone" fsck --strict >/dev/null 2>&1 || fail "git fsck"
do_umount

for i in a b c d e; do
	for j in b c d e f; do
		[ "$i" \< "$j" ] || continue
		hide $i $j
		case "$i$j" in
		ab | cd | ef) rm -rf "$CACHE" && mkdir "$CACHE" ;;
		esac
		other=f
		[ "$i$j" = af ] || [ "$j" = f ] && other=c
		[ "$i" = c ] && other=a
		do_mount "$POOL/$other" ro
		same "without $i and $j"
		do_umount
		unhide $i $j
	done
done

rm -rf "$CACHE" && mkdir "$CACHE"
do_mount
same "after the cache folder is gone"
do_umount
