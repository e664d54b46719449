#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No name and no content in the clear, in the folders or in the cache folder,
# while mounted and after. And one folder never holds a file per user file.
. "$(dirname "$0")/lib.sh"

name=PlantedNameZebra
word=PlantedContentWalrus
attr=PlantedAttributeOkapi

search() {
	for w in $name $word $attr; do
		! grep -raqF "$w" "$POOL" "$CACHE" "$XDG_CACHE_HOME" ||
			fail "$w stands in the clear $1"
	done
	! find "$POOL" "$CACHE" | grep -q "$name" || fail "a name leaks $1"
}

make_pool --compression none
do_mount
mkdir "$MNT/$name.dir"
i=0
while [ $i -lt 300 ]; do
	echo "$word $i" >"$MNT/$name.dir/$name.$i"
	i=$((i + 1))
done
yes "$word" | head -c 3000000 >"$MNT/$name.big"
ln -s "$word" "$MNT/$name.link"
setfattr -n "user.$attr" -v "$attr" "$MNT/$name.big"
mendfs sync "$MNT"
search "while mounted"
do_umount
search "after umount"
files=$(find "$POOL/a" -type f | wc -l)
[ "$files" -lt 100 ] || fail "$files files in one folder for 300 small ones"
do_mount
[ "$(cat "$MNT/$name.dir/$name.7")" = "$word 7" ] || fail "content"
[ "$(getfattr --only-values -n "user.$attr" "$MNT/$name.big")" = "$attr" ] ||
	fail "attribute"
do_umount
