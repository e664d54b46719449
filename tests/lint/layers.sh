#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A file includes only what is below its layer, and each library is known to
# few files. Usage: layers.sh SOURCE_DIR
set -eu
cd "$1"
bad=0

fail() {
	echo "$*"
	bad=1
}

# layer folder: what it may include of the project
allowed() {
	case $1 in
	base) echo "base" ;;
	backend) echo "base backend" ;;
	meta) echo "base backend meta" ;;
	cache) echo "base cache" ;;
	repair) echo "base backend meta repair" ;;
	fs) echo "base backend meta cache repair fs" ;;
	tools) echo "base backend meta cache repair fs tools" ;;
	esac
}

for layer in base backend meta cache repair fs tools; do
	for file in "$layer"/*.c "$layer"/*.h; do
		[ -e "$file" ] || continue
		sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file" | sort -u |
			while read -r used; do
				case " $(allowed "$layer") " in
				*" $used "*) ;;
				*) echo "$file includes $used/" ;;
				esac
			done
	done
done >"${TMPDIR:-/tmp}/layers.$$"
if [ -s "${TMPDIR:-/tmp}/layers.$$" ]; then
	cat "${TMPDIR:-/tmp}/layers.$$"
	bad=1
fi
rm -f "${TMPDIR:-/tmp}/layers.$$"

# library header pattern, then the files that may include it
only() {
	pattern=$1
	shift
	for file in $(grep -lE "^#include <$pattern" base/*.[ch] backend/*.[ch] \
		meta/*.[ch] cache/*.[ch] repair/*.[ch] fs/*.[ch] tools/*.[ch] \
		2>/dev/null); do
		case " $* " in
		*" $file "*) ;;
		*) fail "$file may not include <$pattern>" ;;
		esac
	done
}
only 'openssl/' backend/aead.c backend/keyring.c
only 'argon2' backend/keyring.c
only 'zstd' backend/compress.c
only 'isa-l' backend/erasure.c backend/checksum.c
only 'sqlite3' meta/index_vfs.c meta/index_db.c meta/stmt.c
only 'fuse' $(ls fs/fuse_*.[ch] 2>/dev/null)
only "jansson" $(ls fs/control*.[ch] tools/*.[ch] 2>/dev/null)
only 'cmocka'

# SPDX line first, no over-long files, unique names
for file in base/*.[ch] backend/*.[ch] meta/*.[ch] cache/*.[ch] repair/*.[ch] \
	fs/*.[ch] tools/*.[ch]; do
	[ -e "$file" ] || continue
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
		fail "$file: no SPDX line"
	lines=$(wc -l <"$file")
	[ "$lines" -le 800 ] || fail "$file: $lines lines"
done
twice=$(ls base/*.c backend/*.c meta/*.c cache/*.c repair/*.c fs/*.c tools/*.c \
	2>/dev/null | sed 's,.*/,,' | sort | uniq -d)
[ -z "$twice" ] || fail "file names used twice: $twice"
exit $bad
