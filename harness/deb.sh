# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# `deb`: Debian packages of the library and the command. Those of the kernel are not
# there yet.

need tools

verb_deb() {
	case ${1:-} in
	--help|-h)
		echo "Usage: ./dev deb"
		echo "Build libgmem0, libgmem-dev and gmem-tools, in build/deb; not yet the kernel."
		return;;
	?*)
		die "no option $1" "see ./dev deb --help" 2;;
	esac
	build_packages
	tools_packages
	packages debhelper dpkg-dev
	lock_build
	tree gmem
	step "building the packages" "$BUILD/log/deb.log" make_debs
	unlock_build
	printf '%s\n' "$BUILD"/deb/*.deb
}

make_debs() {
	local dir=$BUILD/deb/source version

	version=$(sed -n "s/^\tversion: '\(.*\)',/\1/p" "$TOP/tools/meson.build")
	kbuild "$BUILD/gmem" headers_install
	rm -rf "$BUILD/deb"
	mkdir -p "$dir"
	cp -a "$TOP/tools/." "$dir"
	mkdir -p "$dir/debian/source"
	echo '3.0 (native)' >"$dir/debian/source/format"
	cat >"$dir/debian/changelog" <<-END
	gmem-tools ($version) unstable; urgency=medium

	  * Built by ./dev deb.

	 -- gmem maintainers <maintainers@gmem.invalid>  Thu, 01 Jan 2026 00:00:00 +0000
	END
	cd "$dir" || return
	GMEM_HEADERS=$BUILD/gmem/usr/include dpkg-buildpackage -b -us -uc
}
