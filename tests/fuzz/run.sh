#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs fuzz targets one after another, each for so many seconds, from seeds
# made by the engine. Fails on any crash, leak, timeout or too much memory.
#
# Usage: run.sh SECONDS TARGETS_FOLDER [NAME...]     NAME: superblock, ...
#
# TARGETS_FOLDER has the programs (build/fuzz/tests/fuzz). Environment:
#   MENDFS_TEST_SEED     of the fuzzer's dice (1); printed
#   MENDFS_TEST_KEEP     where what made a target fail is kept, default
#                        TARGETS_FOLDER/crashes; run the target with that file
#                        alone to see it again
#   MENDFS_FUZZ_CORPUS   a folder that keeps what was found worth keeping, for
#                        the next run to go on from
set -eu
seconds=$1
dir=$(cd "$2" && pwd)
shift 2
seed=${MENDFS_TEST_SEED:-1}
keep=${MENDFS_TEST_KEEP:-$dir/crashes}

work=$(mktemp -d "${TMPDIR:-/tmp}/mendfs-fuzz.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
corpus=${MENDFS_FUZZ_CORPUS:-$work/corpus}
export TMPDIR="$work"
# Freed memory is not held back for long: many targets share a machine.
export ASAN_OPTIONS="quarantine_size_mb=8:malloc_context_size=8:\
detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"

if [ $# = 0 ]; then
	for file in "$dir"/fuzz_*; do
		name=${file##*/fuzz_}
		[ -x "$file" ] && [ "$name" != seeds ] && set -- "$@" "$name"
	done
fi

# Inputs longer than this say nothing new.
max_len() {
	case $1 in
	superblock) echo 131072 ;;
	fragment | lease | journal | manifest | chunk) echo 65536 ;;
	jseg) echo 32768 ;;
	answer) echo 16384 ;;
	*) echo 4096 ;;
	esac
}

# From the last line of statistics.
told() {
	awk '$2 == "DONE" { print substr($1, 2) " runs, " $4 " edges, " \
		$6 " features, " $8 " inputs kept" }' "$1"
}

run() {
	mkdir -p "$corpus/$1" "$work/seeds/$1" "$work/crash"
	timeout $((seconds + 120)) "$dir/fuzz_$1" "-seed=$seed" \
		"-max_total_time=$seconds" "-max_len=$(max_len "$1")" \
		-timeout=25 -rss_limit_mb=1024 -malloc_limit_mb=64 \
		-print_final_stats=0 "-artifact_prefix=$work/crash/$1-" \
		"$corpus/$1" "$work/seeds/$1" >"$work/log" 2>&1
}

echo "seed $seed, $seconds s each"
"$dir/fuzz_seeds" "$work/seeds"
bad=0
for name in "$@"; do
	if run "$name"; then
		echo "$name: $(told "$work/log")"
		continue
	fi
	echo "$name: FAILED"
	tail -n 60 "$work/log"
	bad=1
	mkdir -p "$keep"
	cp "$work/log" "$keep/$name.log"
	cp "$work/crash/$name-"* "$keep/" 2>/dev/null || :
	echo "kept in $keep"
done
exit $bad
