#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What --help lists and what the manual pages describe are the same options;
# --help itself may be left out of a page.
# Usage: help.sh BINARY_DIR MAN_DIR
set -eu
BIN=$1
MAN=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/mendfs-help.XXXXXX")
trap 'rm -rf "$work"' EXIT
bad=0

# Options at the beginning of a line of help: "  -k, --data K".
options_of_help() {
	sed -n 's/^  \(-[A-Za-z]\), \(--[a-z-]*\).*/\1 \2/p
		s/^      \(--[a-z-]*\).*/\1/p
		s/^  \(-[A-Za-z]\) .*/\1/p' | tr ' ' '\n' | sort -u
}

# Options tagged in a list: ".It Fl k , Fl Fl data Ar K".
options_of_page() {
	awk '/^\.It Fl / {
		for (i = 2; i <= NF; i++) {
			if ($i != "Fl") continue
			if ($(i + 1) == "Fl") { print "--" $(i + 2); i += 2 }
			else { print "-" $(i + 1); i++ }
		}
	}' | sort -u
}

# The part of mendfs(1) about one command.
part() {
	awk -v want="$1" '/^\.S[sh] / { on = $0 == ".Ss " want } on' \
		"$MAN/mendfs.1"
}

compare() {
	for list in help page; do
		grep -vx -e --help -e -h "$work/$list" >"$work/$list.rest" || :
	done
	[ -s "$work/help" ] || {
		echo "$1: no options found in the help"
		bad=1
	}
	diff "$work/help.rest" "$work/page.rest" >"$work/diff" || {
		echo "$1: help (<) and manual page (>) differ:"
		cat "$work/diff"
		bad=1
	}
}

for command in mount umount status sync; do
	"$BIN/mendfs" $command --help | options_of_help >"$work/help"
	part "mendfs $command" | options_of_page >"$work/page"
	compare "mendfs $command"
done
for program in mkfs.mendfs mount.mendfs fsck.mendfs; do
	[ -e "$MAN/$program.8" ] || continue
	"$BIN/$program" --help | options_of_help >"$work/help"
	options_of_page <"$MAN/$program.8" >"$work/page"
	compare "$program"
done

"$BIN/mount.mendfs" --help | sed -n '/^mount options/,$p' |
	sed -n 's/^  \([a-z_]*\)[= ].*/\1/p' | sort >"$work/help"
sed -n '/^\.Sh MOUNT OPTIONS/,/^\.El/s/^\.It Cm \([a-z_]*\).*/\1/p' \
	"$MAN/mount.mendfs.8" | sort >"$work/page"
compare "mount options"

# Every command that the program knows has its part in mendfs(1).
"$BIN/mendfs" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' \
	>"$work/commands"
[ -s "$work/commands" ] || {
	echo "mendfs --help lists no commands"
	bad=1
}
while read -r command; do
	grep -q "^\.Cm $command\$" "$MAN/mendfs.1" || {
		echo "mendfs.1 does not mention the command $command"
		bad=1
	}
done <"$work/commands"
exit $bad
