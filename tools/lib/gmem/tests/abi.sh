#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# abi.sh check|write BASELINE HEADERS LIBRARY
# check: what is in the baseline is in the library as it was; functions may be added.
# write: a new baseline, for a release.
set -e
baseline=$2 headers=$3 library=$4

case $1 in
check)
	command -v abidiff >/dev/null || { echo "no abidiff: skipped"; exit 77; }
	abidiff --no-added-syms "$baseline" "$library"
	;;
write)
	abidw --drop-private-types --headers-dir "$headers" --exported-interfaces-only \
		--no-corpus-path --no-comp-dir-path --no-elf-needed --no-show-locs \
		--type-id-style hash "$library" |
		sed "s, path='[^']*/src/, path='src/,
		     1a<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->" >"$baseline"
	;;
esac
