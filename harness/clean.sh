# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# `clean`

verb_clean() {
	local all=''

	while [ $# -gt 0 ]; do
		case $1 in
		--all)		all=1;;
		--help|-h)	echo "Usage: ./dev clean [--all]"
				echo "Remove what was built; --all: downloads and ccache too."
				return;;
		*)		die "no option $1" "see ./dev clean --help" 2;;
		esac
		shift
	done
	# Only what is known to be ours: both directories are the user's to choose.
	if [ -e "$BUILD/.lock" ]; then
		say "removing $BUILD"
		rm -rf "$BUILD"
	fi
	if [ -n "$all" ] && [ -d "$CACHE/src" ]; then
		say "emptying $CACHE"
		rm -rf "$CACHE"/{src,apt,ccache} "$CACHE"/linux-{source,config}-*.deb \
			"$CACHE"/debian-*.tar
	fi
}
