# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Kernels and the programs that run in them.

need tree

# shellcheck disable=SC2034 # for exec
KERNELS=(stock gmem debug)

# Nothing that differs between two trees or two days may enter an object, or
# the trees could not share one ccache.
build_env() {
	export CCACHE_DIR=$CACHE/ccache CCACHE_BASEDIR=$1 CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=12G
	export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
	export KBUILD_BUILD_USER=gmem KBUILD_BUILD_HOST=gmem KBUILD_BUILD_VERSION=1
	export LC_ALL=C
	unset MAKEFLAGS ARCH CROSS_COMPILE O KBUILD_OUTPUT
}

kbuild() {
	local tree=$1

	shift
	build_env "$tree"
	make -C "$tree" -j"$JOBS" ARCH=x86 CC='ccache gcc' "$@"
}

# The fragments a kernel is configured from.
fragments() {
	if [ "$1" = cloud ]; then
		echo "$TOP/configs/deb.config"
		return
	fi
	echo "$TOP/configs/test.config"
	[ "$1" = stock ] || echo "$TOP/configs/ours.config"
	[ "$1" != debug ] || echo "$TOP/configs/debug.config"
}

# Settings of the fragments that did not survive.
config_lost() {
	local config=$1

	shift
	awk '
	FILENAME != config {
		if ($0 ~ /^CONFIG_[A-Za-z0-9_]+=/) { split($0, kv, "="); want[kv[1]] = $0 }
		if ($0 ~ /^# CONFIG_[A-Za-z0-9_]+ is not set/) want[$2] = $2 "=n"
		next
	}
	/^CONFIG_/ { split($0, kv, "="); have[kv[1]] = $0 }
	END {
		for (s in want) {
			if (want[s] ~ /=n$/ ? s in have : have[s] != want[s])
				print want[s]
		}
	}' config="$config" "$@" "$config"
}

# base_config NAME: what the fragments are laid over
base_config() {
	case $1 in
	cloud)	cloud_config >"$BUILD/$1/.config";;
	*)	kbuild "$BUILD/$1" -s tinyconfig;;
	esac
}

configure() {
	local name=$1 tree=$BUILD/$1 lost
	local -a frags

	mapfile -t frags < <(fragments "$name")
	base_config "$name"
	(cd "$tree" && scripts/kconfig/merge_config.sh -m .config "${frags[@]}")
	kbuild "$tree" -s olddefconfig
	lost=$(config_lost "$tree/.config" "${frags[@]}")
	[ -z "$lost" ] || say "warning: the $name kernel cannot have ${lost//$'\n'/ }"
}

build_packages() {
	packages gcc make flex bison bc libelf-dev libssl-dev libc6-dev cpio ccache perl python3 \
		xz-utils patch rsync
}

# kernel NAME [TARGET]: build it if anything it is made of has changed
kernel() {
	local name=$1 target=${2:-bzImage} tree=$BUILD/$1 id config_id
	local -a frags

	build_packages
	tree "$name"
	mapfile -t frags < <(fragments "$name")
	id="$PRISTINE_ID $(gcc -dumpfullversion) $(hash_of "${frags[@]}" "$TOP/harness/build.sh")"
	config_id=$id
	if [ "$name" != stock ]; then
		config_id+=" $(find "$STAGE" -name 'Kconfig*' -exec sha256sum {} + | sort | sha256sum)"
		id+=" $(cat "$BUILD/.stage")"
	fi
	stamped "$tree/.gmem-built" "$id" && return 0
	rm -f "$tree/.gmem-built"
	stamped "$tree/.gmem-configured" "$config_id" ||
		step "configuring the $name kernel" "$BUILD/log/config-$name.log" configure "$name"
	printf '%s\n' "$config_id" >"$tree/.gmem-configured"
	step "building the $name kernel" "$BUILD/log/build-$name.log" kbuild "$tree" "$target"
	printf '%s\n' "$id" >"$tree/.gmem-built"
}
