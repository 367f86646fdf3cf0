#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each call of the map has a page that names it, and mandoc takes it:
# pages.sh MAP PAGE...
map=$1 status=0
shift
for call in $(grep -oE 'gmem_[a-z_]+;' "$map" | tr -d ';'); do
	found=''
	for page; do
		[ "${page##*/}" != "$call.3" ] || found=$page
	done
	if ! { [ -n "$found" ] && grep -q "^$call - " "$found" &&
		grep -q 'RETURN VALUE' "$found"; }; then
		echo "$call: no page"
		status=1
	fi
done
exit $status
