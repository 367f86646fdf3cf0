# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# `deb`: Debian packages of the kernel, the library and the command.

need tools

CONFIG_PACKAGE=linux-config-7.3
DEB=$BUILD/deb
# No more files than this may be compiled for the kernel.
MAX_OBJECTS=5000

deb_usage() {
	cat <<-'END'
	Usage: ./dev deb [--tools] [--check]

	Build Debian packages, in build/deb:
	  linux-image-7.3.4-gmem    the kernel: Debian's configuration for clouds and
	                            configs/deb.config; linux-headers-7.3.4-gmem beside it
	  libgmem0, libgmem-dev     the library
	  gmem-tools                the command, with an autopkgtest

	The kernel is 4,900 files and 3 GiB: without ccache, the longest step of all.
	Interrupted, the next ./dev deb goes on where it was.

	  --tools    library and command only: a minute
	  --check    install the packages in a new Debian 13, boot that in QEMU, and try
	             there what they bring; a line that says pass or fail for each
	END
}

verb_deb() {
	local tools='' check='' deb

	while [ $# -gt 0 ]; do
		case $1 in
		--tools)	tools=1;;
		--check)	check=1;;
		--help|-h)	deb_usage; return;;
		*)		die "no option $1" "see ./dev deb --help" 2;;
		esac
		shift
	done
	[ -z "$tools" ] || [ -z "$check" ] ||
		die "--check needs the kernel" "drop --tools" 2
	build_packages
	tools_packages
	packages debhelper dpkg-dev librsvg2-bin netpbm
	lock_build
	tree gmem
	tools_debs
	[ -n "$tools" ] || kernel_debs
	unlock_build
	for deb in "$DEB"/*.deb; do
		printf '%8d KiB  %s\n' $(($(stat -c %s "$deb") / 1024)) "$deb"
	done
	if [ -n "$check" ]; then
		need deb-check
		deb_check
	fi
}

tools_version() {
	sed -n "s/^\tversion: '\(.*\)',/\1/p" "$TOP/tools/meson.build"
}

tools_debs() {
	local id

	id="$(tools_id) $(cat "$BUILD/.stage") $(hash_of "$TOP/harness/deb.sh")"
	stamped "$DEB/.tools" "$id" && return 0
	rm -f "$DEB/.tools"
	step "building the packages" "$BUILD/log/deb.log" make_debs
	printf '%s\n' "$id" >"$DEB/.tools"
}

make_debs() {
	local dir=$DEB/source

	kbuild "$BUILD/gmem" headers_install
	rm -rf "$dir" "$DEB"/{libgmem,gmem-tools}*
	mkdir -p "$dir"
	cp -a "$TOP/tools/." "$dir"
	mkdir -p "$dir/debian/source"
	echo '3.0 (native)' >"$dir/debian/source/format"
	cat >"$dir/debian/changelog" <<-END
	gmem-tools ($(tools_version)) unstable; urgency=medium

	  * Built by ./dev deb.

	 -- gmem maintainers <maintainers@gmem.invalid>  Thu, 01 Jan 2026 00:00:00 +0000
	END
	cd "$dir" || return
	GMEM_HEADERS=$BUILD/gmem/usr/include dpkg-buildpackage -b -us -uc
}

# Debian's configuration of its kernel for clouds
cloud_config() {
	dpkg-deb --fsys-tarfile "$(cached_deb "$CONFIG_PACKAGE")" |
		tar -xO "./usr/src/$CONFIG_PACKAGE/config.amd64_none_cloud-amd64.xz" | xz -dc
}

# Files that were compiled for the kernel
objects() {
	grep -rl --include='.*.o.cmd' '^source_' "$BUILD/cloud" | grep -vEc '/(scripts|tools)/'
}

# What the objects and the packages are made of.
kernel_debs_id() {
	cat "$BUILD/cloud/.gmem-built"
	tools_version
	hash_of "$TOP/harness/deb.sh"
}

kernel_debs() {
	local count

	packages kmod openssl zstd libdw-dev
	[ -n "$(cached_deb "$CONFIG_PACKAGE")" ] ||
		step "fetching $CONFIG_PACKAGE" "$BUILD/log/source.log" fetch_deb "$CONFIG_PACKAGE"
	kernel cloud all
	count=$(objects)
	say "the cloud kernel has $count objects"
	[ "$count" -le $MAX_OBJECTS ] ||
		die "more than $MAX_OBJECTS" "take away what no host needs in configs/deb.config"
	stamped "$DEB/.kernel" "$(kernel_debs_id)" && return 0
	rm -f "$DEB/.kernel"
	step "packing the cloud kernel" "$BUILD/log/deb-kernel.log" make_kernel_debs
	kernel_debs_id >"$DEB/.kernel"
}

# Headers of the C library are Debian's, not ours to replace.
make_kernel_debs() {
	local tree=$BUILD/cloud version

	build_env "$tree"
	version=$(make -s -C "$tree" ARCH=x86 kernelversion)
	rm -f "$DEB"/linux-*
	DEBFULLNAME='gmem maintainers' DEBEMAIL=maintainers@gmem.invalid \
	kbuild "$tree" KDEB_SOURCENAME=linux-gmem KDEB_CHANGELOG_DIST=unstable \
		KDEB_PKGVERSION="$version+gmem$(tools_version)-$KBUILD_BUILD_VERSION" bindeb-pkg
	rm -f "$BUILD"/linux-libc-dev_*.deb
	mv "$BUILD"/linux-*_*.* "$DEB"
}
