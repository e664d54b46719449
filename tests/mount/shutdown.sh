#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The shutdown request: nothing is written or promised after it, everything
# fails, and the next mount finds what was durable, or what its flags keep.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_crash.sh"

power_off() { "$HELPERS/mount_power_off" "$@"; }
pool_print() {
	(cd "$POOL" && find . -printf '%P|%y|%s|%T@\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

# fails WORDS COMMAND...: it does, and says the words
fails() {
	words=$1
	shift
	! "$@" >"$WORK/out" 2>&1 </dev/null || fail "went well: $*"
	expect_words "$words"
}

everything_fails() {
	io="Input/output error"
	fails "$io" ls "$MNT"
	fails "$io" cat "$MNT/never-read"
	fails "$io" touch "$MNT/new"
	fails "$io" mkdir "$MNT/new"
	fails "$io" mv "$MNT/synced" "$MNT/other"
	fails "$io" rm -f "$MNT/synced"
	fails "$io" ln "$MNT/synced" "$MNT/new"
	fails "$io" truncate -s 0 "$MNT/synced"
	fails "$io" chmod 700 "$MNT/synced"
	fails "$io" setfattr -n user.a -v b "$MNT/synced"
	fails "$io" stat -f "$MNT"
	fails "shut down" mendfs sync "$MNT"
	# A file that was open before: its pages can be brought in no more.
	printf after 2>/dev/null >&4 || :
	fails "$io" sync "/dev/fd/4"
	power_off 2 "$MNT" 2>"$WORK/out" || expect_words EIO
}

# Open, a file synced, one not, and one of which part is.
begin() {
	do_mount
	echo old >"$MNT/never-read"
	echo before >"$MNT/half"
	mkdir "$MNT/dir"
	mendfs sync "$MNT"
	do_umount
	do_mount
	exec 4>"$MNT/open"
	printf before >&4
	sync "$MNT/open"
	head -c 300000 /dev/urandom >"$MNT/synced"
	sync "$MNT/synced" "$MNT"
	sum=$(sha256sum <"$MNT/synced")
	echo lost >"$MNT/unsynced"
	echo after >>"$MNT/half"
	mv "$MNT/dir" "$MNT/renamed"
}

# ends FLAGS [FILE]: shut down; nothing in the folders changes from then on
ends() {
	power_off "$1" "$MNT${2:+/$2}" || fail "shutdown $1"
	pool_print >"$WORK/at-shutdown"
	everything_fails
	sleep 1.2 # the services would have run twice
	exec 4>&- || :
	mendfs status "$MNT" >"$WORK/out" || fail "status"
	expect_words "shut down"
	do_umount
	pool_print | cmp -s - "$WORK/at-shutdown" ||
		fail "folders changed after shutdown $1"
}

synced_is_there() {
	[ "$(sha256sum <"$MNT/synced")" = "$sum" ] || fail "synced: $1"
	[ "$(cat "$MNT/open")" = before ] || fail "open: $1"
	[ "$(cat "$MNT/never-read")" = old ] || fail "never-read: $1"
	[ ! -e "$MNT/new" ] && [ ! -e "$MNT/other" ] || fail "too much: $1"
}

# Of a fresh pool each time.
again() {
	do_umount
	rm -rf "$POOL" "$CACHE"
	mkdir "$CACHE"
	cheap_pool 2 1 "$POOL/a" "$POOL/b" "$POOL/c"
}

cheap_pool 2 1 "$POOL/a" "$POOL/b" "$POOL/c"

# As power loss: neither data nor names that nobody asked to be safe.
begin
ends 2
do_mount
synced_is_there "dropped"
[ ! -s "$MNT/unsynced" ] || fail "not dropped"
[ "$(cat "$MNT/half")" = before ] || fail "half"
[ -d "$MNT/dir" ] && [ ! -e "$MNT/renamed" ] || fail "rename was kept"
again

# Operations are kept, by any file of the mount.
begin
ends 1 synced
do_mount
synced_is_there "records kept"
[ -d "$MNT/renamed" ] && [ ! -e "$MNT/dir" ] || fail "rename was lost"
again

# Everything is kept, what is in the kernel's pages too.
begin
echo kernel >&4
ends 0
do_mount
[ "$(cat "$MNT/unsynced")" = lost ] || fail "data was lost"
[ "$(cat "$MNT/half")" = "$(printf 'before\nafter')" ] || fail "half"
[ "$(cat "$MNT/open")" = beforekernel ] || fail "the kernel's pages"
again

# Under load, also of files that wait for the dirty limit.
do_mount "$POOL/a" cache_size=16M
start_load r1 600
pause 1500 500
power_off 2 "$MNT" || fail "shutdown under load"
pool_print >"$WORK/at-shutdown"
end_load 1
sleep 1
do_umount
pool_print | cmp -s - "$WORK/at-shutdown" || fail "changed after a shutdown"
do_mount
check_promises r1 "after a shutdown"
count_promises
[ "$PROMISES" -gt 10 ] || fail "nothing was promised"
do_umount

# Read-only mounts, other requests, other people.
do_mount "$POOL/a" ro
power_off 2 "$MNT" || fail "read-only"
fails "Input/output error" ls "$MNT"
do_umount
do_mount "$POOL/a" allow_other
fails EINVAL power_off 77 "$MNT"
fails lsattr lsattr -d "$MNT/r1"
chmod 755 "$MNT" "$WORK"
if command -v setpriv >/dev/null; then
	fails EPERM setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$HELPERS/mount_power_off" 2 "$MNT"
fi
ls "$MNT" >/dev/null || fail "refused requests shut it down"
do_umount
