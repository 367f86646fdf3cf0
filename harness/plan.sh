# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# `test`: every boot of tests/plan, its results, the total.

need guest

PLAN=$TOP/tests/plan
PEERS=$TOP/tests/peers/kvm-selftests.list

test_usage() {
	cat <<-'END'
	Usage: ./dev test [--all] [--list] [NAME...]
	       ./dev test --baseline

	Run the boots of tests/plan, or those whose name begins with NAME. The last line
	is the total, and the status is 0 only when nothing failed.

	  --all       also those marked "all", which take long
	  --list      print the boots, run nothing
	  --baseline  run each KVM selftest on the stock kernel and write the list of
	              those that pass, tests/peers/kvm-selftests.list
	END
}

# Entries of the plan, one per line: NAME KERNEL MARKS OPTIONS -- COMMAND
plan_entries() {
	sed -e :a -e '/\\$/N; s/\\\n[ \t]*//; ta' "$PLAN" | sed '/^#/d; /^[ \t]*$/d'
}

# The total of result files: "N passed, N failed, N skipped"
total() {
	cat /dev/null "$@" | awk -F '\t' '
	{ n[$1]++ }
	END { printf "%d passed, %d failed, %d skipped\n", n["pass"], n["fail"], n["skip"] }'
}

# What people look for at the end.
summary() {
	cat /dev/null "$@" | awk -F '\t' '
	$1 == "skip" { skip = skip "  " $2 ": " $4 "\n" }
	$1 == "fail" { fail = fail "  " $2 ": " $4 "\n" }
	END {
		if (skip) printf "Skipped:\n%s", skip
		if (fail) printf "Failed:\n%s", fail
	}'
}

# one_boot NAME KERNEL MARKS EXEC-ARGS...
one_boot() {
	local name=$1 kernel=$2 marks=$3 rc=0 args=()

	shift 3
	[[ ,$marks, != *,kunit,* ]] || args+=(--kunit)
	GMEM_LOG=$BUILD/log/test-$name.log perl "$TOP/harness/tap.pl" --name "$name" \
		--log "$BUILD/log/test-$name.log" --results "$RESULTS/$name" "${args[@]}" \
		-- "$TOP/dev" exec --kernel "$kernel" "$@" 2>&1 </dev/null |
		sed -u "s/^/[$name] /" || rc=$?
	# A reader that was killed has no opinion, which is not a good one.
	[ $rc -eq 0 ] && [ -s "$RESULTS/$name" ] ||
		printf 'fail\t%s\t0\tits results were not read to the end\n' "$name" >>"$RESULTS/$name"
}

# Does an entry belong to this run?
wanted() {
	local name=$1 marks=$2 n

	[ ${#NAMES[@]} -gt 0 ] || [ -n "$ALL" ] || [[ ,$marks, != *,all,* ]] || return 1
	[ ${#NAMES[@]} -gt 0 ] || return 0
	for n in "${NAMES[@]}"; do
		[[ $name != "$n"* ]] || return 0
	done
	return 1
}

# How many processors a boot keeps busy, of those the machine has.
weight() {
	local n=1

	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		[ "$1" != --smp ] || n=$2
		shift
	done
	[ "$n" -le "$(nproc)" ] || n=$(nproc)
	echo "$n"
}

run_plan() {
	local name kernel marks rest busy=0 w done_pid
	local -A weights=()
	local -a args

	while read -r name kernel marks rest; do
		wanted "$name" "$marks" || continue
		eval "args=($rest)"
		w=$(weight "${args[@]}")
		[[ ,$marks, != *,alone,* ]] || w=$(nproc)
		# Wait for room: single processor boots share the machine.
		while [ $busy -gt 0 ] && [ $((busy + w)) -gt "$(nproc)" ]; do
			wait -n -p done_pid || true
			busy=$((busy - weights[$done_pid]))
		done
		say "== $name: $kernel kernel, ${args[*]} ($(clock $SECONDS))"
		one_boot "$name" "$kernel" "$marks" "${args[@]}" &
		weights[$!]=$w
		busy=$((busy + w))
	done < <(plan_entries)
	wait
}

verb_test() {
	local kernels kernel

	ALL='' NAMES=()
	while [ $# -gt 0 ]; do
		case $1 in
		--all)		ALL=1;;
		--list)		plan_entries; return;;
		--baseline)	baseline; return;;
		--help|-h)	test_usage; return;;
		-*)		die "no option $1" "see ./dev test --help" 2;;
		*)		NAMES+=("$1");;
		esac
		shift
	done
	packages qemu-system-x86
	kernels=$(plan_entries | while read -r name kernel marks _; do
		! wanted "$name" "$marks" || echo "$kernel"; done | sort -u)
	[ -n "$kernels" ] || die "the plan has no boot named ${NAMES[*]}" "see ./dev test --list" 2
	# In this order what one build leaves in the cache serves the next.
	lock_build
	for kernel in gmem stock debug; do
		[[ $'\n'$kernels$'\n' != *$'\n'$kernel$'\n'* ]] || kernel "$kernel"
	done
	base_initramfs
	unlock_build
	RESULTS=$BUILD/results
	rm -rf "$RESULTS"
	mkdir -p "$RESULTS"
	run_plan
	summary "$RESULTS"/*
	echo "took $(clock $SECONDS)"
	total "$RESULTS"/*
	if cat "$RESULTS"/* | grep -q '^fail'; then
		exit 1
	fi
}

# baseline_boots LIMIT: run what $BASE/todo names, each for at most so long.
# A boot that dies takes one test with it: the next goes on after that.
baseline_boots() {
	local limit=$1 log=$BUILD/log/baseline.log last

	while [ -s "$BASE/todo" ]; do
		GMEM_LOG=$log perl "$TOP/harness/tap.pl" --name baseline --log "$log" \
			--results "$BASE/part" -- "$TOP/dev" exec --kernel stock "${PEER_BOOT[@]}" \
			--timeout 14400 --add "$BASE/todo" -- \
			each --whole --timeout "$limit" --list /t/todo
		cat "$BASE/part" >>"$BASE/results"
		last=$(tail -n 1 "$BASE/part" | cut -f 2)
		[ "${last:-baseline}" != baseline ] || die "no selftest ran" "read $log"
		sed -i "1,/^$last 0\$/d" "$BASE/todo"
	done
}

# The list of selftests that pass on the stock kernel: first all of them, with
# little time each, then those that need more.
baseline() {
	local PEER_BOOT=(--smp 2 --mem 6G --append hugepages=256)

	packages qemu-system-x86
	lock_build
	kernel stock
	base_initramfs
	unlock_build
	BASE=$(mktemp -d "$BUILD/baseline.XXXXXX")
	: >"$BASE/results"
	# nx_huge_pages_test takes arguments; its script sets the machine up.
	find "$BUILD/initramfs/root/usr/lib/kvm-selftests" -mindepth 1 -maxdepth 1 \
		\( -type l -o -type f \) ! -name '*.sh' ! -name nx_huge_pages_test \
		-printf '%f 0\n' | LC_ALL=C sort >"$BASE/todo"
	baseline_boots 150
	awk -F '\t' '/killed, most likely/ { print $2, 0 }' "$BASE/results" >"$BASE/todo"
	sed -i '/killed, most likely/d' "$BASE/results"
	baseline_boots 1800
	mkdir -p "$(dirname "$PEERS")"
	write_list "$BASE/results" >"$PEERS"
	rm -rf "$BASE"
	say "wrote ${PEERS#"$TOP/"}"
}

write_list() {
	echo '# SPDX-License-Identifier: GPL-2.0-only'
	echo '# KVM selftests of the packaged kernel that pass on it, unmodified, and the'
	echo '# seconds they took. Made by: ./dev test --baseline'
	LC_ALL=C sort -t "$(printf '\t')" -k 2,2 "$1" |
		awk -F '\t' '$1 == "pass" { printf "%s %d\n", $2, $3 + 0.5 }'
	echo '#'
	echo '# Those that do not, with the reason:'
	LC_ALL=C sort -t "$(printf '\t')" -k 2,2 "$1" |
		awk -F '\t' '$1 != "pass" { printf "# %s: %s: %s\n", $2, $1, $4 }'
}
