#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds everything and runs every test.
# Usage: sh tools/check.sh [ctest arguments, e.g. -R mount or -L unit]
set -eu
cd "$(dirname "$0")/.."
. tools/packages.sh

# shellcheck disable=SC2086
need_packages $BUILD_PACKAGES $TEST_PACKAGES
cmake --preset ci >build-ci.log 2>&1 || {
	cat build-ci.log >&2
	die "cmake failed"
}
rm -f build-ci.log
cmake --build --preset ci
[ $# -gt 0 ] || set -- -LE long
ctest --preset ci -j "$(nproc)" "$@"
