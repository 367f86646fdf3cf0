#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What bash would offer: test.sh GMEM COMPLETION
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# A machine with two files; all else is the program's own.
cat >"$dir/gmem" <<END
#!/bin/sh
[ "\$1" != list ] || { printf 'FILE  COMMAND\n12/3  vmm\n12/14  vmm\n'; exit; }
exec "$1" "\$@"
END
chmod +x "$dir/gmem"
PATH=$dir:$PATH
# shellcheck source=/dev/null
. "$2"

# offers EXPECTED WORD...: for the last of the words
offers() {
	local expected=$1

	shift
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_gmem
	[ "${COMPREPLY[*]}" = "$expected" ] || {
		echo "$*: ${COMPREPLY[*]}, expected $expected"
		exit 1
	}
}

offers 'pool populate' gmem po
offers 'help info list stat top map pool convert punch populate check bench run trace' gmem ''
offers '--private' gmem convert --pr
offers '--batch' gmem top --b
offers '12/3 12/14' gmem map 12
offers '12/14' gmem punch --size 4K 12/1
offers 'buddy-1g buddy-2m' gmem bench 7.3 bud
offers '' gmem info x
