# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Booting a kernel in QEMU: `exec` and `shell`.

need initramfs peers

guest_usage() {
	cat <<-'END'
	Usage: ./dev exec  [OPTION...] -- CMD [ARG...]
	       ./dev shell [OPTION...]

	Boot a kernel in QEMU (TCG, nested SVM) and run CMD inside as root, or a shell.
	busybox, our tests (/usr/bin), the KVM selftests (/usr/lib/kvm-selftests) and
	what is added (/t) are on PATH. CMD's output is streamed, its input is empty.

	  --kernel NAME  gmem (default), stock (same source and configuration without
	                 our files) or debug (KASAN, lockdep, ...)
	  --smp N        processors for CMD (1); with more than one, the first processor
	                 of the machine is left to the system and CMD has N others
	  --mem SIZE     memory, like 6G (2G)
	  --numa         two nodes, memory and processors shared equally
	  --swap SIZE    swap on a disk of that size
	  --icount       count instructions: -icount shift=0,sleep=off, one processor
	  --append TEXT  more kernel command line; may be repeated
	  --add FILE     put FILE at /t/NAME, with the libraries it loads; repeatable
	  --pack NAME    bring programs of others: libhugetlbfs (its tests), stress-ng; or
	                 linux, a kernel and an initrd for vmm, in /usr/lib/linux; or
	                 tools, libgmem and gmem(1) with their tests
	  --timeout S    give up after S seconds (1800; shell: never)

	Status: CMD's; 70 when the kernel reported a WARNING, BUG, Oops or a sanitizer's
	finding, which is printed; 124 after a timeout; 2 for wrong options.
	END
}

# Start of a report in the kernel's log, after the time stamp. Stops at what
# the kernel itself says; what a program writes to the log has a name first.
REPORT='^(\[[^]]*\])*(\[[^]]*\])? *(-+\[ cut here \]-+|WARNING: |BUG: |Oops: |KASAN: |UBSAN: |KFENCE: |INFO: (task |rcu|trying|possible|suspicious|lockdep)|rcu: INFO: |watchdog: BUG|general protection fault|kernel BUG at |Kernel panic|kmemleak: |stack segment|invalid opcode: |page:[0-9a-f]+ is uninitialized|unable to handle|traps: PANIC|mce: \[Hardware Error\])'
# Said by every boot with these options, without a cause; and by kmemleak when
# fault injection hits an allocation of its own. A leak reads otherwise.
HARMLESS='kmemleak: (Kernel memory leak detector|Automatic memory scanning|Early log|Cannot allocate a scan area)|mce: \[Hardware Error\]: (Machine check events logged|TSC|PROCESSOR)'

# kernel_report LOG: the first report and what follows it
kernel_report() {
	local line

	[ -f "$1" ] || return 1
	line=$(grep -anE "$REPORT" "$1" | grep -vE "$HARMLESS" | head -n 1 | cut -d : -f 1) || true
	[ -n "$line" ] || return 1
	tail -n "+$line" "$1" | tr -d '\r' | head -n 150
}

guest_options() {
	G_KERNEL=gmem G_SMP=1 G_MEM=2G G_NUMA='' G_SWAP='' G_ICOUNT='' G_APPEND='' G_TIMEOUT=''
	G_ADD=() G_PACK=() G_CMD=()
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel)	G_KERNEL=$(optarg "$@"); shift;;
		--smp)		G_SMP=$(optarg "$@"); shift;;
		--mem)		G_MEM=$(optarg "$@"); shift;;
		--numa)		G_NUMA=1;;
		--swap)		G_SWAP=$(optarg "$@"); shift;;
		--icount)	G_ICOUNT=1;;
		--append)	G_APPEND+=" $(optarg "$@")"; shift;;
		--add)		G_ADD+=("$(optarg "$@")"); shift;;
		--pack)		G_PACK+=("$(optarg "$@")"); shift;;
		--timeout)	G_TIMEOUT=$(optarg "$@"); shift;;
		--help|-h)	guest_usage; exit 0;;
		--)		shift; G_CMD=("$@"); break;;
		-*)		die "no option $1" "see ./dev exec --help" 2;;
		*)		G_CMD=("$@"); break;;
		esac
		shift
	done
	[[ " ${KERNELS[*]} " == *" $G_KERNEL "* ]] ||
		die "no kernel '$G_KERNEL'" "take one of: ${KERNELS[*]}" 2
	[[ $G_SMP =~ ^[1-9][0-9]*$ ]] || die "--smp $G_SMP is no number" "give the processors" 2
	[[ $G_MEM =~ ^[1-9][0-9]*[MG]$ ]] || die "--mem $G_MEM is no size" "write it like 6G" 2
	[[ -z $G_SWAP || $G_SWAP =~ ^[1-9][0-9]*[MG]$ ]] ||
		die "--swap $G_SWAP is no size" "write it like 2G" 2
	[[ -z $G_TIMEOUT || $G_TIMEOUT =~ ^[1-9][0-9]*$ ]] ||
		die "--timeout $G_TIMEOUT is no number" "give seconds" 2
	[ -z "$G_ICOUNT" ] || [ "$G_SMP" -eq 1 ] || die "--icount has one processor" "drop --smp" 2
	for f in "${G_PACK[@]}"; do
		[[ " ${PACKS[*]} " == *" $f "* ]] || die "no pack '$f'" "take one of: ${PACKS[*]}" 2
	done
	for f in "${G_ADD[@]}"; do
		[ -f "$f" ] || die "$f is not a file" "--add takes files" 2
	done
}

megabytes() {
	case $1 in
	*G)	echo $((${1%G} * 1024));;
	*)	echo "${1%M}";;
	esac
}

# The part of the initial file system that belongs to this boot.
make_extra() {
	local dir=$1 root=$1/root f mode=$2
	local -a parts

	mkdir -p "$root/gmem" "$root/t"
	printf 'GMEM_INTERACTIVE=%q\nGMEM_SWAP=%q\nGMEM_KMEMLEAK=%q\nGMEM_CPUS=%q\nTERM=%q\n' \
		"$mode" "$G_SWAP" "$([ "$G_KERNEL" != debug ] || echo 1)" \
		"$([ "$G_SMP" -eq 1 ] || echo "1-$G_SMP")" "${TERM:-linux}" >"$root/gmem/env"
	if [ -n "$mode" ]; then
		echo 'exec sh -i' >"$root/gmem/command"
	else
		# By its path: libkvm reads the program it runs in from argv[0].
		# shellcheck disable=SC2016
		{ printf 'exec "$(command -v %q || echo %q)"' "${G_CMD[0]}" "${G_CMD[0]}"
		  [ ${#G_CMD[@]} -eq 1 ] || printf ' %q' "${G_CMD[@]:1}"
		  echo; } >"$root/gmem/command"
	fi
	for f in "${G_ADD[@]}"; do
		cp -L --preserve=mode "$f" "$root/t/${f##*/}"
		libraries "$root" "$f"
	done
	archive "$root" "$dir/extra.cpio"
	parts=("${G_PACK[@]/#/$BUILD/initramfs/}")
	cat "$BUILD/initramfs/base.cpio" "${parts[@]/%/.cpio}" "$dir/extra.cpio" >"$dir/initrd"
}

guest_prepare() {
	local p

	packages qemu-system-x86
	lock_build
	kernel "$G_KERNEL"
	base_initramfs
	for p in "${G_PACK[@]}"; do
		pack "$p"
	done
	unlock_build
}

# Command line of every kernel. no_timer_check: on a busy machine the emulated
# timer may be too late for the kernel, which then thinks it does not work.
# tsc_tolerance_ppm: KVM looks at the TSC's frequency before the kernel has
# measured it well. Where they differ by more than this, and the processor does
# not scale, KVM leaves the guest's ratio 0, takes its TSC for 0 for good, and its
# timers come as late as the TSC is large.
CMDLINE='console=ttyS0 panic=-1 panic_on_warn=1 oops=panic tsc=reliable no_timer_check'
CMDLINE+=' kvm.tsc_tolerance_ppm=50000'

# qemu_machine LOG: set Q to a machine without processors, memory and kernel,
# whose first serial port writes to LOG and whose channel io is this terminal
qemu_machine() {
	Q=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
	   -cpu 'max,la57=off,phys-bits=48'
	   -chardev "file,id=log,path=$1" -serial chardev:log
	   -chardev 'stdio,id=io,signal=off' -device virtio-serial-pci)
}

# qemu_command DIR LOG: set Q to the command
qemu_command() {
	local dir=$1 log=$2 mem half cpus=$G_SMP

	mem=$(megabytes "$G_MEM")
	# Whenever a processor loads its FPU, QEMU's cpu_clear_ignne() rewrites the
	# flags of the first one, without a lock. A VMRUN, #VMEXIT, CLGI or STGI there
	# at that moment is undone in part: the processor hangs with interrupts off
	# for good, or saves the host's state as the guest's. So no guest runs on it.
	[ "$G_SMP" -eq 1 ] || cpus=$((G_SMP + 1))
	qemu_machine "$log"
	Q+=(-smp "$cpus,sockets=$cpus,cores=1" -m "${mem}M"
	    -kernel "$BUILD/$G_KERNEL/arch/x86/boot/bzImage" -initrd "$dir/initrd"
	    -append "$CMDLINE$G_APPEND" -chardev "file,id=status,path=$dir/status"
	    -device 'virtconsole,chardev=io,nr=0' -device 'virtserialport,chardev=status,nr=1')
	if [ -n "$G_ICOUNT" ]; then
		Q+=(-accel tcg -icount 'shift=0,sleep=off')
	else
		Q+=(-accel 'tcg,thread=multi')
	fi
	if [ -n "$G_NUMA" ]; then
		half=$((mem / 2))
		Q+=(-object "memory-backend-ram,id=m0,size=${half}M"
		    -object "memory-backend-ram,id=m1,size=$((mem - half))M")
		if [ "$G_SMP" -eq 1 ]; then
			Q+=(-numa 'node,nodeid=0,memdev=m0,cpus=0' -numa 'node,nodeid=1,memdev=m1')
		else
			Q+=(-numa "node,nodeid=0,memdev=m0,cpus=0-$((G_SMP / 2))"
			    -numa "node,nodeid=1,memdev=m1,cpus=$((G_SMP / 2 + 1))-$G_SMP")
		fi
	fi
	if [ -n "$G_SWAP" ]; then
		truncate -s "$G_SWAP" "$dir/swap"
		Q+=(-drive "if=none,id=swap,file=$dir/swap,format=raw,cache=unsafe"
		    -device 'virtio-blk-pci,drive=swap')
	fi
}

# boot LOG: run the prepared guest and return the status of exec
boot() {
	local log=$1 dir rc=0 status report

	dir=$(mktemp -d "$BUILD/boot.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$dir'" EXIT
	make_extra "$dir" ''
	qemu_command "$dir" "$log"
	rm -f "$log"
	# QEMU makes its stdout non-blocking, which whoever shares it would
	# notice: it gets a pipe. --foreground, so that ^C reaches it.
	timeout --foreground -k 5 "${G_TIMEOUT:-1800}" "${Q[@]}" </dev/null 2>"$dir/qemu" | cat ||
		rc=$?
	status=$(cat "$dir/status" 2>/dev/null || true)
	grep -v 'terminating on signal' "$dir/qemu" >&2 || true
	rm -rf "$dir"
	trap - EXIT
	if report=$(kernel_report "$log"); then
		say "the $G_KERNEL kernel reported (all of it: $log):"
		printf '%s\n' "$report" >&"$MSG"
		return 70
	fi
	if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
		say "dev: no end after ${G_TIMEOUT:-1800} s: raise --timeout or read $log"
		return 124
	fi
	if ! [[ $status =~ ^[0-9]+$ ]]; then
		tail -n 20 "$log" 2>/dev/null | tr -d '\r' >&"$MSG" || true
		say "dev: the guest ended without a status: read $log"
		return 70
	fi
	return "$status"
}

verb_exec() {
	local rc=0

	guest_options "$@"
	[ ${#G_CMD[@]} -gt 0 ] || die "no command" "write ./dev exec [OPTION...] -- CMD" 2
	guest_prepare
	boot "${GMEM_LOG:-$BUILD/log/exec-$G_KERNEL-$$.log}" || rc=$?
	# A log is worth its place for as long as somebody may ask for it.
	find "$BUILD/log" -name 'exec-*.log' -mtime +1 -delete
	exit "$rc"
}

verb_shell() {
	local dir log=$BUILD/log/shell.log size

	guest_options "$@"
	[ ${#G_CMD[@]} -eq 0 ] || die "a shell takes no command" "use ./dev exec" 2
	[ -t 0 ] || die "stdin is no terminal" "use ./dev exec"
	guest_prepare
	size=$(stty size)
	dir=$(mktemp -d "$BUILD/boot.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$dir'; stty sane" EXIT
	make_extra "$dir" "rows ${size% *} cols ${size#* }"
	qemu_command "$dir" "$log"
	say "kernel messages: $log; leave with exit"
	"${Q[@]}" || true
	if kernel_report "$log" >&"$MSG"; then
		exit 70
	fi
}
