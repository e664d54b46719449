#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each kind of damage is injected into real folders; fsck.mendfs finds it, says
# it by its id and exit code, and leaves every file of the pool as it was.
. "$(dirname "$0")/lib.sh"

# ---- help ----

# What is in the pool: names, sizes, times and contents. A mount renews its
# lease all the time.
pool_print() {
	lease=lease
	is_mounted "$MNT" || lease=
	(cd "$POOL" &&
		find . ! -name "$lease" -printf '%P|%y|%m|%s|%T@|%C@\n' | sort &&
		find . ! -name "$lease" -type f -print0 | sort -z |
		xargs -0 -r sha256sum)
}

# check CODE [OPTION...]: runs fsck.mendfs, nothing in the pool may change
check() {
	code=$1
	shift
	pool_print >"$WORK/before"
	expect_exit "$code" fsck.mendfs --passfile "$PASS" \
		--cache-dir "$CACHE" "$@"
	pool_print >"$WORK/after"
	cmp -s "$WORK/before" "$WORK/after" || {
		diff "$WORK/before" "$WORK/after" | head >&2
		fail "fsck.mendfs $* changed the pool"
	}
	[ -z "$(find "$CACHE" -mindepth 1 -name '*.*' -type d)" ] ||
		fail "the private folder is still there"
}

# found ID [N]: so many lines (at least one) with this id
found() {
	n=$(grep -cE "^(info|warning|error) $1 " "$WORK/out") || :
	[ "$n" = "${2:-$n}" ] && [ "$n" -gt 0 ] || {
		cat "$WORK/out" >&2
		fail "$n lines of $1 instead of ${2:-some}"
	}
}

not_found() {
	! grep -qE "^(info|warning|error) $1 " "$WORK/out" || {
		cat "$WORK/out" >&2
		fail "$1 was found"
	}
}

# The pool as it is now is kept, and brought back after each damage.
keep() { cp -a "$POOL" "$WORK/kept"; }
bring_back() {
	rm -rf "$POOL"
	cp -a "$WORK/kept" "$POOL"
}

# flip FILE OFFSET: changes one byte
flip() {
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	printf "\\$(printf %03o $(((byte + 1) % 256)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# fragments N: the first N fragments of the largest data segment
fragments() {
	stem=$(find "$POOL" -path '*/data/*' -type f -size +100k \
		-printf '%s %f\n' | sort -rn | head -n 1 |
		sed 's/^[0-9]* //; s/\.[0-9]*$//')
	find "$POOL" -name "$stem.*" | sort | head -n "$1"
}

# The daemon that serves $MNT is killed; the mount is taken down.
kill_mount() {
	pid=$(mendfs status "$MNT" --json | jq -r '.[0].pid // empty')
	[ -n "$pid" ] || fail "status does not say the pid"
	kill -9 "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	fusermount3 -uz "$MNT" 2>/dev/null || umount -l "$MNT"
}

# ---- well ----

make_pool
check 0 -n "$POOL/a"
expect_words clean
check 0 -p "$POOL/a"
check 0 -a "$POOL/c:$POOL/d"
check 0 "$POOL/a"
expect_words "does not repair yet"
check 0 -y "$POOL/a"
expect_words "does not repair yet"
expect_exit 0 mendfs fsck -n --passfile "$PASS" --cache-dir "$CACHE" "$POOL/a"

do_mount
check 8 -n "$POOL/a"
expect_words "in use"
mkdir "$MNT/dir"
head -c 6000000 /dev/urandom >"$MNT/dir/large"
printf small >"$MNT/dir/$(printf 'odd\nname')"
do_umount
check 0 -n "$POOL/a"
check 0 -n --read-data "$POOL/a"
expect_words "all data read" clean
check 0 --json --read-data -n "$POOL/f"
jq -e '.verdict == "clean" and .exit == 0 and .folders_there == 6 and
	.totals.chunks_opened > 40 and (.findings | length) == 0' \
	"$WORK/out" >/dev/null || fail "JSON of a clean pool"

# ---- not done at all ----

printf wrong >"$WORK/wrong"
chmod 600 "$WORK/wrong"
expect_exit 8 fsck.mendfs -n --passfile "$WORK/wrong" "$POOL/a"
expect_words passphrase
expect_exit 8 fsck.mendfs -n --passfile "$WORK/none" "$POOL/a"
expect_exit 8 fsck.mendfs -n --passfile "$PASS" "$WORK"
check 8 -n --cache-dir "$POOL/a/cache" "$POOL/a"
expect_words "lies inside"
expect_exit 16 fsck.mendfs
expect_exit 16 fsck.mendfs -n -p "$POOL/a"
expect_exit 16 fsck.mendfs --no-such-option "$POOL/a"
expect_exit 16 fsck.mendfs -n "$POOL/a" "$POOL/b"
expect_exit 0 fsck.mendfs --help

# ---- fragments ----

keep
f=$(fragments 1)
flip "$f" $(($(stat -c %s "$f") / 2))
check 0 -n "$POOL/a"
check 4 -n --read-data "$POOL/a"
found segment-fragment-bad 1
found segment-degraded 1
expect_words "${f##*/}" "what to do:"
check 0 -p --read-data "$POOL/a"
bring_back

flip "$(fragments 1)" 100
check 4 -n "$POOL/a"
found segment-fragment-bad 1
bring_back

rm "$(fragments 1)"
check 4 -n "$POOL/a"
found segment-fragment-missing 1
not_found file-unreadable
bring_back

f=$(fragments 1)
truncate -s -4096 "$f"
check 4 -n "$POOL/a"
found segment-fragment-bad 1
bring_back

fragments 3 | xargs rm
check 4 -n "$POOL/a"
found segment-fragment-missing 3
found segment-lost 1
found file-unreadable
expect_words "/dir/large"
check 4 -p "$POOL/a"
check 4 -n --json "$POOL/a"
jq -e '.verdict == "errors" and .exit == 4 and (.findings |
	any(.id == "file-unreadable" and .subject == "/dir/large"))' \
	"$WORK/out" >/dev/null || fail "JSON of a damaged pool"
bring_back

# Two fragments' files change their names.
f=$(fragments 1)
g=$(fragments 2 | tail -n 1)
cp -p "$f" "$WORK/f"
cp -p "$g" "$f"
cp -p "$WORK/f" "$g"
check 4 -n "$POOL/a"
found segment-fragment-bad 2
bring_back

# ---- superblocks and folders ----

flip "$POOL/b/mendfs.super.0" 70
flip "$POOL/c/mendfs.super.1" 2500
check 4 -n "$POOL/a"
found super-slot-damaged 2
expect_words b/mendfs.super.0 c/mendfs.super.1
check 0 -p "$POOL/a"
bring_back

flip "$POOL/b/mendfs.super.0" 70
flip "$POOL/b/mendfs.super.1" 70
check 4 -n "$POOL/a"
found member-damaged 1
bring_back

hide b
check 4 -n "$POOL/a"
found member-missing 1
not_found segment-fragment-missing
check 0 -p "$POOL/a"
mkdir "$POOL/b"
check 4 -n "$POOL/a"
found member-missing 1
rmdir "$POOL/b"
hide c d
check 4 -p "$POOL/a"
found pool-too-few 1
not_found segment-lost
unhide b c d

# ---- checkpoints ----

find "$POOL" -path '*/index/*' -type f -delete
check 4 -n "$POOL/a"
found manifest-unreadable
bring_back

# ---- what nothing refers to ----

mkdir -p "$POOL/a/data/99"
echo x >"$POOL/a/data/99/0000000000000099-0123456789abcdef.0"
check 0 -n "$POOL/a"
not_found orphan-object
check 0 -n -v "$POOL/a"
found orphan-object 1
bring_back

# ---- journal ----

do_mount
for i in 1 2 3 4 5; do
	echo "$i" >"$MNT/dir/j$i"
	sync "$MNT/dir/j$i" "$MNT/dir"
done
kill_mount
check 0 -n -v --read-data "$POOL/a"
found journal-replayed 1
rm -rf "$WORK/kept"
keep
journals() {
	find "$POOL" -path '*/journal/*' -type f ! -name '*-00000000' | sort
}
[ "$(journals | wc -l)" = 3 ] || fail "not three copies of the journal"

flip "$(journals | head -n 1)" 4200
check 4 -n "$POOL/a"
found journal-copy-damaged 1
check 0 -p "$POOL/a"
bring_back

rm "$(journals | head -n 1)"
check 4 -n "$POOL/a"
found journal-copies-few 1
bring_back

for j in $(journals); do flip "$j" 4200; done
check 4 -p "$POOL/a"
found journal-acked-lost 1
bring_back

# ---- cancelled ----

# SIGTERM as soon as it is caught, which is before the key is derived.
fsck.mendfs -n --passfile "$PASS" --cache-dir "$CACHE" "$POOL/a" \
	>/dev/null 2>&1 &
pid=$!
while kill -0 $pid 2>/dev/null; do
	caught=$(sed -n 's/^SigCgt:[^0-9a-f]*//p' /proc/$pid/status)
	[ $((0x${caught:-0} & 0x4000)) = 0 ] || break
	sleep 0.02
done
kill -TERM $pid
got=0
wait $pid || got=$?
[ $got = 32 ] || fail "exit $got after a signal"
[ -z "$(find "$CACHE" -mindepth 1 -name '*.*' -type d)" ] ||
	fail "the private folder is still there"

# A mount makes all of it good again.
do_mount
[ "$(cat "$MNT/dir/j5")" = 5 ] || fail "a synced file is gone"
do_umount
check 0 -n --read-data "$POOL/a"
