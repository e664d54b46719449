# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests that end a daemon or its folders in the middle of work,
# after lib.sh: a load with a manifest of what it was promised, and the check
# of it (promise.h). Each is called as: test.sh BINARY_DIR HELPER_DIR

HELPERS=$2
SEED=${MENDFS_TEST_SEED:-$(date +%s)}
echo "seed $SEED; to run this again: MENDFS_TEST_SEED=$SEED"
MANIFESTS=$WORK/manifests
mkdir -p "$MANIFESTS"
PROMISES=0
LOAD=

# The load's processes are children of this shell.
at_end() { [ -z "$LOAD" ] || kill "$LOAD" 2>/dev/null || :; }

# dice N: a number below N
dice() {
	SEED=$(((SEED * 1103515245 + 12345) % 2147483648))
	DICE=$((SEED / 65536 % $1))
}

# pause MS MORE: sleeps MS, and up to MORE milliseconds more
pause() {
	dice "$2"
	sleep "$(printf '%d.%03d' $((($1 + DICE) / 1000)) $((($1 + DICE) % 1000)))"
}

# cheap_pool K M FOLDER...: a pool that is quickly opened
cheap_pool() {
	k=$1 m=$2
	shift 2
	for f in "$@"; do mkdir -p "$f"; done
	"$HELPERS/mount_cheap_pool" "$(cat "$PASS")" "$k" "$m" "$@" ||
		fail "cheap_pool"
}

# Of the folders a to d.
PAIRS="a:b a:c a:d b:c b:d c:d"
pick_pair() {
	dice 6
	PAIR=$(echo "$PAIRS" | cut -d ' ' -f $((DICE + 1)) | tr : ' ')
}

daemon_pid() { mendfs status "$MNT" --json | jq -r '.[0].pid // empty'; }

# What man mendfs(7) tells users to do when the daemon is gone.
clear_dead() {
	mendfs umount "$MNT" >"$WORK/out" 2>&1 || {
		cat "$WORK/out" >&2
		fail "a dead mount cannot be cleared"
	}
	! is_mounted "$MNT" || fail "umount returned and it is still mounted"
}

# Until it has ended, or all of it but a thread that waits in the kernel.
kill_daemon() {
	kill -9 "$1" 2>/dev/null || :
	while kill -0 "$1" 2>/dev/null; do
		! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null || break
		sleep 0.01
	done
}

# start_load NAME SECONDS
start_load() {
	dice 30000
	"$HELPERS/mount_promise" load "$MNT/$1" "$MANIFESTS/$1" "$2" "$DICE" &
	LOAD=$!
}

# end_load CODE: waits for it; it must have ended so
end_load() {
	got=0
	wait "$LOAD" || got=$?
	LOAD=
	[ "$got" = "$1" ] || fail "the load ended with $got instead of $1"
}

# check_promises NAME WHEN: what is mounted against the manifest
check_promises() {
	"$HELPERS/mount_promise" check "$MNT/$1" "$MANIFESTS/$1" \
		>"$WORK/checked" || {
		cat "$WORK/checked" >&2
		keep_evidence
		fail "promises of $1 are broken $2"
	}
}

# Counts what NAME was promised.
count_promises() {
	n=$(sed -n 's/^promises=\([0-9]*\).*/\1/p' "$WORK/checked")
	PROMISES=$((PROMISES + n))
}

# With MENDFS_TEST_KEEP=DIR the folders and manifests of a failure are kept.
keep_evidence() {
	[ -n "${MENDFS_TEST_KEEP:-}" ] || return 0
	mkdir -p "$MENDFS_TEST_KEEP"
	cp -a "$WORK" "$MENDFS_TEST_KEEP/" 2>/dev/null || :
}
