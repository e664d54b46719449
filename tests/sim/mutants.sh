#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every deliberate bug of base/mutant.h must be noticed: by the crash explorer,
# or by a scenario that leads to it. The same programs must be silent without.
# Usage: mutants.sh SCENARIOS CRASH [MUTANT...]      (paths of the two programs)
set -u
scenarios=$1
crash=$2
shift 2
log=$(mktemp "${TMPDIR:-/tmp}/mendfs-mutants.XXXXXX")
trap 'rm -f "$log"' EXIT
bad=0
limit=240 # seconds of one run; nearly all take less than one

# Enough for those that the explorer is to notice.
explore="$crash --seed 1 --histories 3"

# The command that must notice a mutant.
plan() {
	case $1 in
	SKIP_FOLDER_SYNC | SKIP_DATA_SYNC | PUBLISH_EARLY | STRIPE_WITHOUT_LAST | \
		JOURNAL_ON_M | ACK_EARLY | APPEND_RECOVERED | \
		INDEX_WITHOUT_MARK | SIZE_BEFORE_EXTENTS) echo "$explore" ;;
	RECYCLE_EARLY | RECYCLE_OPEN_BYTES | CUT_BETWEEN | REUSE_SALT)
		echo "$scenarios save_in_checkpoint" ;;
	FORGET_AT_SEAL | REPROTECT_TAIL)
		echo "$scenarios save_while_sealing" ;;
	DELETE_EARLY) echo "$scenarios unlink_in_checkpoint" ;;
	MOVE_WITHOUT_OLD) echo "$scenarios moved_journal" ;;
	SUPERBLOCK_BY_MAJORITY) echo "$scenarios newest_alone" ;;
	UNREACHABLE_IS_MISSING) echo "$scenarios unread_journal" ;;
	EPOCH_WITH_TOO_FEW) echo "$scenarios too_few" ;;
	TRUST_SECOND_SYNC) echo "$scenarios second_sync" ;;
	FORGET_STICKY) echo "$scenarios lost_record" ;;
	SEAL_AGAIN) echo "$scenarios seal_again" ;;
	SKIP_ROW_COUNT) echo "$scenarios row_counts" ;;
	DROP_EPOCH_CHECK) echo "$scenarios stale_journal" ;;
	EVICT_DIRTY) echo "$scenarios small_memory" ;;
	EXTENTS_AFTER_TRUNCATE) echo "$scenarios cut_in_flight" ;;
	STALE_FILL) echo "$scenarios cut_in_fill" ;;
	esac
}

# What was noticed, in one line.
noticed() {
	{
		grep -m 1 -h -e '^violated ' -e 'nonce_repeated' -e 'bug at' "$log" ||
			grep -A 1 -m 1 '^FAILED' "$log" | tail -n 1
	} | sed 's/^ *//'
}

run() {
	timeout "$limit" "$@" >"$log" 2>&1
}

sound() {
	if run "$@"; then
		echo "without a mutant: ok: $*"
	else
		echo "without a mutant: FAILED: $*"
		tail -n 5 "$log"
		bad=1
	fi
}

# 1: it was not noticed. A program that could not run has noticed nothing.
try_mutant() {
	command=$(plan "$1")
	if [ -z "$command" ]; then
		echo "$1: no command of this script is to notice it"
		return 1
	fi
	began=$(date +%s%N)
	MENDFS_MUTANT=$1 run $command
	code=$?
	ms=$((($(date +%s%N) - began) / 1000000))
	what=$(noticed)
	if [ "$code" = 0 ] || [ -z "$what" ]; then
		echo "$1: NOT NOTICED (exit code $code, $ms ms): $command"
		return 1
	fi
	printf '%-24s %-6s %6d ms  %.90s\n' "$1" "$2" "$ms" "$what"
}

if [ $# = 0 ]; then
	sound "$scenarios"
	sound $explore
fi
wanted=" $* "
"$scenarios" --mutants >"$log.list" || exit 2
while read -r name breaks; do
	case $wanted in
	"  " | *" $name "*) try_mutant "$name" "$breaks" || bad=1 ;;
	esac
done <"$log.list"
rm -f "$log.list"
exit $bad
