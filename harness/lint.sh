# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# `lint`: everything that can be checked without booting. Each check is a
# function that prints what is wrong and nothing else.

need build initramfs tools lint-patches lint-compile

LINT=$BUILD/lint
CHECKS=(spdx paths shellcheck plan patch_headers patch_functions patch_budget
	checkpatch kernel_doc coccicheck compile_builtin compile_module tools)

lint_usage() {
	cat <<-END
	Usage: ./dev lint [CHECK...]

	Check sources, patches and scripts; the last line is the total. Checks:
	  spdx             every file says its licence
	  paths            no path of a machine and no mirror host in any file
	  shellcheck       scripts
	  plan             each program in tests/ runs in a boot of tests/plan
	  patch_headers    each patch says what it does, why, whose it is and since when
	  patch_functions  patches apply with no fuzz, each hunk in the function it names
	  patch_budget     lines that patches add to existing files
	  checkpatch       kernel style, strict: our files and the patches
	  kernel_doc       comments of the in-kernel interface
	  coccicheck       the kernel's own semantic checks on our files
	  compile_builtin  KVM built in, with SEV and TDX: W=1, and sparse on our files and
	                   those we patch; nothing new against stock
	  compile_module   KVM as modules, with SEV and TDX: W=1, nothing new against stock
	  tools            libgmem and gmem(1): no warning, their tests that need no kernel of
	                   ours with sanitizers, manuals against --help and the header
	END
}

# Files of this repository, relative; without git, whatever is not built.
own_files() {
	cd "$TOP" || return
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard | while read -r f; do
			[ ! -f "$f" ] || printf '%s\n' "$f"
		done
	else
		find . -type f ! -path './build/*' ! -path './.git/*' -printf '%P\n'
	fi | LC_ALL=C sort
}

# Kernel files of ours: .c and .h of the overlay.
own_kernel_files() {
	overlay_files | grep '\.[chS]$' | grep -v '^tools/' || true
}

check_spdx() {
	own_files | while read -r f; do
		case $f in
		# A patch has the licence of the file it changes.
		LICENSES/*|*.patch)	continue;;
		esac
		head -n 5 "$TOP/$f" | grep -qE \
			'SPDX-License-Identifier: \(?(GPL-2\.0-only|LGPL-2\.1-or-later)' ||
			echo "$f: no SPDX-License-Identifier of this project in its first 5 lines"
	done
}

check_paths() {
	# The expressions are written so that they do not find themselves.
	own_files | grep -v '^LICENSES/' | while read -r f; do
		grep -nHIE '(^|[^A-Za-z0-9_.$])/(wor[k]|roo[t]|hom[e])/|/tm[p]/[a-z]+/linux' "$TOP/$f" || true
		grep -nHIiE 'https?://[^ "]*(debian|snapshot)[a-z.]*[/ "]' "$TOP/$f" || true
	done | sed "s,^$TOP/,,"
}

check_shellcheck() {
	own_files | while read -r f; do
		case $f in
		*.sh)	echo "$f";;
		*)	head -n 1 "$TOP/$f" | grep -aqE '^#!.*[/ ](ba|da)?sh( |$)' && echo "$f";;
		esac || true
	done | (cd "$TOP" && xargs -r -d '\n' shellcheck -x)
}

check_plan() {
	local f name

	for f in "$TOP"/tests/*.c; do
		[ -f "$f" ] || continue
		name=$(basename "$f" .c)
		grep -qE "^([^#A-Za-z0-9_]|[^#].*[^A-Za-z0-9_])?$name([^A-Za-z0-9_]|\$)" "$TOP/tests/plan" ||
			grep -qE "\"$name\"|/$name\"" "$TOP"/tests/*.c "$TOP"/tests/lib/*.c ||
			grep -qE "(^|[^A-Za-z0-9_])$name([^A-Za-z0-9_]|\$)" "$TOP"/harness/*.sh \
				"$TOP"/tests/peers/*.sh ||
			echo "tests/$name.c: no boot of tests/plan runs it"
	done
	awk '!/^#/ && NF && !cont && $2 !~ /^(stock|gmem|debug)$/ {
		print "tests/plan:" NR ": no kernel " $2 }
	{ cont = /\\$/ }' "$TOP/tests/plan"
}

# checkpatch IGNORE [OPTION]: of the files named on stdin. Page flags have
# names in camel case everywhere, and licences are another check's.
checkpatch() {
	local ignore=$1

	shift
	# It leaves a file where it runs.
	cd "$LINT" || return
	xargs -r -d '\n' -n 1 -P "$(nproc)" "$PRISTINE/scripts/checkpatch.pl" --root="$PRISTINE" \
		--strict --quiet --terse --show-types --no-signoff --no-summary \
		--ignore "FILE_PATH_CHANGES,COMMIT_MESSAGE,CAMELCASE,SPDX_LICENSE_TAG,$ignore" "$@" \
		2>/dev/null | not_functions | sed "s,^$TOP/,,; s,^$LINT/,," || true
}

# A function with for_each in its name is no loop, and its brace stands alone.
not_functions() {
	local file line rest

	while IFS=: read -r file line rest; do
		[[ $rest == *ERROR:OPEN_BRACE* ]] && sed -n "${line}p" "$file" | grep -q '^{' ||
			printf '%s:%s:%s\n' "$file" "$line" "$rest"
	done
}

check_checkpatch() {
	local f

	# KVM's vendor module puts itself into the file operations as it loads.
	own_kernel_files | sed "s,^,$TOP/," | grep -Ev '/(uapi|trace)/' | checkpatch CONST_STRUCT -f
	# Definitions of events look like no other code.
	own_kernel_files | sed "s,^,$TOP/," | { grep '/trace/' || true; } |
		checkpatch OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT -f
	# User space has no BIT() and no names for attributes, and the kernel's
	# selftests have the types of the C library and macros that assert.
	{ own_kernel_files | sed "s,^,$TOP/," | grep '/uapi/' || true
	  find "$TOP/tests" "$TOP/tools" -name '*.[ch]' 2>/dev/null | LC_ALL=C sort; } |
		checkpatch BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,PREFER_KERNEL_TYPES,AVOID_EXTERNS,VOLATILE,CONST_STRUCT,NEW_TYPEDEFS,MACRO_ARG_REUSE,MACRO_WITH_FLOW_CONTROL -f
	# DEP-3 headers are no commit message, and what a patch leaves of a line is
	# aligned as it was.
	series | grep '\.patch$' | while read -r f; do
		mkdir -p "$LINT/patches-bare/${f%/*}"
		sed -n '/^--- /,$p' "$TOP/patches/$f" >"$LINT/patches-bare/$f"
		echo "$LINT/patches-bare/$f"
	done | checkpatch PARENTHESIS_ALIGNMENT
}

check_kernel_doc() {
	local -a files

	mapfile -t files < <(own_kernel_files | grep -E '^(include/linux/k?v?m?_?gmem|mm/gmem/)' || true)
	[ ${#files[@]} -gt 0 ] || return 0
	cd "$STAGE" || return
	PYTHONDONTWRITEBYTECODE=1 python3 "$PRISTINE/tools/docs/kernel-doc" \
		-none "${files[@]}" 2>&1 | LC_ALL=C sort -u
}

# One semantic check, on all files at once. What takes long is left out: it is
# made for the whole kernel in a night.
one_cocci() {
	local script=$1 opts

	shift
	opts=$(sed -n 's,^// Options: *,,p' "$script")
	# shellcheck disable=SC2086
	timeout 40 spatch -D report --very-quiet --no-show-diff $opts --cocci-file "$script" "$@" \
		2>/dev/null || [ $? -ne 124 ] || echo "$script" >>"$LINT/cocci-slow"
}

check_coccicheck() {
	local -a files

	mapfile -t files < <(own_kernel_files | grep '\.c$' || true)
	[ ${#files[@]} -gt 0 ] || return 0
	rm -f "$LINT/cocci-slow"
	export -f one_cocci
	export LINT
	(cd "$STAGE" && grep -rl '^virtual report' "$PRISTINE/scripts/coccinelle" --include '*.cocci' |
		LC_ALL=C sort | xargs -P "$(nproc)" -I{} bash -c 'one_cocci "$@"' - {} "${files[@]}")
	[ ! -s "$LINT/cocci-slow" ] ||
		say "coccicheck: given up after 40 s: $(sed 's,.*/,,' "$LINT/cocci-slow" | tr '\n' ' ')"
}

check_tools() {
	tools_packages
	tree gmem
	tools_check >"$LINT/tools.log" 2>&1 || tail -n 40 "$LINT/tools.log"
}

# run_check NAME: its output is what is wrong
run_check() {
	local name=$1 start=$SECONDS out=$LINT/$1.out status=pass

	say "-- $name"
	("check_$name") >"$out" 2>&1 || [ -s "$out" ] || echo "status $? without a word" >"$out"
	[ ! -s "$out" ] || status=fail
	printf '%s %s (%d s)\n' "$status" "$name" $((SECONDS - start))
	if [ $status = fail ]; then
		head -n 60 "$out" | sed 's/^/    /'
		[ "$(wc -l <"$out")" -le 60 ] || echo "    ... all of it: $out"
	fi
	printf '%s\t%s\t%d\t\n' $status "lint $name" $((SECONDS - start)) >>"$LINT/results"
}

verb_lint() {
	local name names=()

	while [ $# -gt 0 ]; do
		case $1 in
		--help|-h)	lint_usage; return;;
		-*)		die "no option $1" "see ./dev lint --help" 2;;
		*)		[[ " ${CHECKS[*]} " == *" $1 "* ]] ||
					die "no check '$1'" "see ./dev lint --help" 2
				names+=("$1");;
		esac
		shift
	done
	[ ${#names[@]} -gt 0 ] || names=("${CHECKS[@]}")
	build_packages
	packages shellcheck sparse coccinelle python3 git libcap-dev
	lock_build
	stage
	mkdir -p "$LINT"
	rm -rf "$LINT/stage"
	cp -a "$STAGE" "$LINT/stage"
	unlock_build
	# Builds need not wait for lint, nor lint for them.
	STAGE=$LINT/stage
	lock_build lint
	rm -f "$LINT/results"
	for name in "${names[@]}"; do
		run_check "$name"
	done
	unlock_build
	need plan
	total "$LINT/results"
	if grep -q '^fail' "$LINT/results"; then
		exit 1
	fi
}
