#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# FAULTS.md has all its rows, in order, and every test that it names exists: a
# file below tests/, and with ":name" a function of that name in it.
# Usage: faults.sh SOURCE_DIR
set -eu
cd "$1/tests"
table=FAULTS.md
bad=0

fail() {
	echo "$table: $*"
	bad=1
}

want=1
for row in $(sed -n 's/^| \([0-9][0-9]*\) |.*/\1/p' "$table"); do
	[ "$row" = "$want" ] || fail "row $row where $want should be"
	want=$((want + 1))
done
[ "$want" = 30 ] || fail "$((want - 1)) rows instead of 29"

# The last column of each row: `file` or `file:function`, or "none yet".
missing=$(
	sed -n 's/^| \(D*[0-9][0-9]*\) |.*| \([^|]*\) |$/\1 \2/p' "$table" |
		while read -r row tests; do
			case $tests in
			*'`'* | 'none yet') ;;
			*) echo "row $row names no test" ;;
			esac
			echo "$tests" | tr ',' '\n' |
				sed -n 's/^[^`]*`\([^`]*\)`.*/\1/p' |
				while read -r test; do
					file=${test%%:*}
					name=${test#"$file"}
					name=${name#:}
					if [ ! -f "$file" ]; then
						echo "row $row: no $file"
					elif [ -n "$name" ] && ! grep -q \
						"\<$name(void" "$file"; then
						echo "row $row: no $name in $file"
					fi
				done
		done
)
[ -z "$missing" ] || fail "tests that do not exist:
$missing"
exit $bad
