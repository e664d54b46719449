# SPDX-License-Identifier: Apache-2.0
# Sourced by make_golden.sh and golden.sh: the tree that is in every image, and
# how it is described.

GOLDEN_PASS="golden images have no secrets"

# golden_text N: N lines, the same everywhere
golden_text() { seq -f 'line %.0f of a text that can be compressed' 1 "$1"; }

# golden_noise WORD N: N bytes that cannot be compressed, the same everywhere
golden_noise() {
	i=0
	while [ $i -lt $(($2 / 32 + 1)) ]; do
		printf '%s %s' "$1" $i | sha256sum | cut -c1-64
		i=$((i + 1))
	done | tr -d '\n' | sed 's/../\\x&/g' | xargs -0 printf '%b' |
		head -c "$2"
}

# The first part of the tree, written before the last clean unmount.
golden_begin() {
	mkdir -p "$1/dir/sub/deep/er" "$1/moved-from" "$1/many"
	golden_text 100 >"$1/dir/text"
	golden_noise one 9000 >"$1/dir/noise"
	golden_noise cut 9000 >"$1/dir/cut"
	echo gone >"$1/dir/removed"
	echo old >"$1/dir/replaced"
	golden_text 70000 >"$1/dir/large"
	golden_text 30000 >"$1/dir/overwritten"
	: >"$1/dir/empty"
	i=0
	while [ $i -lt 60 ]; do
		echo "$i" >"$1/many/file-$i"
		i=$((i + 1))
	done
	echo moved >"$1/moved-from/file"
}

# The rest: each kind of change of what is there, and of each kind of file.
golden_go_on() {
	d=$1/dir
	rm "$d/removed"
	echo new >"$d/aside" && mv "$d/aside" "$d/replaced"
	truncate -s 5000 "$d/cut"
	printf 'in the middle' |
		dd of="$d/overwritten" bs=1 seek=300000 conv=notrunc 2>/dev/null
	mv "$1/moved-from" "$d/sub/moved-to"
	ln "$d/text" "$d/sub/hard"
	ln -s ../dir/text "$d/symlink"
	ln -s "$(printf '%0300d' 7)" "$d/long-symlink"
	mkfifo "$d/fifo"
	truncate -s 3000000 "$d/sparse"
	printf tail | dd of="$d/sparse" bs=1 seek=2999990 conv=notrunc \
		2>/dev/null
	golden_noise two 700 >"$d/sub/deep/er/small"
	echo long >"$1/$(printf '%0255d' 1)"
	printf x >"$d/$(printf 'new\nline and \377 byte')"
	cp "$d/text" "$d/attributes"
	setfattr -n user.short -v value "$d/attributes"
	setfattr -n user.empty -v "" "$d/attributes"
	setfattr -n user.long -v "$(printf '%03000d' 9)" "$d/attributes"
	setfattr -n user.dir -v yes "$d/sub"
	touch "$d/mode" && chmod 4711 "$d/mode"
	chmod 1750 "$d/sub/deep"
	rm "$1"/many/file-1?
	if [ "$(id -u)" = 0 ]; then
		mknod "$d/device" c 7 300
		echo owned >"$d/owned" && chown 1234:56789 "$d/owned"
	fi
	find "$1" -depth -exec touch -h -d '2001-02-03 04:05:06.789012345 UTC' \
		{} +
	touch -d '1969-12-31 23:00:00 UTC' "$d/empty"
}

# Everything of a tree that has to be as it was.
golden_describe() {
	(
		cd "$1"
		find . -mindepth 1 ! -type d \
			-printf '%P|%y|%m|%U:%G|%s|%n|%T@|%l\0' |
			LC_ALL=C sort -z
		find . -mindepth 1 -type d -printf '%P|%y|%m|%U:%G|%T@\0' |
			LC_ALL=C sort -z
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum -z
		find . -type c -print0 | LC_ALL=C sort -z |
			xargs -0 -r stat -c '%n %t:%T'
		getfattr -R -P -d -m - -e hex . 2>/dev/null | LC_ALL=C sort
	) | LC_ALL=C tr '\0' '\n'
}
