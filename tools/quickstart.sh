#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh machine to a mounted pool of six folders.
# Usage: sh tools/quickstart.sh [DIR]     (default: ./mendfs-demo)
set -eu
target=${1:-./mendfs-demo}
case $target in -*)
	echo "usage: sh tools/quickstart.sh [DIR]" >&2
	exit 2
	;;
esac
mkdir -p "$target"
target=$(cd "$target" && pwd)
cd "$(dirname "$0")/.."
. tools/packages.sh

# shellcheck disable=SC2086
need_packages $BUILD_PACKAGES
[ -c /dev/fuse ] || die "/dev/fuse is not there; load the kernel module: modprobe fuse"
[ -r /dev/fuse ] && [ -w /dev/fuse ] ||
	die "/dev/fuse may not be opened by $(id -un); as root: chmod 666 /dev/fuse"

say "Building mendfs ..."
log=$target/build.log
cmake --preset release -DMENDFS_TESTS=OFF >"$log" 2>&1 &&
	cmake --build --preset release >>"$log" 2>&1 ||
	die "the build failed; see $log"
bin=$PWD/build/release/tools
pool=$target/pool
mnt=$target/mnt
pass=$target/passfile

if ! [ -e "$pass" ]; then
	(umask 077 && head -c 24 /dev/urandom | base64 >"$pass")
fi
mkdir -p "$mnt"
if ! [ -e "$pool/a/mendfs.super.0" ] && ! [ -e "$pool/a/mendfs.super.1" ]; then
	for f in a b c d e f; do mkdir -p "$pool/$f"; done
	"$bin/mkfs.mendfs" --passfile "$pass" "$pool/a" "$pool/b" "$pool/c" \
		"$pool/d" "$pool/e" "$pool/f"
fi
if ! mountpoint -q "$mnt"; then
	"$bin/mendfs" mount "$pool/a" "$mnt" -o "passfile=$pass,cache_dir=$target/cache"
fi

cat <<END

A pool of six folders ($pool/a .. f) is mounted at
  $mnt
Any two of the folders may be lost. Try:

  export PATH="$bin:\$PATH"
  cp -a /usr/include $mnt/            # use it like any file system
  mendfs status $mnt
  mendfs umount $mnt                  # returns when all is durable
  mv $pool/b $pool/b.gone; mv $pool/e $pool/e.gone; rm -rf $target/cache
  mendfs mount $pool/a $mnt -o passfile=$pass,cache_dir=$target/cache
  diff -r --no-dereference /usr/include $mnt/include   # all there
  mendfs umount $mnt

The passphrase is in $pass: without it, nobody can read the
pool, and neither can you. Keep a copy.
END
