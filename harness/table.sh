# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# `run` and `bench`: the same guest on each kind of memory, stock beside gmem.

need guest

MIB=1024
# KERNEL KIND NAME, in the order of the table. A kernel's rows are one boot.
ROWS=(
	'stock|4k|guest_memfd of 7.3, 4 KiB'
	'stock|vm-hugetlb-2m|ordinary VM on 2 MiB hugetlb'
	'gmem|4k|gmem, 4 KiB'
	'gmem|hugetlb-2m|gmem, 2 MiB'
	'gmem|1g|gmem, 1 GiB'
	'gmem|tdx-2m|TDX (software module), 2 MiB'
)

# Memory that changes hands, the same way.
GIVES=(
	'stock|give-7.3|guest_memfd and a memfd, as 7.3'
	'gmem|give-2m|gmem in place, 2 MiB'
	'gmem|give-1g|gmem in place, 1 GiB'
)

# Linux as the guest, all of its memory private, at its shell.
BOOTS=(
	'gmem|linux-2m|2 MiB'
	'gmem|linux-hidden|2 MiB, no direct map'
	'gmem|linux-1g|1 GiB'
)

# Everything that was measured of it, by KERNEL KIND; KEY UNIT NAME.
COLUMNS=(
	'stock|give-7.3|7.3'
	'gmem|give-2m|2 MiB'
	'gmem|give-hugetlb-2m|2 MiB, pool'
	'gmem|give-1g|1 GiB'
	'gmem|give-hugetlb-1g|1 GiB, pool'
)
DETAILS=(
	'page|ratio|one page'
	'page_first|ratio|  the first time'
	'page_beside||  and 64 x 2 MiB touched beside'
	'page_1t|ratio|  in a file of 1 TiB'
	'range|ratio|2 MiB'
	'untouched|ratio|16 GiB untouched'
	'held_kb|kib|held, 1 MiB of it shared'
	'populated_kb|kib|  populated before'
	'shared_faults||faults around one shared page'
	'shared_2m||  mapped in 2 MiB'
	'shared_4k||  mapped in 4 KiB'
	'shared_vmemmap_kb|kib|  struct page memory'
	'private_1g||  mapped in 1 GiB once private'
)

run_usage() {
	cat <<-'END'
	Usage: ./dev run [--mib N]

	Boot the stock kernel and ours, counting instructions. In each, KVM runs a guest
	that writes to its memory (1024 MiB) page by page. Prints a table:

	  faults         the guest's page faults that KVM handled
	  instructions   of host and guest together; zeroing is one per byte of them
	  held           memory taken from the host
	  struct page    what the kernel keeps about that memory
	  references     held on pages of guest memory that the host has not mapped

	Then what it costs when guest and host give each other memory. Private memory
	becomes shared, the host writes to each page, it becomes private, the guest
	writes to each page. The mean of the middle half of 64 times:

	  one page       in a block whose other pages stay private
	  2 MiB          in one request, there and back
	  16 GiB         one request for memory that nobody has touched
	  held           for 2 MiB of which the host has one half

	Then the kernel that was just built boots as a guest of the VMM in
	tools/gmem/vmm, all of its memory private, and says so itself:

	  4 KiB ...      mappings of the guest's memory at its shell
	  emulated       instructions of the guest that KVM had to emulate
	  references     held on pages of its memory

	At last the VM that gmem(7) has as an example runs.
	END
}

bench_usage() {
	cat <<-'END'
	Usage: ./dev bench [--json] [--mib N]

	The figures of ./dev run for every kind of memory, and all that was measured
	when memory changes hands, in parentheses as a part of what 7.3 takes.

	  --json   one object per kind of memory, a line each
	END
}

table_options() {
	local usage=$1

	JSON=''
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--mib)		MIB=$(optarg "$@"); shift;;
		--json)		[ "$usage" = bench_usage ] || die "no option $1" "see --help" 2
				JSON=1;;
		--help|-h)	"$usage"; exit 0;;
		*)		die "no option $1" "see --help" 2;;
		esac
		shift
	done
	[[ $MIB =~ ^[1-9][0-9]*$ ]] || die "--mib $MIB is no number" "give mebibytes" 2
	packages qemu-system-x86
	lock_build
	kernel gmem
	kernel stock
	base_initramfs
	pack linux
	[ "$usage" = bench_usage ] || pack tools
	unlock_build
}

# kinds_of KERNEL ROW...: what it is asked for
kinds_of() {
	local kernel=$1 row k kind

	shift
	for row; do
		IFS='|' read -r k kind _ <<<"$row"
		[ "$k" != "$kernel" ] || echo "$kind"
	done
}

# bench LOG KERNEL [EXEC-OPTION...] -- ROW...: the lines of gmem_bench for the
# kernel's rows, and of a Linux what it said; what else there is to say is shown
bench() {
	local log=$BUILD/log/$1.log kernel=$2 line
	local -a options=() kinds

	shift 2
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	mapfile -t kinds < <(kinds_of "$kernel" "$@")
	{ GMEM_LOG=$log "$TOP/dev" exec --kernel "$kernel" --mem 6G \
		--append 'nokaslr hugetlb_free_vmemmap=on' "${options[@]}" -- \
		gmem_bench --mib "$MIB" "${kinds[@]}" || echo "status $? of the $kernel boot"; } |
		while read -r line; do
			case $line in
			kind=*|console:*) echo "$line";;
			*[Ss]eed*)	;;
			*)		say "$line";;
			esac
		done
}

# measured KERNEL: all that is measured with instructions counted
measured() {
	bench "bench-$1" "$1" --icount -- "${ROWS[@]}" "${GIVES[@]}"
}

# value LINE KEY: a dash if the line has none
value() {
	local v=" $1"

	[[ $v == *" $2="* ]] || v=" $2=-"
	v=${v#* "$2"=}
	echo "${v%% *}"
}

kib() {
	if [ "$1" -ge 10240 ]; then
		echo "$(($1 / 1024)) MiB"
	else
		echo "$1 KiB"
	fi
}

table_header() {
	printf '%-30s %8s %13s %10s %12s %11s\n' '' faults instructions held 'struct page' references
}

print_row() {
	local kernel=$1 line=$2 row k kind name

	for row in "${ROWS[@]}"; do
		IFS='|' read -r k kind name <<<"$row"
		[ "$k $kind" = "$kernel $(value "$line" kind)" ] || continue
		if [[ $line == *error=* ]]; then
			printf '%-30s  cannot be had here: %s\n' "$name" "$(value "$line" error)"
			return
		fi
		printf '%-30s %8d %11d M %10s %12s %11d\n' "$name" "$(value "$line" faults)" \
			$(($(value "$line" instructions) / 1000000)) \
			"$(kib "$(value "$line" held_kb)")" "$(kib "$(value "$line" memmap_kb)")" \
			"$(value "$line" refs)"
	done
}

print_give() {
	local line=$1 row kind name

	for row in "${GIVES[@]}"; do
		IFS='|' read -r _ kind name <<<"$row"
		[ "$kind" = "$(value "$line" kind)" ] || continue
		if [[ $line == *error=* ]]; then
			printf '%-30s  cannot be had here: %s\n' "$name" "$(value "$line" error)"
			return
		fi
		printf '%-30s %13d %13d %13d %12s\n' "$name" "$(value "$line" page)" \
			"$(value "$line" range)" "$(value "$line" untouched)" \
			"$(kib "$(value "$line" held_kb)")"
	done
}

print_gives() {
	local line

	printf '\nInstructions to give memory to the host and take it back:\n\n'
	printf '%-30s %13s %13s %13s %12s\n' '' 'one page' '2 MiB' '16 GiB' held
	for line; do
		print_give "$line"
	done
}

# A row for each kind of memory, and what Linux said: the same in all.
print_boots() {
	local line name row kind good=0
	local -a said=()

	printf '\nLinux at its shell, all of its memory private:\n\n'
	printf '%-30s %8s %8s %8s %9s %8s %11s\n' '' '4 KiB' '2 MiB' '1 GiB' emulated private references
	while read -r line; do
		if [[ $line == console:* ]]; then
			said+=("${line#console: }")
			continue
		fi
		for row in "${BOOTS[@]}"; do
			IFS='|' read -r _ kind name <<<"$row"
			[ "$kind" = "$(value "$line" kind)" ] || continue
			printf '%-30s %8d %8d %8d %9d %7s%% %11s\n' "$name" \
				"$(value "$line" pages_4k)" "$(value "$line" pages_2m)" \
				"$(value "$line" pages_1g)" "$(value "$line" emulated)" \
				"$(value "$line" private)" "$(value "$line" refs)"
			good=$((good + 1))
		done
	done < <(bench bench-linux gmem --pack linux --timeout 600 -- "${BOOTS[@]}")
	printf '\n'
	[ ${#said[@]} -lt 3 ] || printf '  %s\n' "${said[@]: -3}"
	[ "$good" -eq ${#BOOTS[@]} ]
}

# What gmem(7) shows to authors of VMMs.
print_example() {
	printf '\nThe example of gmem(7), with 1 GiB in one block:\n\n'
	GMEM_LOG=$BUILD/log/run-example.log "$TOP/dev" exec --pack tools --mem 4G \
		--append 'hugepagesz=1G hugepages=1' -- gmem-example | sed 's/^/  /'
}

# The one line that says what it means.
meaning() {
	local stock=$1 huge=$2 gmem=$3

	[ -n "$stock" ] && [ -n "$gmem" ] && [ -n "$huge" ] || return 0
	printf '\nWith 2 MiB blocks guest_memfd takes %d times fewer faults and %s times fewer instructions than in 7.3, %s times those of hugetlb, and holds %d references instead of %d.\n' \
		$(($(value "$stock" faults) / $(value "$gmem" faults))) \
		"$(ratio "$(value "$stock" instructions)" "$(value "$gmem" instructions)")" \
		"$(ratio "$(value "$gmem" instructions)" "$(value "$huge" instructions)")" \
		"$(value "$gmem" refs)" "$(value "$stock" refs)"
}

# What the TDX module was asked for.
meaning_tdx() {
	[ -z "$1" ] || printf 'The TDX guest accepts and writes to its memory by %d AUG of 2 MiB and %d of 4 KiB. One page of it shared: %d DEMOTE.\n' \
		"$(value "$1" aug_2m)" "$(value "$1" aug_4k)" "$(value "$1" demote)"
}

ratio() {
	awk "BEGIN { printf \"%.2f\", $1 / $2 }"
}

verb_run() {
	local kernel line key
	local -a gives=()
	local -A got=()

	table_options run_usage "$@"
	printf '\nA guest writes to %d MiB, page by page:\n\n' "$MIB"
	table_header
	for kernel in stock gmem; do
		while read -r line; do
			key="$kernel $(value "$line" kind)"
			if [[ $key == *' give-'* ]]; then
				gives+=("$line")
			else
				print_row "$kernel" "$line"
			fi
			[[ $line == *error=* ]] || got[$key]=$line
		done < <(measured "$kernel")
	done
	meaning "${got[stock 4k]:-}" "${got[stock vm-hugetlb-2m]:-}" "${got[gmem hugetlb-2m]:-}"
	meaning_tdx "${got[gmem tdx-2m]:-}"
	print_gives "${gives[@]}"
	print_boots || exit 1
	print_example || exit 1
	[ ${#got[@]} -eq $((${#ROWS[@]} + ${#GIVES[@]})) ] || exit 1
}

# cell VALUE UNIT OF-7.3: OF-7.3 is a dash where there is nothing to compare with
cell() {
	if [ "$1" = - ]; then
		echo -
	elif [ "$2" = kib ]; then
		kib "$1"
	elif [ "$2" = ratio ] && [ "$3" != - ]; then
		echo "$1 ($(ratio "$1" "$3"))"
	else
		echo "$1"
	fi
}

# print_details: what is in LINES, a column for each kind of memory
print_details() {
	local detail key unit name column kernel kind line stock=${LINES[stock give-7.3]:-} of

	printf '\nInstructions to give memory to the host and take it back:\n\n%-32s' ''
	for column in "${COLUMNS[@]}"; do
		printf ' %15s' "${column##*|}"
	done
	echo
	for detail in "${DETAILS[@]}"; do
		IFS='|' read -r key unit name <<<"$detail"
		printf '%-32s' "$name"
		for column in "${COLUMNS[@]}"; do
			IFS='|' read -r kernel kind _ <<<"$column"
			line=${LINES[$kernel $kind]:-}
			# All that is done to one page compares with one page there and back.
			of=$(value "$stock" "${key/#page_*/page}")
			[[ $kernel = gmem || $key = page_* ]] || of=-
			printf ' %15s' "$(cell "$(value "$line" "$key")" "$unit" "$of")"
		done
		echo
	done
}

# json KERNEL LINE
json() {
	sed -E 's/([a-z0-9_]+)=([0-9]+)( |$)/"\1":\2\3/g
		s/([a-z0-9_]+)=([^ "]+)/"\1":"\2"/g
		s/ /,/g; s/.*/{&}/' <<<"kernel=$1 $2"
}

verb_bench() {
	local kernel kind line
	local -A LINES=()

	table_options bench_usage "$@"
	# What run does not show, with the name that it would have.
	ROWS+=('gmem|2m|gmem, 2 MiB of no pool' 'gmem|vm-hugetlb-2m|ordinary VM, our kernel')
	GIVES+=('gmem|give-7.3|' 'gmem|give-hugetlb-2m|' 'gmem|give-hugetlb-1g|')
	for kernel in stock gmem; do
		while read -r line; do
			LINES[$kernel $(value "$line" kind)]=$line
			[ -z "$JSON" ] || json "$kernel" "$line"
		done < <(measured "$kernel")
	done
	if [ -z "$JSON" ]; then
		printf '\nA guest writes to %d MiB, page by page:\n\n' "$MIB"
		table_header
		for line in "${ROWS[@]}"; do
			IFS='|' read -r kernel kind _ <<<"$line"
			print_row "$kernel" "${LINES[$kernel $kind]:-kind=$kind error=measured}"
		done
		print_details
	fi
	[[ ${#LINES[@]} -eq $((${#ROWS[@]} + ${#GIVES[@]})) && "${LINES[*]}" != *error=* ]] || exit 1
}
