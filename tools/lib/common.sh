# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Where things live, how to speak, how to wait: shared by the shell tools.
# Source it from a script that has set -euo pipefail.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/graceslab

# rustup's proxies must not shadow the distribution's rustc, whose metadata
# (and LLVM) the kernel build relies on: another rustc ends in E0514.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$cache/tools/bin:$PATH

# The makes that are run here have nothing to do with the one that runs us.
unset MAKEFLAGS MFLAGS MAKELEVEL

say() {
	printf '%s\n' "$*" >&2
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# lock NAME - hold NAME until this process ends or unlocks it, for its children too;
# say so when that means waiting
declare -A lock_fd=()
lock() {
	local file=$cache/locks/$1 fd

	[[ " ${GS_LOCKS_HELD:-} " != *" $1 "* ]] || return 0
	export GS_LOCKS_HELD="${GS_LOCKS_HELD:-} $1"
	mkdir -p "$cache/locks"
	exec {fd}>>"$file"
	if ! flock -n "$fd"; then
		say "waiting for another run of $1 to end (lock $file)"
		flock "$fd"
	fi
	lock_fd[$1]=$fd
}

# unlock NAME - let others have what this process has locked itself
unlock() {
	local fd=${lock_fd[$1]:-}

	[ -n "$fd" ] || return 0
	exec {fd}>&-
	unset "lock_fd[$1]"
	export GS_LOCKS_HELD="${GS_LOCKS_HELD/ $1/}"
}

# start LOG COMMAND... - run COMMAND in the background, in a process group of
# its own that ends with this process; its id is in $started
children=()
start() {
	local log=$1
	shift

	mkdir -p "$(dirname "$log")"
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	set +m
	started=$!
	children+=("-$started")
}

end_children() {
	[ ${#children[@]} = 0 ] || kill -- "${children[@]}" 2>/dev/null || :
}
trap end_children EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step LOG WHAT COMMAND... - run COMMAND with its output in LOG, showing that it
# lives: seconds, steps done so far and the latest one
step() {
	local log=$1 what=$2 pid start=$SECONDS shown=0 status=0 now line width
	shift 2

	say "$what (log: $log)"
	start "$log" "$@"
	pid=$started
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		now=$((SECONDS - start))
		if [ -t 2 ]; then
			line=$(progress_line "$log")
			width=$(($(tput cols 2>/dev/null || echo 80) - 12))
			printf '\r\033[K  %4ds %s' "$now" "${line:0:width}" >&2
		elif [ $((now - shown)) -ge 20 ]; then
			shown=$now
			say "  ${now}s $(progress_line "$log")"
		fi
	done
	[ ! -t 2 ] || printf '\r\033[K' >&2
	wait "$pid" || status=$?
	[ "$status" != 0 ] || say "  done in $((SECONDS - start))s"
	return "$status"
}

# A build's lines look like "  CC      file"; anything else shows its last line.
progress_line() {
	local count now
	count=$(grep -acE '^ +[A-Z][A-Z]+ ' "$1" || :)
	if [ "$count" = 0 ]; then
		now=$(tail -n 1 "$1")
	else
		now="$count steps, now:$(grep -aE '^ +[A-Z][A-Z]+ ' "$1" | tail -n 1)"
	fi
	printf '%s' "$now" | tr -s ' \t\r' ' '
}

# errors_of LOG - the lines that most likely say what went wrong
errors_of() {
	{ grep -nE '(^| )(error|fatal|undefined)|error(\[E[0-9]+\])?:|\*\*\*|No space left' "$1" ||
		tail -n 15 "$1"; } | tail -n 15 >&2
}
