#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual of fsck.mendfs lists just the findings of the table, each with its
# severity, and every option of the help. Usage: fsck_man.sh BINARY_DIR
set -eu
BIN=$1
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/mendfs-test.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
page=$ROOT/man/fsck.mendfs.8

# X(NAME, "id", SEVERITY, ... may be broken over two lines
tr '\n' ' ' <"$ROOT/repair/finding.h" | tr -d '\\' |
	grep -oE 'X\([A-Z_]+,[[:space:]]*"[a-z-]+",[[:space:]]*[A-Z]+' |
	sed 's/.*"\([a-z-]*\)",[[:space:]]*\([A-Z]*\)/\1 \2/' |
	tr 'A-Z' 'a-z' | sort >"$WORK/table"
sed -n 's/^\.It Sy \([a-z-]*\) Pq \([a-z]*\)$/\1 \2/p' "$page" |
	sort >"$WORK/manual"
[ "$(wc -l <"$WORK/table")" -gt 50 ] || {
	echo "FAILED: the table was not understood"
	exit 1
}
diff "$WORK/table" "$WORK/manual" || {
	echo "FAILED: finding.h and the manual differ"
	exit 1
}

# Every code that the index's own check gives is in the table.
sed -n 's/^ \*     \(index-[a-z-]*\) .*/\1/p' "$ROOT/meta/index_check.c" |
	sort -u >"$WORK/codes"
[ -s "$WORK/codes" ] || {
	echo "FAILED: no codes found in index_check.c"
	exit 1
}
while read -r code; do
	grep -q "^$code error$" "$WORK/table" || {
		echo "FAILED: finding.h lacks $code"
		exit 1
	}
done <"$WORK/codes"

"$BIN/fsck.mendfs" --help >"$WORK/help"
grep -oE '^ +(-[a-z])?(, )?(--[a-z-]+)?' "$WORK/help" | tr -s ' ,' '\n' |
	grep '^-' | grep -vx -e -h -e --help >"$WORK/options"
while read -r option; do
	grep -qE "Fl ${option#-}( |\$)" "$page" || {
		echo "FAILED: the manual lacks $option"
		exit 1
	}
done <"$WORK/options"
