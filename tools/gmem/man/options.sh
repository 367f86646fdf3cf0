#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The options that --help prints and those that the page of each verb has are the same,
# and so are the verbs, and each has examples: options.sh GMEM VMM DIRECTORY
status=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for page in "$3"/gmem-*.1.scd; do
	verb=$(basename "$page" .1.scd)
	verb=${verb#gmem-}
	echo "$verb" >>"$dir/pages"
	if [ "$verb" = run ]; then
		"$2" --help
	else
		"$1" "$verb" --help
	fi >"$dir/help"
	grep -E '^ +(-.,  ?)?--' "$dir/help" | grep -oE -- '(^ +-[a-zA-Z?],|--[a-z][a-z-]*)' |
		tr -d ' ,' | grep -vxE -- '--usage' | sort -u >"$dir/have"
	sed -n '/^# OPTIONS/,/^# [^O]/p' "$page" | grep '^\*-' |
		grep -oE -- '\*--?[a-zA-Z?][a-z-]*\*' | tr -d '*' | sort -u >"$dir/says"
	diff "$dir/have" "$dir/says" || { echo "gmem-$verb(1) and --help differ"; status=1; }
	grep -qx '# EXAMPLES' "$page" || { echo "gmem-$verb(1): no examples"; status=1; }
	brief=$("$1" help | sed -n "s/^  $verb  *//p")
	grep -qxF "gmem-$verb - $brief" "$page" || { echo "gmem-$verb(1): another summary"; status=1; }
done
"$1" help | sed -n 's/^  \([a-z]*\) .*/\1/p' | sort >"$dir/verbs"
diff "$dir/verbs" "$dir/pages" || { echo "verbs and pages differ"; status=1; }
exit $status
