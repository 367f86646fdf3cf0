#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# libhugetlbfs' own tests, twice: while a guest holds pages of the same pool,
# and when it is gone. Each must end as it did on the stock kernel. In the
# booted kernel, with --pack libhugetlbfs.

HERE=/usr/lib/peers
SUITE=/usr/lib/libhugetlbfs/tests
KEEP_MIB=16

usage() {
	echo 'Usage: libhugetlbfs.sh [--list] [beside] [alone]'
	echo '  beside  the functional tests while a guest holds pages of the pool'
	echo '  alone   the functional tests when the guest is gone'
	echo '  --list  print what tests/peers/libhugetlbfs.list is to hold: on stock, both'
}

list='' modes=''
for arg; do
	case $arg in
	--list)			list=1;;
	--help)			usage; exit 0;;
	beside|alone)		modes="$modes $arg";;
	*)			usage >&2; exit 2;;
	esac
done

# Is this among what was asked for?
asked() {
	case "$modes " in
	*" $1 "*)	return 0;;
	*)		return 1;;
	esac
}

# Everything that must be afterwards as it was before.
snapshot() {
	grep -H . /sys/kernel/mm/hugepages/*/*_hugepages /sys/kernel/mm/gmem/* \
		/sys/devices/system/node/node*/hugepages/*/*_hugepages 2>/dev/null
	grep -i huge /proc/meminfo | grep -v Anon
}

# "RESULT NAME" of each test, from what run_tests.py prints: the command with
# its environment, then what the test said, one line or many. A name that comes
# again gets a number. What a signal ends says nothing: NONE; how many these are
# is among the totals.
results() {
	awk '
	function finish() {
		if (name == "")
			return
		seen[name]++
		print (result == "" ? "NONE" : result), name (seen[name] > 1 ? " #" seen[name] : "")
		name = result = ""
	}
	function judge(text) {
		if (match(text, /^(UNEXPECTED |EXPECTED )?(PASS|FAIL|SKIPPED)/))
			result = substr(text, RSTART, RLENGTH)
		else if (text ~ /^Bad configuration/)
			result = "CONFIG"
		gsub(/ /, "-", result)
	}
	/^\*\*\*\*\*\*\*\*\*\* TEST SUMMARY/ { finish(); ended = 1; next }
	ended {
		if (match($0, /^\* *[^:]*:/)) {
			name = substr($0, 1, RLENGTH - 1)
			sub(/^\* */, "", name)
			print $NF, "in total: " name
		}
		next
	}
	match($0, / \([0-9]+[KMG]: (32|64)\):\t/) {
		finish()
		name = substr($0, 1, RSTART - 1)
		judge(substr($0, RSTART + RLENGTH))
		next
	}
	{ judge($0) }
	END { if (!ended) { finish(); print "NONE the end of the suite" } }'
}

# suite MODE: the functional set. Of the stress set, fallocate_stress alone, with its
# 100,000 rounds, did not end in 20 minutes under TCG.
suite() {
	asked "$1" || return 0
	cd "$SUITE" || exit
	python3 -S run_tests.py -b 64 -p $((2 << 20)) -t func </dev/null >"/tmp/suite-$1" 2>&1
	results <"/tmp/suite-$1" | sed "s/^/$1 /"
	# The tests of shared segments leave these for the next program.
	rm -rf /dev/hugepages/elflink-uid-*
}

count=0 bad=0
report() {
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count $2"
	else
		echo "not ok $count $2"
		bad=1
	fi
}

# Where the linker and the heap put things decides some tests.
echo 0 >/proc/sys/kernel/randomize_va_space
snapshot >/tmp/before

mkfifo /tmp/keep /tmp/ready
gmem_keep $KEEP_MIB </tmp/keep >/tmp/ready 2>&1 &
keeper=$!
exec 4>/tmp/keep 5</tmp/ready
# libkvm has something to say first.
said=nothing
while [ "$said" != ready ]; do
	if ! read -r said <&5; then
		wait $keeper
		echo "Bail out! gmem_keep: status $?"
		exit 1
	fi
	[ "$said" = ready ] || echo "# $said" >>/tmp/keep.out
done
snapshot >/tmp/held
(suite beside) 4>&- 5<&- >/tmp/results
snapshot >/tmp/held.after
exec 4>&-
wait $keeper
kept=$?
sed 's/^/# /' <&5 >>/tmp/keep.out
suite alone >>/tmp/results
snapshot >/tmp/after

if [ -n "$list" ]; then
	echo '# SPDX-License-Identifier: GPL-2.0-only'
	echo "# How libhugetlbfs' tests end on the stock kernel, while a guest holds pages of"
	echo '# the pool and alone. Made by: ./dev exec --kernel stock --smp 2'
	echo '#   --pack libhugetlbfs --append hugepages=40 --'
	echo '#   /usr/lib/peers/libhugetlbfs.sh --list beside alone'
	cat /tmp/results
	[ $kept -eq 0 ] && cmp -s /tmp/before /tmp/after
	exit
fi

echo 'TAP version 13'
cat /tmp/keep.out
for mode in $modes; do
	grep "^$mode " $HERE/libhugetlbfs.list
done >/tmp/expected
while read -r mode want name; do
	got=$(awk -v m="$mode" -v n="$name" '$1 == m { r = $2; sub(/^[^ ]* [^ ]* /, ""); if ($0 == n) print r }' \
		/tmp/results)
	[ "$got" = "$want" ] || echo "# $mode $name: ${got:-did not run}, on stock $want"
	[ "$got" = "$want" ]
	report $? "$mode: $name ($want)"
done </tmp/expected

cut -d ' ' -f 1,3- /tmp/results | sort >/tmp/ran
cut -d ' ' -f 1,3- /tmp/expected | sort | diff - /tmp/ran | sed -n 's/^[<>]/# &/p' >/tmp/unknown
cat /tmp/unknown
[ ! -s /tmp/unknown ]
report $? 'the tests of the list and no others'
[ $kept -eq 0 ]
report $? "the guest's memory is what it wrote, never unmapped"
diff /tmp/held /tmp/held.after | sed 's/^/# /'
cmp -s /tmp/held /tmp/held.after
report $? 'pools with a guest beside: as before'
diff /tmp/before /tmp/after | sed 's/^/# /'
cmp -s /tmp/before /tmp/after
report $? 'pools at the end: as at the start'
echo "1..$count"
exit $bad
