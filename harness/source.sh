# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # PRISTINE_ID is for tree.sh
# The kernel source: from the Debian package, or what GMEM_KERNEL names.

SOURCE_PACKAGE=linux-source-7.3
SOURCE_VERSION=7.3.4-1~bpo13+1
SOURCE_SUITE=trixie-backports
PRISTINE=
PRISTINE_ID=

# The site of the Debian archive this machine is configured for, and the key
# its configuration names. Security and third-party archives are not it.
debian_site() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(SITE)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(SOURCESENTRY)' \
		'Created-By: Packages' 2>/dev/null |
	awk -F '|' '$3 == "main" && ($4 == "Debian" || $4 ~ /^[$]/ || $4 == "") &&
		$1 ~ /^(mirror|https?|ftp|file|copy|cdrom)[:+].*debian\/?$/ &&
		$2 !~ /-security/ { print $1 "|" $5; exit }'
}

# private_apt TYPE SUITE: set APT to an apt-get that knows that suite of the
# machine's archive, deb or deb-src, and nothing else
private_apt() {
	local apt=$CACHE/apt/$2-$1 site entry key

	IFS='|' read -r site entry < <(debian_site) ||
		die "no Debian archive in this machine's apt configuration" \
		    "add one, or set GMEM_KERNEL to a kernel tarball"
	key=$(grep -ioE 'signed-by *[:=] *[^] ]+' "${entry%:*}" 2>/dev/null |
		sed -n '1s/.*[:=] *//p' || true)
	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
	printf '%s [%s] %s %s main\n' "$1" "${key:+signed-by=$key}" "$site" "$2" |
		sed 's/ \[\]//' >"$apt/sources.list"
	APT=(apt-get -q -o Dir::State="$apt/state" -o Dir::State::status=/var/lib/dpkg/status
	     -o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/sources.list"
	     -o Dir::Etc::sourceparts=/dev/null -o Debug::NoLocking=1
	     -o APT::Sandbox::User=root)
	"${APT[@]}" update
}

# fetch_deb PACKAGE: into the cache
fetch_deb() {
	private_apt deb "$SOURCE_SUITE"
	cd "$CACHE" || return
	"${APT[@]}" download "$1=$SOURCE_VERSION" || "${APT[@]}" download "$1"
}

# cached_deb PACKAGE: the newest in the cache; the pinned one if it is there
cached_deb() {
	local version deb

	for version in "$SOURCE_VERSION" '7.3.*'; do
		deb=$(find "$CACHE" -maxdepth 1 -name "$1_${version}_*.deb" | sort -V | tail -n 1)
		[ -z "$deb" ] || break
	done
	printf '%s' "$deb"
}

# unpack NAME PRODUCER...: a tar stream into src/NAME, whole or not at all
unpack() {
	local dir=$CACHE/src/$1 tmp=$CACHE/src/.unpack.$$

	shift
	rm -rf "$tmp"
	mkdir -p "$tmp"
	"$@" | tar -x -C "$tmp" --strip-components=1
	rm -rf "$dir"
	mv "$tmp" "$dir"
}

deb_stream() {
	dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/src/$SOURCE_PACKAGE.tar.xz" | xz -dc
}

tar_stream() {
	case $1 in
	*.xz)	xz -dc "$1";;
	*.gz)	gzip -dc "$1";;
	*.zst)	zstd -dc "$1";;
	*)	cat "$1";;
	esac
}

# Set PRISTINE to an unchanged tree and PRISTINE_ID to what it is.
find_source() {
	local deb name

	[ -z "$PRISTINE" ] || return 0
	mkdir -p "$CACHE/src"
	if [ -n "${GMEM_KERNEL:-}" ] && [ -d "$GMEM_KERNEL" ]; then
		PRISTINE=$(readlink -f "$GMEM_KERNEL")
		PRISTINE_ID="tree $PRISTINE"
		[ ! -e "$PRISTINE/.config" ] ||
			die "GMEM_KERNEL=$GMEM_KERNEL has been built in" "run make mrproper there"
	elif [ -n "${GMEM_KERNEL:-}" ]; then
		[ -f "$GMEM_KERNEL" ] || die "GMEM_KERNEL=$GMEM_KERNEL does not exist" \
			"name a kernel tarball or tree, or unset it"
		name=tarball-$(sha256sum "$GMEM_KERNEL" | cut -c 1-16)
		PRISTINE=$CACHE/src/$name
		PRISTINE_ID=$name
		[ -f "$PRISTINE/Makefile" ] ||
			step "unpacking $GMEM_KERNEL" "$BUILD/log/source.log" \
				unpack "$name" tar_stream "$GMEM_KERNEL"
	else
		packages xz-utils
		deb=$(cached_deb "$SOURCE_PACKAGE")
		if [ -z "$deb" ]; then
			step "fetching $SOURCE_PACKAGE" "$BUILD/log/source.log" \
				fetch_deb "$SOURCE_PACKAGE"
			deb=$(cached_deb "$SOURCE_PACKAGE")
		fi
		name=${deb##*/}
		name=${name%_all.deb}
		[ "$name" = "${SOURCE_PACKAGE}_$SOURCE_VERSION" ] ||
			say "warning: $name instead of $SOURCE_VERSION, for which the patches were made"
		PRISTINE=$CACHE/src/$SOURCE_PACKAGE
		PRISTINE_ID=$name
		if ! stamped "$CACHE/src/.$SOURCE_PACKAGE" "$name"; then
			step "unpacking $name" "$BUILD/log/source.log" \
				unpack "$SOURCE_PACKAGE" deb_stream "$deb"
			echo "$name" >"$CACHE/src/.$SOURCE_PACKAGE"
		fi
	fi
	[ "$(sed -n 's/^\(VERSION\|PATCHLEVEL\) = //p' "$PRISTINE/Makefile" | tr '\n' .)" = 7.3. ] ||
		die "$PRISTINE is not Linux 7.3" "the overlay is made for 7.3"
}
