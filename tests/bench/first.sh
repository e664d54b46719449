#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The numbers the first milestone is held to, as ratios to peers in one run.
# Usage: first.sh BINARY_DIR [rounds]     (bindfs must be installed)
. "$(dirname "$0")/../mount/lib.sh"
rounds=${2:-3}

now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.2f", $1 - $2 }'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
pool_bytes() { du -s -B1 "$POOL" | cut -f1; }

# 12,000 small files, 200 MB, as a tar: half text, half noise.
make_tar() {
	mkdir "$WORK/src"
	base64 -w 70 /dev/urandom | head -c 20000000 >"$WORK/text"
	head -c 20000000 /dev/urandom >"$WORK/noise"
	awk 'BEGIN { srand(7); for (i = 0; i < 12000; i++)
		printf "%d %d %d\n", i, int(rand() * 1000),
			1000 + int(rand() * rand() * 62000) }' |
		while read -r i at len; do
			d=$WORK/src/d$((i / 100))
			[ -d "$d" ] || mkdir "$d"
			from=$WORK/text
			[ $((i % 2)) = 0 ] || from=$WORK/noise
			tail -c +$((at * 19000 + 1)) "$from" | head -c "$len" \
				>"$d/file-number-$i" 2>/dev/null || :
		done
	tar -C "$WORK/src" -cf "$WORK/files.tar" .
	rm -rf "$WORK/src" "$WORK/text" "$WORK/noise"
}

echo "== mkfs and mount, s (at most 3)"
t=$(now); make_pool; echo "mkfs $(since "$t")"
echo "empty pool $(($(pool_bytes) / 1048576)) MiB (less than 64)"
t=$(now); do_mount; echo "mount $(since "$t")"

echo "== unpacking 12,000 files (ratio at most 1)"
make_tar
echo "tar of $(($(stat -c %s "$WORK/files.tar") / 1000000)) MB"
mkdir -p "$WORK/plain" "$WORK/bind"
bindfs "$WORK/plain" "$WORK/bind"
for r in $(seq "$rounds"); do
	t=$(now); tar -C "$WORK/bind" -xf "$WORK/files.tar"; sync -f "$WORK/plain"
	since "$t" >>"$WORK/t.bindfs"; echo >>"$WORK/t.bindfs"
	mkdir "$MNT/u$r"
	t=$(now); tar -C "$MNT/u$r" -xf "$WORK/files.tar"; mendfs sync "$MNT"
	since "$t" >>"$WORK/t.mendfs"; echo >>"$WORK/t.mendfs"
	rm -rf "$WORK/plain"/*
done
umount "$WORK/bind"
b=$(median <"$WORK/t.bindfs"); m=$(median <"$WORK/t.mendfs")
echo "bindfs $b mendfs $m ratio $(echo "$m $b" | awk '{ printf "%.2f", $1 / $2 }')"
do_umount

echo "== growth"
rm -rf "$POOL" "$CACHE"; mkdir -p "$POOL" "$CACHE"; make_pool
before=$(pool_bytes)
do_mount
head -c 268435456 /dev/urandom >"$MNT/noise"
do_umount
echo "256 MiB of noise: x $(echo "$(pool_bytes) $before" |
	awk '{ printf "%.3f", ($1 - $2) / 268435456 }') (at most 1.575)"
before=$(pool_bytes)
do_mount
mkdir "$MNT/small"
head -c 10240000 /dev/urandom | (cd "$MNT/small" && split -b 1024 -a 4)
do_umount
echo "10,000 files of 1 KiB: x $(echo "$(pool_bytes) $before" |
	awk '{ printf "%.3f", ($1 - $2) / 10240000 }') (at most 3)"
echo "files in one folder: $(find "$POOL/a" -type f | wc -l)"

echo "== memory while copying 2 GiB (at most cache_size + 200 MiB = 456)"
do_mount
pid=$(mendfs status --json "$MNT" | jq -r '.[0].pid')
head -c 1073741824 /dev/urandom >"$WORK/big"
for r in 1 2; do cp "$WORK/big" "$MNT/big$r"; done
mendfs sync "$MNT"
echo "peak $(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$pid/status") MiB"
rm "$MNT"/big?
do_umount

[ "${MILLION:-1}" = 1 ] || exit 0
echo "== a million files"
rm -rf "$POOL" "$CACHE"; mkdir -p "$POOL" "$CACHE"; make_pool
do_mount
pid=$(mendfs status --json "$MNT" | jq -r '.[0].pid')
i=0
while [ $i -lt 100 ]; do
	mkdir "$MNT/d$i"
	(cd "$MNT/d$i" && seq -f 'a-small-file-%06g' 10000 | xargs touch &&
		seq 10000 | split -l 1 -a 4 - 'b') 2>/dev/null
	i=$((i + 2))
done
mendfs sync "$MNT"
find "$MNT" | wc -l
echo "peak $(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$pid/status") MiB"
mendfs status --json "$MNT" | jq '.[0] | {inodes, index_bytes}'
do_umount
