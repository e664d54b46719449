# SPDX-License-Identifier: Apache-2.0
# Sourced by the mount tests: a scratch folder, a pool in it, and their end.
# Each test is called as: test.sh BINARY_DIR

set -eu
BIN=$1
PATH=$BIN:$PATH
export PATH
WORK=$(mktemp -d "${TMPDIR:-/tmp}/mendfs-test.XXXXXX")
POOL=$WORK/pool
MNT=$WORK/mnt
CACHE=$WORK/cache
PASS=$WORK/pass
export XDG_CACHE_HOME="$WORK/xdg" XDG_RUNTIME_DIR="$WORK/run"
mkdir -p "$POOL" "$MNT" "$CACHE" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
printf 'correct horse %s\n' "$$" >"$PASS"
chmod 600 "$PASS"

# 77: ctest counts the test as skipped.
[ -c /dev/fuse ] && [ -w /dev/fuse ] || {
	echo "skipped: no access to /dev/fuse"
	exit 77
}

is_mounted() { grep -q " $1 fuse.mendfs " /proc/self/mounts; }

# Called first when the test ends, however it does; tests may define their own.
at_end() { :; }

# Ends what this test began: only mounts below its own scratch folder.
finish() {
	code=$?
	trap - EXIT
	at_end
	awk -v w="$WORK/" 'index($2, w) == 1 { print $2 }' /proc/self/mounts |
		while read -r m; do
			umount -l "$m" 2>/dev/null ||
				fusermount3 -uz "$m" 2>/dev/null || :
		done
	rm -rf "$WORK"
	exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# make_pool [mkfs options]: six folders a..f
make_pool() {
	for f in a b c d e f; do mkdir -p "$POOL/$f"; done
	mkfs.mendfs --passfile "$PASS" "$@" "$POOL/a" "$POOL/b" "$POOL/c" \
		"$POOL/d" "$POOL/e" "$POOL/f" >/dev/null
}

# do_mount [FOLDER [OPTIONS]]
do_mount() {
	mendfs mount "${1:-$POOL/a}" "$MNT" \
		-o "passfile=$PASS,cache_dir=$CACHE${2:+,$2}" ||
		fail "mount ${1:-} ${2:-}"
	is_mounted "$MNT" || fail "mount returned and nothing is mounted"
}

do_umount() {
	mendfs umount "$MNT" || fail "umount"
	! is_mounted "$MNT" || fail "umount returned and it is still mounted"
}

hide() { for f in "$@"; do mv "$POOL/$f" "$WORK/hidden.$f"; done; }
unhide() { for f in "$@"; do mv "$WORK/hidden.$f" "$POOL/$f"; done; }

# expect_exit CODE COMMAND...: output goes to $WORK/out
expect_exit() {
	want=$1
	shift
	got=0
	"$@" >"$WORK/out" 2>&1 </dev/null || got=$?
	[ "$got" = "$want" ] || {
		cat "$WORK/out" >&2
		fail "exit $got instead of $want: $*"
	}
}

# expect_words WORD...: each is in the output of the last expect_exit
expect_words() {
	for w in "$@"; do
		grep -qF -- "$w" "$WORK/out" || {
			cat "$WORK/out" >&2
			fail "the message does not say: $w"
		}
	done
}

# A fingerprint of everything in a tree: names, types, modes, times, contents.
tree_print() {
	(cd "$1" && find . -printf '%P|%y|%m|%s|%T@|%l|%n\n' |
		grep -av '^|d' | LC_ALL=C sed 's/|d|\([0-9]*\)|[0-9]*|/|d|\1||/' | LC_ALL=C sort &&
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}
