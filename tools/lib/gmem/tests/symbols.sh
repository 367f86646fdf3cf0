#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the library exports is what the header declares and the map lists:
# symbols.sh LIBRARY HEADER MAP
set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
nm -D --defined-only "$1" | awk '$2 == "T" { sub("@.*", "", $3); print $3 }' | sort >"$dir/library"
grep -oE '^[a-z].*[ *]gmem_[a-z_]+\(' "$2" | grep -v '^typedef' |
	grep -oE 'gmem_[a-z_]+\($' | tr -d '(' | sort >"$dir/header"
grep -oE 'gmem_[a-z_]+;' "$3" | tr -d ';' | sort >"$dir/map"
[ -s "$dir/library" ]
diff "$dir/library" "$dir/header"
diff "$dir/library" "$dir/map"
