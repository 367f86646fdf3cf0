# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Kernel trees: hard-linked copies of the pristine tree with our files laid
# over and patches/ applied, changed only where the content changed, so that
# every later make is incremental.

need source

STAGE=$BUILD/stage
# Top directories of this repository that mirror the kernel's.
OVERLAY_ROOTS=(Documentation arch drivers fs include kernel mm tools virt)

# Every overlay file, relative to the root.
overlay_files() {
	local roots=() dir

	for dir in "${OVERLAY_ROOTS[@]}"; do
		[ ! -d "$TOP/$dir" ] || roots+=("$dir")
	done
	[ ${#roots[@]} -eq 0 ] ||
		(cd "$TOP" && find "${roots[@]}" -type f ! -name '*.o' ! -name '.*' ! -name '*~' |
			LC_ALL=C sort)
}

# Entries of the series, without comments.
series() {
	[ ! -f "$TOP/patches/series" ] || sed 's/[ \t]*#.*//; /^[ \t]*$/d' "$TOP/patches/series"
}

# Files a patch or a semantic patch changes.
patch_targets() {
	case $1 in
	*.cocci)
		sed -n 's,^// Target: *,,p' "$1"
		;;
	*)
		awk '/^\+\+\+ / { sub(/^[^\/]*\//, "", $2); if ($2 != "dev/null") print $2 }' "$1"
		;;
	esac
}

# apply_entry DIR FILE: one series entry, in a stage that has its targets
apply_entry() {
	local dir=$1 file=$2 target before

	case $file in
	*.cocci)
		for target in $(patch_targets "$file"); do
			before=$(sha256sum "$dir/$target")
			spatch --very-quiet --no-show-diff --in-place --sp-file "$file" "$dir/$target"
			[ "$before" != "$(sha256sum "$dir/$target")" ] || {
				echo "$file changes nothing in $target"
				return 1
			}
		done
		;;
	*)
		echo "== $file"
		patch -p1 --fuzz=0 --no-backup-if-mismatch -d "$dir" <"$file"
		;;
	esac
}

make_stage() {
	local tmp=$STAGE.new file entry target

	rm -rf "$tmp"
	mkdir -p "$tmp"
	overlay_files | while read -r file; do
		mkdir -p "$tmp/$(dirname "$file")"
		cp "$TOP/$file" "$tmp/$file"
	done
	series | while read -r entry; do
		file=$TOP/patches/$entry
		[ -f "$file" ] || {
			echo "patches/series names $entry, which does not exist"
			return 1
		}
		for target in $(patch_targets "$file"); do
			if [ ! -e "$tmp/$target" ] && [ -e "$PRISTINE/$target" ]; then
				mkdir -p "$tmp/$(dirname "$target")"
				cp "$PRISTINE/$target" "$tmp/$target"
			fi
		done
		apply_entry "$tmp" "$file"
	done
	rm -rf "$STAGE"
	mv "$tmp" "$STAGE"
}

# All that differs from the pristine tree, in one directory.
stage() {
	local id roots=() dir

	find_source
	for dir in "${OVERLAY_ROOTS[@]}" patches harness/tree.sh; do
		roots+=("$TOP/$dir")
	done
	id="$PRISTINE_ID $(hash_of "${roots[@]}")"
	stamped "$BUILD/.stage" "$id" && [ -d "$STAGE" ] && return 0
	rm -f "$BUILD/.stage"
	if series | grep -q '\.cocci$'; then
		packages coccinelle
	fi
	step "applying the overlay" "$BUILD/log/stage.log" make_stage
	printf '%s\n' "$id" >"$BUILD/.stage"
}

# restore TREE FILE: back to the packaged content, with a new time, because
# objects were built from the other one
restore() {
	rm -f "$1/$2"
	[ ! -e "$PRISTINE/$2" ] || cp "$PRISTINE/$2" "$1/$2"
}

# Lay the stage over a tree. A tree's file may be a link to the pristine one:
# it is replaced, never written to.
overlay_tree() {
	local tree=$1 file old=$1/.gmem-overlay new=$1/.gmem-overlay.new

	(cd "$STAGE" && find . -type f -printf '%P\n' | LC_ALL=C sort) >"$new"
	while read -r file; do
		cmp -s "$STAGE/$file" "$tree/$file" && continue
		mkdir -p "$tree/$(dirname "$file")"
		cp --remove-destination "$STAGE/$file" "$tree/$file"
	done <"$new"
	if [ -f "$old" ]; then
		LC_ALL=C comm -23 "$old" "$new" | while read -r file; do
			restore "$tree" "$file"
		done
	fi
	mv "$new" "$old"
}

copy_tree() {
	rm -rf "$1"
	mkdir -p "$(dirname "$1")"
	# Another file system has no hard links to ours.
	cp -al "$PRISTINE" "$1" 2>/dev/null || {
		rm -rf "$1"
		cp -a --reflink=auto "$PRISTINE" "$1"
	}
}

# tree NAME: make the kernel tree of that name current
tree() {
	local tree=$BUILD/$1

	find_source
	packages patch
	if ! stamped "$tree/.gmem-source" "$PRISTINE_ID"; then
		step "copying the tree for $1" "$BUILD/log/copy.log" copy_tree "$tree"
		printf '%s\n' "$PRISTINE_ID" >"$tree/.gmem-source"
	fi
	[ "$1" != stock ] || return 0
	stage
	overlay_tree "$tree"
}
