# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Compiling with what no test boots: SEV and TDX, KVM built in and as modules.

COMPILED=(mm/gmem/ arch/x86/kvm/)

lint_fragments() {
	echo "$TOP/configs/test.config"
	echo "$TOP/configs/cc.config"
	[[ $1 = stock-* ]] || echo "$TOP/configs/ours.config"
	[ "${1#stock-}" != module ] || echo "$TOP/configs/cc-module.config"
}

# Objects outside the compiled directories that patches change.
patched_objects() {
	(cd "$STAGE" && find . -name '*.c' -printf '%P\n') |
		grep -vE '^(mm/gmem|arch/x86/kvm|virt|tools|Documentation)/' | sed 's/c$/o/' | LC_ALL=C sort
}

lint_configure() {
	local src=$1 out=$2 kind=$3 lost
	local -a frags

	mapfile -t frags < <(lint_fragments "$kind")
	mkdir -p "$out"
	kbuild "$src" O="$out" -s tinyconfig
	(cd "$src" && scripts/kconfig/merge_config.sh -O "$out" -m "$out/.config" "${frags[@]}")
	kbuild "$src" O="$out" -s olddefconfig
	kbuild "$src" O="$out" -s prepare
	lost=$(config_lost "$out/.config" "${frags[@]}")
	[ -z "$lost" ] || {
		echo "cannot be configured: $lost"
		return 1
	}
}

# lint_tree SOURCE KIND: configure the output directory of that kind
lint_tree() {
	local src=$1 kind=$2 out=$LINT/$2 id

	id="$PRISTINE_ID $(hash_of "$TOP/configs" "$TOP/harness/lint-compile.sh")"
	id+=" $(cd "$STAGE" && find . -name 'Kconfig*' -exec sha256sum {} + | sort | sha256sum)"
	stamped "$out/.gmem" "$id" && return 0
	rm -f "$out/.gmem"
	step "configuring for lint: $kind" "$BUILD/log/lint-config-$kind.log" \
		lint_configure "$src" "$out" "$kind" || return 1
	printf '%s\n' "$id" >"$out/.gmem"
}

# The overlaid source of both kinds; nothing is built in it.
lint_source() {
	if ! stamped "$LINT/src/.gmem-source" "$PRISTINE_ID"; then
		step "copying the tree for lint" "$BUILD/log/copy.log" copy_tree "$LINT/src"
		printf '%s\n' "$PRISTINE_ID" >"$LINT/src/.gmem-source"
	fi
	overlay_tree "$LINT/src"
}

# compile KIND SOURCE TARGET...: with warnings, into KIND.log. All of it: an
# object that is current would not warn again, and ccache makes it cheap.
compile() {
	local kind=$1 src=$2 log=$LINT/$1.log dir

	shift 2
	for dir in "${COMPILED[@]}" virt/kvm; do
		[ ! -d "$LINT/$kind/$dir" ] || find "$LINT/$kind/$dir" -name '*.o' -delete
	done
	(cd "$LINT/$kind" && rm -f "$@" 2>/dev/null) || true
	rm -f "$log"
	step "compiling: $kind" "$log" compile_all "$src" O="$LINT/$kind" -k W=1 "$@"
}

compile_all() {
	kbuild "$@" || echo "error: make failed"
}

# Warnings and errors of a log in a form that another tree's can be compared
# with: no path in front, no line numbers. Left out is what Debian's sparse
# says of each module_param() since the kernel gave it a static assertion.
warnings() {
	grep -hE '(warning|error): |\*\*\* .*(Stop|Error)' "$@" | grep -v ':1: error: bad constant expression$' |
		sed -E "s,($LINT/src|$PRISTINE|\.\./)/?,,g; s,^\.*/*,,;
		s,:[0-9]+(:[0-9]+)?: ,: ," | LC_ALL=C sort -u
}

existing_targets() {
	local src=$1 t file

	shift
	for t; do
		file=$src/${t%.o}
		[ "$t" = "${t%.o}" ] || file+=.c
		[ ! -e "$file" ] || echo "$t"
	done
}

# Warnings new against the packaged tree, compiled the same way.
new_warnings() {
	local kind=$1 id
	local -a targets

	shift
	lint_source
	lint_tree "$LINT/src" "$kind"
	mapfile -t targets < <(existing_targets "$LINT/src" "${COMPILED[@]}"; patched_objects)
	compile "$kind" "$LINT/src" "$@" "${targets[@]}"
	# Only when there is something to compare.
	[ -n "$(warnings "$LINT/$kind.log")" ] || return 0
	mapfile -t targets < <(existing_targets "$PRISTINE" "${targets[@]}")
	lint_tree "$PRISTINE" "stock-$kind"
	id="$(cat "$LINT/stock-$kind/.gmem") ${targets[*]} $(hash_of "$LINT/ours")"
	if ! stamped "$LINT/stock-$kind/.gmem-compiled" "$id"; then
		compile "stock-$kind" "$PRISTINE" "$@" "${targets[@]}"
		printf '%s\n' "$id" >"$LINT/stock-$kind/.gmem-compiled"
	fi
	LC_ALL=C comm -23 <(warnings "$LINT/$kind.log") <(warnings "$LINT/stock-$kind.log")
}

check_compile_builtin() {
	local dir

	for dir in "$LINT/src" "$PRISTINE"; do
		(cd "$STAGE" && find . -name '*.c' -printf '%P\n') | LC_ALL=C sort | sed "s,^,$dir/,"
	done >"$LINT/ours"
	export GMEM_SPARSE=$LINT/ours
	new_warnings builtin C=2 CHECK="$TOP/harness/sparse-ours"
}

check_compile_module() {
	: >"$LINT/ours"
	new_warnings module
}
