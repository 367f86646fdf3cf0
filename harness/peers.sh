# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What some boots bring along: programs of others, and a Linux for guests.
# `exec --pack NAME`.

need initramfs tools

# shellcheck disable=SC2034 # for exec
PACKS=(libhugetlbfs stress-ng linux tools)

# One version on every Debian: the list of its results belongs to it. What is
# packaged are tools and library; the tests are in the source package only.
HUGETLBFS_VERSION=2.24-1
SUITE=trixie

# pack NAME: make initramfs/NAME.cpio current
pack() {
	local name=$1 id

	"pack_needs_$name"
	id="$("pack_id_$name") $(hash_of "$TOP/harness/peers.sh")"
	stamped "$BUILD/initramfs/.$name" "$id" && return 0
	step "packing $name" "$BUILD/log/pack-$name.log" make_pack "$name"
	printf '%s\n' "$id" >"$BUILD/initramfs/.$name"
}

make_pack() {
	local root=$BUILD/initramfs/pack-$1

	rm -rf "$root"
	mkdir -p "$root"
	"make_pack_$1" "$root"
	mapfile -t files < <(find "$root" -type f -perm -u+x)
	libraries "$root" "${files[@]}"
	archive "$root" "$BUILD/initramfs/$1.cpio"
	rm -rf "$root"
}

# stress-ng, as packaged

pack_needs_stress-ng() {
	packages stress-ng
}

pack_id_stress-ng() {
	dpkg-query -W -f '${Version}' stress-ng
}

make_pack_stress-ng() {
	install -D "$(command -v stress-ng)" "$1/usr/bin/stress-ng"
}

# libhugetlbfs' tests, with the bash and the Python that drive them

hugetlbfs_tar() {
	printf '%s' "$CACHE/libhugetlbfs_${HUGETLBFS_VERSION%-*}.orig.tar.gz"
}

fetch_hugetlbfs() {
	private_apt deb-src "$SUITE"
	cd "$CACHE" || return
	# Upstream's tarball, checked against the archive's signed index. Debian's
	# changes are for the package and not for the tests.
	"${APT[@]}" source --download-only --tar-only "libhugetlbfs=$HUGETLBFS_VERSION"
}

pack_needs_libhugetlbfs() {
	packages gcc make libc6-dev ccache python3-minimal libpython3-stdlib
	[ -f "$(hugetlbfs_tar)" ] ||
		step "fetching libhugetlbfs" "$BUILD/log/source.log" fetch_hugetlbfs
}

pack_id_libhugetlbfs() {
	sha256sum "$(hugetlbfs_tar)" | cut -d ' ' -f 1
	gcc -dumpfullversion
	/usr/bin/python3 -V
}

# What its configure script would do: this libc has no morecore, and a tarball
# without its version file does not say its version.
build_hugetlbfs() {
	local src=$1 f

	rm -rf "$src"
	mkdir -p "$src"
	tar -xzf "$(hugetlbfs_tar)" -C "$src" --strip-components=1
	for f in Makefile tests/Makefile; do
		sed 's/@CFLAGS@/-O2 -g/' "$src/$f.in" >"$src/$f"
	done
	echo "${HUGETLBFS_VERSION%-*}" >"$src/version"
	build_env "$src"
	GIT_DIR=/dev/null make -C "$src" -j"$JOBS" BUILDTYPE=NATIVEONLY CC='ccache gcc' \
		libs tests tools
}

# The modules that run_tests.py imports, where this Python looks for them.
python_files() {
	/usr/bin/python3 -I -S - "$1" <<-'END'
	import re, sys
	for line in open(sys.argv[1]):
	    found = re.match(r"(?:import|from) (\w+)", line)
	    if found:
	        __import__(found.group(1))
	import encodings.ascii, encodings.latin_1
	for module in list(sys.modules.values()):
	    if (getattr(module, "__file__", None) or "").startswith("/"):
	        print(module.__file__)
	END
}

make_pack_libhugetlbfs() {
	local root=$1 src=$BUILD/libhugetlbfs dest=$1/usr/lib/libhugetlbfs file

	build_hugetlbfs "$src"
	mkdir -p "$dest/tests"
	cp -a "$src/obj" "$src/obj64" "$dest"
	cp -a "$src/tests/obj64" "$src/tests/run_tests.py" "$src/tests/wrapper-utils.sh" \
		"$dest/tests"
	cp "$src/tests/wrapper-utils.sh" "$dest/tests/obj64"
	find "$dest" \( -name '*.o' -o -name '*.a' -o -name ld \) -delete
	find "$dest" -type f -exec sh -c 'strip --strip-debug "$1" 2>/dev/null || :' - {} \;
	install -D "$(command -v bash)" "$root/bin/bash"
	install -D "$(readlink -f /usr/bin/python3)" "$root/usr/bin/python3"
	python_files "$src/tests/run_tests.py" | while read -r file; do
		install -D -m "$(stat -c %a "$file")" "$file" "$root$file"
	done
}

# Linux for the VMM: the kernel that was built, one as Debian ships it for clouds,
# and an initial file system that ends in a shell; another one has stress-ng as well

cloud_deb() {
	find "$CACHE" -maxdepth 1 -name 'linux-image-*-cloud-amd64_*.deb' | sort -V | tail -n 1
}

fetch_cloud_kernel() {
	local name

	private_apt deb "$SUITE"
	cd "$CACHE" || return
	# What the package without a version stands for today.
	name=$(apt-cache "${APT[@]:2}" depends linux-image-cloud-amd64 |
		awk '$1 == "Depends:" { print $2; exit }')
	"${APT[@]}" download "$name"
}

pack_needs_linux() {
	kernel gmem
	packages busybox-static stress-ng
	[ -n "$(cloud_deb)" ] ||
		step "fetching Debian's cloud kernel" "$BUILD/log/source.log" fetch_cloud_kernel
}

pack_id_linux() {
	pack_id_stress-ng
	cloud_deb
	hash_of "$BUILD/gmem/arch/x86/boot/bzImage" "$TOP/tests/guest-init" \
		"$BUILD/selftests/gmem/gmem/gmem-share"
}

make_pack_linux() {
	local dest=$1/usr/lib/linux root=$BUILD/initramfs/guest applet

	rm -rf "$root"
	mkdir -p "$dest" "$root"/{bin,dev,proc,sys,tmp}
	cp "$BUILD/gmem/arch/x86/boot/bzImage" "$dest"
	dpkg-deb --fsys-tarfile "$(cloud_deb)" |
		tar -xO --wildcards './boot/vmlinuz-*' >"$dest/cloud"
	cp "$(command -v busybox)" "$root/bin/busybox"
	busybox --list | while read -r applet; do
		[ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
	done
	strip --strip-debug -o "$root/bin/gmem-share" "$BUILD/selftests/gmem/gmem/gmem-share"
	cp "$TOP/tests/guest-init" "$root/init"
	archive "$root" "$dest/initrd"
	make_pack_stress-ng "$root"
	libraries "$root" "$root/usr/bin/stress-ng"
	archive "$root" "$dest/initrd-stress"
	rm -rf "$root"
}
