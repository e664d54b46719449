#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One writer: a second mount on this machine is refused by the locks, one on
# another machine by the lease; it takes over from a writer that was killed or
# stopped, and the stopped one acknowledges nothing any more.
#
# The other machine is a mount namespace with a machine-id and a boot id of its
# own, which sees the folders through a FUSE file system that keeps flock to
# itself.
. "$(dirname "$0")/lib.sh"

skip() {
	echo "skipped: $*"
	exit 77
}
[ "$(id -u)" = 0 ] || skip "needs root"
command -v bindfs >/dev/null || skip "needs bindfs"
command -v nsenter >/dev/null || skip "needs nsenter"
unshare -m true 2>/dev/null || skip "no mount namespaces"

VIEW=$WORK/view
MNT2=$WORK/mnt2
CACHE2=$WORK/cache2
mkdir "$VIEW" "$MNT2" "$CACHE2"
other= daemon= daemon2= writer=

at_end() {
	for pid in $writer $daemon $daemon2 $other; do
		kill -9 "$pid" 2>/dev/null || :
	done
}

there() { nsenter -t "$other" -m "$@"; }
pid_of() { mendfs status --json "$1" | jq '.[0].pid'; }
pid_there() { there mendfs status --json "$MNT2" | jq '.[0].pid'; }
opts="passfile=$PASS,cache_dir=$CACHE"
opts2="passfile=$PASS,cache_dir=$CACHE2"
mount_there() { there mendfs mount "$POOL/a" "$MNT2" -o "$opts2"; }
now() { date +%s; }
# between LOW HIGH SECONDS WHAT
between() {
	[ "$3" -ge "$1" ] && [ "$3" -le "$2" ] || fail "$4 took $3 seconds"
}

make_pool
bindfs "$POOL" "$VIEW" || skip "bindfs does not work here"
unshare -m sleep 1000 &
other=$!
while [ "$(readlink "/proc/$other/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ]; do
	sleep 0.1
done
echo 0123456789abcdef0123456789abcdef >"$WORK/machine-id"
echo 01234567-89ab-cdef-0123-456789abcdef >"$WORK/boot-id"
if [ -s /etc/machine-id ]; then
	there mount --bind "$WORK/machine-id" /etc/machine-id
fi
there mount --bind "$WORK/boot-id" /proc/sys/kernel/random/boot_id
there mount --bind "$VIEW" "$POOL"

# ---- a writer at work keeps others out ----
do_mount
daemon=$(pid_of "$MNT")
echo first >"$MNT/first" && sync "$MNT/first"
mkdir "$WORK/second"
expect_exit 5 mendfs mount "$POOL/b" "$WORK/second" \
	-o "passfile=$PASS,cache_dir=$CACHE2"
expect_words "rocess $daemon" "$MNT" "mendfs umount $MNT"
start=$(now)
expect_exit 5 mount_there
between 0 14 $(($(now) - start)) "a refusal"
expect_words "another host" "process $daemon" "mendfs umount"
echo second >"$MNT/second" && sync "$MNT/second" || fail "the writer was hurt"
mendfs status -v "$MNT" >"$WORK/out"
expect_words healthy lease

# ---- it is killed: another host takes over after a while ----
kill -9 "$daemon"
start=$(now)
mount_there || fail "no take-over from a dead writer"
between 13 45 $(($(now) - start)) "a take-over"
daemon2=$(pid_there)
[ "$(there cat "$MNT2/first" "$MNT2/second")" = "first
second" ] || fail "what was synced is not there"
mendfs umount "$MNT" 2>/dev/null || fail "the dead mount is not cleared"
expect_exit 5 mendfs mount "$POOL/a" "$MNT" -o "$opts"

# ---- it is stopped: the first host takes over, and fences it ----
cat >"$WORK/writer" <<'EOF'
i=0
while i=$((i + 1)); do
	echo "$i" >"$1/loop.$i" && sync "$1/loop.$i" || exit 1
	echo "$i" >>"$2"
	sleep 0.05
done
EOF
there sh "$WORK/writer" "$MNT2" "$WORK/acked" 2>/dev/null &
writer=$!
sleep 1
kill -STOP "$daemon2"
start=$(now)
mendfs mount "$POOL/a" "$MNT" -o "$opts" || fail "no take-over from a stopped writer"
between 13 45 $(($(now) - start)) "a take-over"
daemon=$(pid_of "$MNT")
echo third >"$MNT/third" && sync "$MNT/third"
cp "$WORK/acked" "$WORK/acked.before"
kill -CONT "$daemon2"
wait "$writer" && fail "the stopped writer went on"
writer=
! there sh -c "echo x >'$MNT2/late' && sync '$MNT2/late'" 2>/dev/null ||
	fail "a fenced writer said yes"
there mendfs status "$MNT2" >"$WORK/out"
expect_words fenced "taken over"
there mendfs umount "$MNT2" >/dev/null 2>&1 || :
daemon2=
# At most the one that was under way when it was stopped.
[ "$(wc -l <"$WORK/acked")" -le $(($(wc -l <"$WORK/acked.before") + 1)) ] ||
	fail "a fenced writer acknowledged"
while read -r i; do
	[ "$(cat "$MNT/loop.$i")" = "$i" ] || fail "loop.$i was promised"
done <"$WORK/acked"
echo fourth >"$MNT/fourth" && sync "$MNT/fourth" || fail "the new writer was hurt"
do_umount
daemon=

# ---- a clean end keeps nobody waiting ----
start=$(now)
mount_there || fail "mount after an unmount elsewhere"
between 0 12 $(($(now) - start)) "a mount after a clean end"
daemon2=$(pid_there)
[ "$(there cat "$MNT2/third" "$MNT2/fourth")" = "third
fourth" ] || fail "what the new writer synced is not there"
[ ! -e "$MNT2/late" ] || fail "what a fenced writer did is there"
there mendfs umount "$MNT2" || fail "umount there"
daemon2=
expect_exit 0 fsck.mendfs -n --passfile "$PASS" "$POOL/a"
