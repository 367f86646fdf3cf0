# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# `deb --check`: the packages in a Debian 13 that has nothing else of ours.

need guest

# The Debian: what packages cannot depend on, to boot and to run autopkgtest.
CHECK_SUITE=trixie
CHECK_PACKAGES=(autopkgtest gcc initramfs-tools kmod libc6-dev man-db pkgconf systemd-sysv
	udev zstd)
CHECK_ROOT=$BUILD/deb-check/root
CHECK_IMAGE=$BUILD/deb-check/root.img

base_tar() {
	local id

	id=$(printf '%s' "${CHECK_PACKAGES[*]}" | sha256sum | cut -c 1-8)
	printf '%s' "$CACHE/debian-$CHECK_SUITE-$id.tar"
}

# The suite of the archive this machine is configured for.
make_base_tar() {
	local site

	IFS='|' read -r site _ < <(debian_site) ||
		die "no Debian archive in this machine's apt configuration" "add one"
	as_root rm -rf "$CHECK_ROOT"
	mkdir -p "${CHECK_ROOT%/*}"
	as_root debootstrap --variant=minbase \
		--include="$(IFS=,; printf '%s' "${CHECK_PACKAGES[*]}")" \
		"$CHECK_SUITE" "$CHECK_ROOT" "$site"
	as_root tar -C "$CHECK_ROOT" -cf "$1.new" .
	mv "$1.new" "$1"
}

# in_root COMMAND...: inside that Debian
in_root() {
	as_root env -i PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
		chroot "$CHECK_ROOT" "$@"
}

unpack_root() {
	as_root rm -rf "$CHECK_ROOT"
	mkdir -p "$CHECK_ROOT"
	as_root tar -C "$CHECK_ROOT" -xf "$1"
	as_root install -d "$CHECK_ROOT"/{debs,check}
	as_root cp "$DEB"/{linux-image,libgmem,gmem-tools}*_*.deb "$CHECK_ROOT/debs"
	as_root rm -f "$CHECK_ROOT"/debs/*-dbg*
	as_root cp -a "$DEB/source/debian" "$CHECK_ROOT/check"
	as_root install "$TOP/harness/deb-inside" "$CHECK_ROOT/check"
}

# apt gets what they depend on.
install_debs() {
	in_root sh -c 'apt-get -y --no-install-recommends install /debs/*.deb'
}

make_image() {
	rm -f "$CHECK_IMAGE"
	truncate -s 8G "$CHECK_IMAGE"
	as_root mke2fs -q -t ext4 -d "$CHECK_ROOT" "$CHECK_IMAGE"
}

# result NAME STATUS
result() {
	local word=pass

	[ "$2" -eq 0 ] || word=fail
	printf '%s %s\n' $word "$1" | tee -a "$CHECK_RESULTS"
}

# boot_debian NAME QEMU-OPTION...: its checks are lines of a channel; a kernel that
# reports something, or that does not come to their end, fails
boot_debian() {
	local name=$1 log=$BUILD/log/deb-check-$1.log out=$BUILD/deb-check/$1 rc=0
	local release append report

	shift
	release=$(basename "$CHECK_ROOT"/boot/vmlinuz-*)
	# The TSC is measured too slow on a busy machine. Here people wait by the clock.
	append="$CMDLINE clocksource=hpet root=/dev/vda rw systemd.run=/check/deb-inside"
	append+=" systemd.run_success_action=poweroff systemd.run_failure_action=poweroff"
	append+=" systemd.condition-needs-update=no gmem.boot=$name gmem.release=${release#vmlinuz-}"
	qemu_machine "$log"
	Q+=(-accel 'tcg,thread=multi' -smp 1 -m 4G -kernel "$CHECK_ROOT/boot/$release"
	    -append "$append" "$@" -snapshot
	    -drive "if=none,id=root,file=$CHECK_IMAGE,format=raw" -device 'virtio-blk-pci,drive=root'
	    -chardev "file,id=check,path=$out"
	    -device 'virtserialport,chardev=check,name=gmem.check')
	(step "booting it: $name" "$BUILD/log/deb-qemu.log" timeout -k 5 1800 "${Q[@]}") || rc=1
	grep -vx end "$out" || true
	grep -E '^(pass|fail) ' "$out" >>"$CHECK_RESULTS" || true
	if report=$(kernel_report "$log"); then
		printf '%s\n' "$report" >&"$MSG"
		rc=1
	fi
	[ "$(tail -n 1 "$out")" = end ] || rc=1
	result "$name: boots, checks to the end, reports nothing ($log)" $rc
}

deb_check() {
	local tar rc=0

	packages debootstrap debian-archive-keyring e2fsprogs qemu-system-x86
	CHECK_RESULTS=$BUILD/deb-check/results
	mkdir -p "$BUILD/deb-check"
	rm -f "$CHECK_RESULTS"
	tar=$(base_tar)
	[ -f "$tar" ] ||
		step "making a Debian with debootstrap" "$BUILD/log/debootstrap.log" make_base_tar "$tar"
	step "unpacking it" "$BUILD/log/deb-check.log" unpack_root "$tar"
	step "installing the packages" "$BUILD/log/deb-install.log" install_debs
	compgen -G "$CHECK_ROOT/boot/initrd.img-*" >/dev/null || rc=1
	result "the packages install, an initrd is made" $rc
	rc=0
	in_root sh -c 'AUTOPKGTEST_TMP=/tmp sh /check/debian/tests/gmem' >/dev/null || rc=$?
	result "the autopkgtest says 77 without KVM" $((rc != 77))
	step "making its file system" "$BUILD/log/deb-image.log" make_image
	boot_debian initrd -initrd "$CHECK_ROOT"/boot/initrd.img-*
	boot_debian direct
	rc=$(grep -c '^fail' "$CHECK_RESULTS" || true)
	printf '%d passed, %d failed\n' "$(grep -c '^pass' "$CHECK_RESULTS")" "$rc"
	[ "$rc" -eq 0 ] || exit 1
}
