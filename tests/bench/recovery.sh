#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How long a mount takes after the daemon was killed, with many files.
# Usage: recovery.sh BINARY_DIR [files [bytes of each]]
# At most, with 1,000,000 files: 10 s with the local index, 30 s without it,
# and the same with as many folders missing as may be.
. "$(dirname "$0")/../mount/lib.sh"
files=${2:-1000000}
bytes=${3:-100}

now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.2f", $1 - $2 }'; }

cc -O2 -o "$WORK/make_files" "$(dirname "$0")/make_files.c"
make_pool
do_mount
t=$(now)
"$WORK/make_files" "$MNT" "$files" "$bytes"
mendfs sync "$MNT"
echo "made $files files of $bytes bytes in $(since "$t") s"
# Work that no checkpoint holds yet: it is what there is to replay.
mkdir "$MNT/late"
"$WORK/make_files" "$MNT/late" $((files / 50)) "$bytes"
mendfs sync "$MNT"
pid=$(mendfs status --json "$MNT" | jq -r '.[0].pid')
kill -9 "$pid"
umount -l "$MNT"
cp -a "$POOL" "$WORK/pool.killed"
cp -a "$CACHE" "$WORK/cache.killed"
echo "index $(du -sm "$CACHE" | cut -f1) MiB, pool $(du -sm "$POOL" | cut -f1) MiB"

# try NAME OPTIONS: from the state right after the kill
try() {
	sync
	t=$(now)
	do_mount "$POOL/a" "$2"
	echo "$1: mounted after $(since "$t") s"
	found=$(find "$MNT/late" -type f | wc -l)
	[ "$found" = $((files / 50)) ] || fail "$found files in late"
	last=$((files - 1))
	[ -e "$MNT/d$((last / 1000))/f$last" ] || fail "f$last is gone"
	do_umount
}

again() {
	rm -rf "$POOL" "$CACHE"
	cp -a "$WORK/pool.killed" "$POOL"
	mkdir "$CACHE"
	[ "$1" = without ] || cp -a "$WORK/cache.killed/." "$CACHE"
}

again with; try "with the local index" rw
again without; try "without" rw
again with; rm -rf "$POOL/c" "$POOL/e"; try "degraded, with the local index" degraded
again without; rm -rf "$POOL/c" "$POOL/e"; try "degraded, without" degraded
