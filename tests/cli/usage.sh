#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Exit codes and messages that need no mount: usage, passphrases, folders.
# Usage: usage.sh BINARY_DIR
set -eu
PATH=$1:$PATH
export PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/mendfs-usage.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
unset MENDFS_PASSFILE CREDENTIALS_DIRECTORY || :
mkdir a b c d mnt cache
printf 'secret words\n' >pass
printf 'secret wordz\n' >wrong
printf '\n' >empty
chmod 600 pass wrong empty
bad=0

# expect CODE TEXT COMMAND...: TEXT is a part of what is written.
expect() {
	code=$1
	text=$2
	shift 2
	got=0
	setsid -w "$@" >out 2>&1 </dev/null || got=$?
	if [ "$got" != "$code" ]; then
		echo "exit code $got instead of $code: $*"
		cat out
		bad=1
	elif [ -n "$text" ] && ! grep -qF -e "$text" out; then
		echo "no \"$text\" in what this says: $*"
		cat out
		bad=1
	fi
}

# The programs and their help.
expect 2 'usage: mendfs' mendfs
expect 0 'commands:' mendfs --help
expect 0 'mendfs ' mendfs --version
expect 2 "unknown command 'nonsense'" mendfs nonsense
expect 2 "'--nonsense'" mendfs status --nonsense
expect 2 "unknown option '-q'" mendfs status -q
expect 2 'SRC MNT is missing' mount.mendfs a
expect 2 "'extra' is too much" mendfs mount a mnt extra
expect 2 "needs a value" mkfs.mendfs --data

# Options that are refused by name, with their values.
expect 2 "--data 0" mkfs.mendfs --data 0 --passfile pass a b
expect 2 "--data x" mkfs.mendfs --data x --passfile pass a b
expect 2 "need 4 folders, but 2 are given" \
	mkfs.mendfs -k 3 -m 1 --passfile pass a b
expect 2 "--chunk-size" mkfs.mendfs --chunk-size 100K --passfile pass a b
expect 2 "--chunk-size 1Q" mkfs.mendfs --chunk-size 1Q --passfile pass a b
expect 2 "--segment-size" mkfs.mendfs --segment-size 1G --passfile pass a b
expect 2 "--compression lzma" mkfs.mendfs --compression lzma a b
expect 2 "--cipher rot13" mkfs.mendfs --cipher rot13 a b
expect 2 "'nonsense'" mendfs mount a mnt -o ro,nonsense
expect 2 "'nonsense'" mount.mendfs a mnt -o nonsense=3
expect 2 "commit=0" mendfs mount a mnt -o commit=0
expect 2 "cache_size=1M" mendfs mount a mnt -o cache_size=1M
expect 2 "'ro' takes no value" mendfs mount a mnt -o ro=1
expect 2 "needs a value" mendfs mount a mnt -o passfile
expect 0 "'nonsense' skipped" mount.mendfs -f -s a mnt -o nonsense
expect 0 "" mount.mendfs -f a mnt \
	-o defaults,nofail,_netdev,x-systemd.automount,user,noauto,nosuid,noexec

# Passphrases.
expect 1 "empty" mkfs.mendfs --passfile empty a b
expect 1 "nowhere" mkfs.mendfs --passfile nowhere a b
expect 1 "no terminal" mkfs.mendfs a b
[ -z "$(find a b -type f)" ] || {
	echo "a refused mkfs left something behind"
	bad=1
}
chmod 644 pass
expect 0 "can be read by others" mkfs.mendfs -L one --passfile pass a b
chmod 600 pass
expect 0 "survives     no loss" \
	env MENDFS_PASSFILE="$work/pass" mkfs.mendfs -m 0 c
mkdir cred
cp pass cred/mendfs
expect 0 "made the pool" env CREDENTIALS_DIRECTORY="$work/cred" mkfs.mendfs d
expect 3 "passphrase" mendfs mount a mnt -o passfile=wrong,cache_dir=cache

# Folders.
expect 1 "not empty" mkfs.mendfs --passfile pass a b
expect 1 "--yes" mkfs.mendfs --force --passfile pass a b
expect 0 "made the pool" mkfs.mendfs --force -y --passfile pass a b
expect 0 "not mounted" mendfs status a
expect 1 "mendfs status: $work" mendfs status mnt
expect 1 "no such directory" mendfs mount a nowhere -o passfile=pass
expect 1 "Not a directory" mendfs mount a pass -o passfile=pass
expect 1 "inside" mendfs mount a b -o passfile=pass,cache_dir=cache
expect 2 "empty folder name" mendfs mount a: mnt -o passfile=pass
expect 1 "not a mendfs mount" mendfs umount mnt
expect 1 "not in a mendfs mount" mendfs sync mnt
exit $bad
