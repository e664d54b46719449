#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Documents say what is there: the map of files in each folder's DESIGN.md, the
# manual pages' markup, the SQL and magic numbers in mendfs-format(5); and no
# file names a place that exists on one machine only.
# Usage: docs.sh SOURCE_DIR        exit code 77: all is well, but no mandoc
set -eu
cd "$1"
work=$(mktemp -d "${TMPDIR:-/tmp}/mendfs-docs.XXXXXX")
trap 'rm -rf "$work"' EXIT
bad=0

fail() {
	echo "$*"
	bad=1
}

# ---- the maps ----

# The names in the first column of the table below "## Map", one a line.
mapped() {
	sed -n '/^## Map/,$p' "$1" |
		sed -n 's/^| *\([^|]*\)|.*/\1/p' | grep -v '^-' |
		sed '1d' | tr -s ' ,:`' '\n' | sed '/^$/d'
}

for folder in base backend meta cache repair fs tools tests/fuzz; do
	ls "$folder"/*.[ch] >/dev/null 2>&1 || continue
	if [ ! -e "$folder/DESIGN.md" ]; then
		fail "$folder: no DESIGN.md"
		continue
	fi
	mapped "$folder/DESIGN.md" >"$work/map"
	for file in "$folder"/*.[ch]; do
		name=${file##*/}
		stem=${name%.[ch]}
		grep -qx -e "$stem" -e "$stem\.[ch]" "$work/map" ||
			fail "$folder/DESIGN.md: the map lacks $name"
	done
	while read -r name; do
		[ -e "$folder/$name" ] || [ -e "$folder/$name.c" ] ||
			[ -e "$folder/$name.h" ] ||
			fail "$folder/DESIGN.md: there is no $name"
	done <"$work/map"
done

# ---- mendfs-format(5) ----

page=man/mendfs-format.5

# X(number, name, "SQL" ...) as "number SQL", white space squeezed.
sed -n '/^#define STMT_TABLE/,/^$/p' meta/stmt_table.h |
	awk '/X\([0-9]/ { if (n) print n, t; t = ""; n = $1; gsub(/[^0-9]/, "", n) }
	     { k = split($0, s, "\""); for (i = 2; i <= k; i += 2) t = t s[i] }
	     END { print n, t }' |
	sed 's/, */,/g' >"$work/code"
sed -n '/^\.Ss Statements/,/^\.Ed/p' "$page" |
	awk '/^ ?[0-9]+ / { if (t) print t; t = "" }
	     /^ *[0-9]+ |^     / { t = t " " $0 }
	     END { print t }' |
	tr -s ' ' | sed 's/^ //; s/, */,/g' >"$work/page"
[ -s "$work/code" ] || fail "meta/stmt_table.h: no statements found"
diff -b "$work/code" "$work/page" ||
	fail "$page: statements differ from meta/stmt_table.h"

sed -n 's/.*_MAGIC.*"\([A-Z0-9]\{4,8\}\)".*/\1/p' \
	backend/*_format.h meta/*_format.h >"$work/magics"
[ -s "$work/magics" ] || fail "no magic numbers found"
while read -r magic; do
	grep -q "magic \"$magic\"" "$page" || fail "$page: lacks $magic"
done <"$work/magics"

# ---- places ----

find . \( -name .git -o -path ./build \) -prune -o -type f -exec \
	grep -nE '/wor[k]/|(^|[^A-Za-z_])share[d]/' {} + >"$work/places" || :
if [ -s "$work/places" ]; then
	cat "$work/places"
	fail "paths of one machine"
fi

# ---- markup ----

if command -v mandoc >/dev/null; then
	for manual in man/*.[1-9]; do
		mandoc -Tlint -Wwarning "$manual" || bad=1
	done
elif [ "$bad" = 0 ]; then
	echo "mandoc is not installed: markup not checked"
	exit 77
fi
exit $bad
