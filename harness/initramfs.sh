# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The programs that run inside, and the initial file systems that bring them.

need build

SELFTESTS=tools/testing/selftests/kvm

# selftests NAME: KVM's selftests, as packaged, against that tree's headers
selftests() {
	local tree=$BUILD/$1 out=$BUILD/selftests/$1

	kbuild "$tree" headers_install
	kbuild "$tree/$SELFTESTS" -k OUTPUT="$out" all
}

# Our programs: each tests/NAME.c, linked with tests/lib and with libkvm as
# the tree with our headers builds it.
own_tests() {
	local tree=$BUILD/gmem

	kbuild "$tree" headers_install
	# All anew: in the files of dependencies that ccache keeps are the paths of
	# the checkout that compiled first.
	rm -rf "$BUILD/selftests/gmem/gmem"
	kbuild "$tree/$SELFTESTS" -f "$TOP/harness/tests.mk" OUTPUT="$BUILD/selftests/gmem" \
		GMEM_TESTS="$TOP/tests" gmem-tests
	kbuild "$tree/tools/gmem/vmm" OUTPUT="$BUILD/selftests/gmem/gmem" all
}

test_programs() {
	local id

	packages libcap-dev libnuma-dev uuid-dev
	tree stock
	tree gmem
	id="$PRISTINE_ID $(hash_of "$TOP/harness/initramfs.sh")"
	if ! stamped "$BUILD/selftests/.stock" "$id"; then
		step "building the KVM selftests" "$BUILD/log/selftests.log" selftests stock
		printf '%s\n' "$id" >"$BUILD/selftests/.stock"
	fi
	id+=" $(cat "$BUILD/.stage") $(hash_of "$TOP/tests" "$TOP/harness/tests.mk")"
	if ! stamped "$BUILD/selftests/.gmem" "$id"; then
		step "building the tests" "$BUILD/log/tests.log" own_tests
		printf '%s\n' "$id" >"$BUILD/selftests/.gmem"
	fi
}

# libraries ROOT PROGRAM...: what the dynamic ones load, at the same place
libraries() {
	local root=$1 lib

	shift
	for lib; do
		# A program without an interpreter is static, or a script.
		! readelf -l "$lib" 2>/dev/null | grep -q INTERP || ldd "$lib"
	done | awk '$1 ~ /^\// { print $1 } $2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
	while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		cp -Lf "$lib" "$root$lib"
	done
}

# archive ROOT FILE
archive() {
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 >"$2.new")
	mv "$2.new" "$2"
}

# Executable ELF files below a directory.
programs_in() {
	find "$1" -type f -perm -u+x ! -name '*.o' ! -name '*.so*' | LC_ALL=C sort
}

make_base() {
	local root=$BUILD/initramfs/root st=$BUILD/selftests applet file dest lib

	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,t,etc,usr/bin,usr/lib/kvm-selftests}
	ln -s bin "$root/sbin"
	cp "$(command -v busybox)" "$root/bin/busybox"
	busybox --list | while read -r applet; do
		[ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
	done
	ln -sf ../../bin/env "$root/usr/bin/env"
	echo 'root:x:0:0:root:/tmp:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	cp "$TOP/harness/init" "$root/init"
	cp "$TOP/harness/each" "$root/usr/bin/each"
	programs_in "$st/stock" | while read -r file; do
		dest=$root/usr/lib/kvm-selftests/${file#"$st/stock/"}
		mkdir -p "$(dirname "$dest")"
		strip --strip-debug -o "$dest" "$file"
	done
	cp "$BUILD/stock/$SELFTESTS/x86/nx_huge_pages_test.sh" "$root/usr/lib/kvm-selftests/x86/"
	(cd "$root/usr/lib/kvm-selftests" && ln -s x86/* .)
	if [ -d "$st/gmem/gmem" ]; then
		programs_in "$st/gmem/gmem" | while read -r file; do
			strip --strip-debug -o "$root/usr/bin/${file##*/}" "$file"
		done
	fi
	find "$TOP/tests" -maxdepth 1 -name "*.sh" -exec cp {} "$root/usr/bin/" \;
	[ ! -d "$TOP/tests/peers" ] || cp -r "$TOP/tests/peers" "$root/usr/lib/"
	mapfile -t files < <(programs_in "$root/usr")
	# The C library loads it by name when a thread is cancelled.
	lib=$(gcc -print-file-name=libgcc_s.so.1)
	mkdir -p "$root/usr/lib"
	cp -L "$lib" "$root/usr/lib/"
	libraries "$root" "${files[@]}" "$lib"
	archive "$root" "$BUILD/initramfs/base.cpio"
}

# The part all boots share.
base_initramfs() {
	local id

	packages busybox-static cpio binutils
	test_programs
	id="$(cat "$BUILD/selftests/.gmem") $(hash_of "$TOP/harness/init" "$TOP/harness/each")"
	stamped "$BUILD/initramfs/.base" "$id" && return 0
	step "packing the initramfs" "$BUILD/log/initramfs.log" make_base
	printf '%s\n' "$id" >"$BUILD/initramfs/.base"
}
