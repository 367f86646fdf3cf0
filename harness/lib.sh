# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What every verb needs: where things are, messages, progress, packages.

# shellcheck disable=SC2034 # for the pieces
CACHE=${GMEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gmem}
BUILD=${GMEM_BUILD:-$TOP/build}
# shellcheck disable=SC2034
JOBS=${GMEM_JOBS:-$(($(nproc) + 1))}
# The verb's own stderr, for messages from inside a redirected step.
exec {MSG}>&2
declare -A SOURCED=()

# need PIECE...: source harness/PIECE.sh once
need() {
	local piece

	for piece; do
		[ -z "${SOURCED[$piece]:-}" ] || continue
		SOURCED[$piece]=1
		# shellcheck source=/dev/null
		. "$TOP/harness/$piece.sh"
	done
}

say() {
	printf '%s\n' "$*" >&"$MSG"
}

# die WHAT WHAT-TO-DO [STATUS]
die() {
	say "dev: $1: $2"
	exit "${3:-1}"
}

# optarg OPTION VALUE...: the value an option must have
optarg() {
	[ $# -ge 2 ] || die "$1 needs a value" "see --help"
	printf '%s' "$2"
}

# Seconds as people read them.
clock() {
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# step TITLE LOG COMMAND...: run the command with its output in LOG and show
# that it is alive. The command's end is seen as the end of its pipe, which
# carries nothing: a read whose time runs out loses what it had begun to read.
# Without the colon, the subshell would become the command, its stdout the log.
step() {
	local title=$1 log=$2 start=$SECONDS fd pid now rc

	shift 2
	mkdir -p "$(dirname "$log")"
	: >"$log"
	exec {fd}< <(set -e; "$@" >"$log" 2>&1 </dev/null; :)
	pid=$!
	while :; do
		rc=0
		read -r -t "$([ -t "$MSG" ] && echo 2 || echo 20)" <&"$fd" || rc=$?
		# More than 128 says that time has passed, nothing else.
		[ $rc -gt 128 ] || break
		now=$(clock $((SECONDS - start)))
		if [ -t "$MSG" ]; then
			printf '\r%s: %s, %d lines of log\033[K' "$title" "$now" \
				"$(wc -l <"$log")" >&"$MSG"
		else
			say "$title: $now, $(wc -l <"$log") lines of log"
		fi
	done
	exec {fd}<&-
	now=$((SECONDS - start))
	[ ! -t "$MSG" ] || printf '\r\033[K' >&"$MSG"
	if ! wait "$pid"; then
		grep -nE '([Ee]rror|ERROR|failed|undefined|FAILED)' "$log" | tail -n 20 >&"$MSG" ||
			tail -n 20 "$log" >&"$MSG"
		die "$title failed" "read $log"
	fi
	[ $now -lt 2 ] || say "$title: $(clock $now)"
}

# as_root COMMAND...
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root, and there is no sudo" "install by hand: ${*: -1}"
	fi
}

# packages NAME...: install those Debian packages that are missing
packages() {
	local missing

	missing=$(comm -23 <(printf '%s\n' "$@" | sort -u) \
		<({ dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
			sed -n 's/^installed //p' | sort -u))
	[ -n "$missing" ] || return 0
	say "installing Debian packages: ${missing//$'\n'/ }"
	# shellcheck disable=SC2086
	step "apt-get install" "$BUILD/log/apt.log" install_packages $missing
}

install_packages() {
	export DEBIAN_FRONTEND=noninteractive

	as_root apt-get -qq update
	as_root apt-get -y -q --no-install-recommends install "$@"
}

# Hash of the contents and names of those files and directories that exist.
hash_of() {
	{ find "$@" -type f -print0 2>/dev/null || true; } | LC_ALL=C sort -z |
		xargs -0 -r sha256sum | sed "s,$TOP/,," | sha256sum | cut -d ' ' -f 1
}

# stamped FILE VALUE: does the stamp hold this value?
stamped() {
	[ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

# lock_build [NAME]: only one build at a time in one build directory, and one
# of each name; boots are not held up.
lock_build() {
	mkdir -p "$BUILD/log"
	exec {LOCK}>"$BUILD/.lock${1:+-$1}"
	if ! flock -n "$LOCK"; then
		say "waiting for another ./dev that builds here"
		flock "$LOCK"
	fi
}

unlock_build() {
	exec {LOCK}>&-
}
