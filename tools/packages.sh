# SPDX-License-Identifier: Apache-2.0
# Sourced by quickstart.sh and check.sh: makes sure Debian packages are there.

BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config fuse3 libfuse3-dev
libsqlite3-dev libssl-dev libzstd-dev libisal-dev libargon2-dev libjansson-dev"
TEST_PACKAGES="libcmocka-dev mandoc git rsync attr jq xz-utils e2fsprogs xfsprogs bindfs"
FUZZ_PACKAGES="clang libclang-rt-dev"

say() { printf '%s\n' "$*" >&2; }

die() {
	say "$0: $*"
	exit 1
}

missing_packages() {
	for p in "$@"; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null |
			grep -q '^install ok installed' || printf '%s ' "$p"
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "needs root to run: $*
Install these packages as root, then run this again:
  apt-get install $missing"
	fi
}

# need_packages PACKAGE...: installs what is missing.
need_packages() {
	if ! command -v dpkg-query >/dev/null; then
		say "This is not Debian or Ubuntu. Make sure the equivalents of"
		say "these packages are installed:"
		say "  $*"
		command -v cmake >/dev/null && command -v ninja >/dev/null ||
			die "cmake and ninja are not there"
		return 0
	fi
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	say "Installing: $missing"
	as_root apt-get update -q >/dev/null 2>&1 ||
		say "apt-get update failed; trying with what is known"
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends $missing >/dev/null ||
		die "apt-get could not install: $missing"
}
