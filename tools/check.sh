#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds everything and runs every test.
# Usage: sh tools/check.sh [ctest arguments, e.g. -R mount or -L unit]
set -eu
cd "$(dirname "$0")/.."
. tools/packages.sh

# Prints what cmake says only if it fails.
configure() {
	cmake --preset "$1" >"build-$1.log" 2>&1 || {
		cat "build-$1.log" >&2
		die "cmake failed"
	}
	rm -f "build-$1.log"
}

# shellcheck disable=SC2086
need_packages $BUILD_PACKAGES $TEST_PACKAGES $FUZZ_PACKAGES
[ $# -gt 0 ] || set -- -LE long
configure ci
cmake --build --preset ci
bad=0
ctest --preset ci -j "$(nproc)" "$@" || bad=1

# The fuzz targets have a tree of their own; it is only built if the arguments
# choose any of its tests.
configure fuzz
if ctest --preset fuzz -N "$@" | grep -q 'Test *#'; then
	cmake --build --preset fuzz
	ctest --preset fuzz -j "$(nproc)" "$@" || bad=1
fi
exit $bad
