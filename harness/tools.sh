# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# libgmem, gmem(1), their manuals and tests: built with meson, against the headers of
# the tree with gmem. `exec --pack tools` brings them into a boot.

need build

tools_packages() {
	packages meson ninja-build pkgconf g++ libjson-c-dev libncurses-dev libcmocka-dev scdoc abigail-tools
}

tools_id() {
	hash_of "$TOP/tools" "$TOP/include/uapi" "$TOP/harness/tools.sh"
}

# tools_setup NAME [MESON-OPTION...]: build/tools-NAME, with nothing built yet
tools_setup() {
	local dir=$BUILD/tools-$1

	shift
	build_env "$TOP"
	rm -rf "$dir"
	CC='ccache gcc' meson setup "$dir" "$TOP/tools" --prefix=/usr --libdir=lib \
		-Dheaders="$BUILD/gmem/usr/include" -Dwerror=true "$@"
}

tools_build() {
	tools_setup "$@" &&
		ninja -C "$BUILD/tools-$1"
}

# The tests that need no kernel of ours, with the sanitizers; those of the library against
# the fake under valgrind as well, which sees what was never written.
tools_check() {
	packages librsvg2-bin netpbm valgrind &&
		kbuild "$BUILD/gmem" headers_install &&
		tools_build check -Db_sanitize=address,undefined -Db_lundef=false &&
		meson test -C "$BUILD/tools-check" --print-errorlogs &&
		tools_setup valgrind &&
		ninja -C "$BUILD/tools-valgrind" lib/gmem/tests/libgmem-fake &&
		valgrind --quiet --error-exitcode=1 --leak-check=full --errors-for-leak-kinds=all \
			"$BUILD/tools-valgrind/lib/gmem/tests/libgmem-fake"
}

pack_needs_tools() {
	tools_packages
}

pack_id_tools() {
	tools_id
}

make_pack_tools() {
	local root=$1 f dest=$1/usr/bin

	tools_build pack
	DESTDIR=$root meson install -C "$BUILD/tools-pack"
	for f in lib/gmem/tests/libgmem-kernel gmem/man/gmem-example \
		 gmem/tests/gmem-tool{,-bench,-examples,-files,-live,-many,-rights,-stock}; do
		cp "$BUILD/tools-pack/$f" "$dest"
	done
	cp "$BUILD/tools-pack/gmem/man/examples" "$root/usr/share/gmem/"
	rm -rf "$root"/usr/{include,share/man} "$root"/usr/lib/{pkgconfig,*.a}
	for f in l/linux v/vt100; do
		install -D -m 644 "/lib/terminfo/$f" "$root/usr/share/terminfo/$f"
	done
	find "$root/usr" -type f -perm -u+x -exec strip --strip-debug {} \;
}
