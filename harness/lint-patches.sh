# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What holds for patches/: headers, places, budget.

# Lines that each directory of patches/ may add to existing files.
declare -gA BUDGET=([blocks]=240 [conversion]=130 [access]=200 [guest]=60 [tdx]=350 [tools]=15)

check_patch_headers() {
	local entry f field

	find "$TOP/patches" -type f ! -name series -printf '%P\n' 2>/dev/null | LC_ALL=C sort |
	while read -r f; do
		series | grep -qxF "$f" || echo "patches/$f: not in patches/series"
	done
	series | while read -r entry; do
		f=$TOP/patches/$entry
		for field in Description Author Forwarded Last-Update; do
			sed '/^--- /q; /^@/q' "$f" | grep -qE "^(// )?$field: +[^ ]" ||
				echo "patches/$entry: no DEP-3 header $field"
		done
		sed '/^--- /q; /^@/q' "$f" |
			grep -E '^(// )?Last-Update:' | grep -qE ' [0-9]{4}-[0-9]{2}-[0-9]{2}$' ||
			echo "patches/$entry: Last-Update is no date"
		case $entry in
		*.cocci)
			[ -n "$(patch_targets "$f")" ] || echo "patches/$entry: no // Target: line";;
		esac
		[ -n "${BUDGET[${entry%%/*}]:-}" ] ||
			echo "patches/$entry: not in one of the directories ${!BUDGET[*]}"
	done
}

# "FILE FUNCTION" of each hunk on stdin, functions cut as diff -p cuts them.
hunk_functions() {
	awk '/^\+\+\+ / { file = $2; sub(/^[^\/]*\//, "", file) }
	/^@@ / {
		name = $0; sub(/^@@ [^@]*@@ ?/, "", name)
		if (name != "") print file " " substr(name, 1, 40)
	}' | sed 's/ *$//' | LC_ALL=C sort -u
}

# Apply the series once more, entry by entry, and look where hunks landed.
check_patch_functions() {
	local dir=$LINT/patches entry f target out

	rm -rf "$dir"
	mkdir -p "$dir/a" "$dir/b"
	series | while read -r entry; do
		f=$TOP/patches/$entry
		rm -rf "$dir/a"
		cp -a "$dir/b" "$dir/a"
		for target in $(patch_targets "$f"); do
			if [ ! -e "$dir/b/$target" ] && [ -e "$PRISTINE/$target" ]; then
				mkdir -p "$dir/a/$(dirname "$target")" "$dir/b/$(dirname "$target")"
				cp "$PRISTINE/$target" "$dir/a/$target"
				cp "$PRISTINE/$target" "$dir/b/$target"
			fi
		done
		out=$(apply_entry "$dir/b" "$f" 2>&1) || {
			echo "patches/$entry: $out"
			break
		}
		[[ $entry != *.cocci ]] || continue
		LC_ALL=C comm -23 <(hunk_functions <"$f") \
			<(cd "$dir" && diff -Nrp -U1 a b | hunk_functions) |
			sed "s,^,patches/$entry: a hunk names this function and lands elsewhere: ,"
	done
}

# Added lines by directory: each entry is charged with the lines by which the
# tree grows when it is applied, Coccinelle's output included.
check_patch_budget() {
	local dir=$LINT/budget entry f target n
	local -A used=()

	rm -rf "$dir"
	mkdir -p "$dir"
	while read -r entry; do
		f=$TOP/patches/$entry
		for target in $(patch_targets "$f"); do
			mkdir -p "$dir/$(dirname "$target")"
			[ -e "$dir/$target" ] || cp "$PRISTINE/$target" "$dir/$target" 2>/dev/null || true
			cp "$dir/$target" "$dir/$target.before" 2>/dev/null || : >"$dir/$target.before"
		done
		apply_entry "$dir" "$f" >/dev/null || return 1
		for target in $(patch_targets "$f"); do
			n=$(diff -N "$dir/$target.before" "$dir/$target" | grep -c '^>' || true)
			used[${entry%%/*}]=$((${used[${entry%%/*}]:-0} + n))
		done
	done < <(series)
	for entry in "${!used[@]}"; do
		say "patches/$entry adds ${used[$entry]} lines of ${BUDGET[$entry]:-0}"
		[ "${used[$entry]}" -le "${BUDGET[$entry]:-0}" ] ||
			echo "patches/$entry adds ${used[$entry]} lines, its budget is ${BUDGET[$entry]:-0}"
	done
}
