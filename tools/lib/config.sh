# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Kernel configurations: a fragment in tools/configs each. Its header says
#   # arch: NAME      the kernel's ARCH
#   # base: NAME      another fragment that comes first; this one's lines win
#   # tree: private   build from a private copy of the source, which a checkout can be
#                     linked into
#   # tree: linked    the same, with the checkout linked in
#   # from: NAME      begin with a copy of that build, which is mostly the same
#   # kcflags: FLAGS  more flags for clang
#   # guest: OPTIONS  of tools/guest run, for every guest of this kernel

configs() {
	local f
	for f in "$checkout"/tools/configs/*.config; do
		basename "$f" .config
	done
}

# fragment_file CONFIG - a name from tools/configs, or the path of a fragment
fragment_file() {
	case $1 in
	*/*) [ -f "$1" ] || die "no such fragment: $1"; printf '%s\n' "$1" ;;
	*)
		[ -f "$checkout/tools/configs/$1.config" ] ||
			die "no configuration $1; there are: $(configs | xargs)"
		printf '%s\n' "$checkout/tools/configs/$1.config"
		;;
	esac
}

header() {
	local file base value
	file=$(fragment_file "$1")
	value=$(sed -n "s/^# $2: *//p" "$file" | head -n 1)
	if [ -z "$value" ] && [ "$2" != base ] && [ "$2" != from ]; then
		base=$(header "$1" base)
		[ -z "$base" ] || value=$(header "$base" "$2")
	fi
	printf '%s' "$value"
}

# fragment CONFIG - every symbol it asks for, its base's included, one line each
fragment() {
	local file base
	file=$(fragment_file "$1")
	base=$(header "$1" base)
	{
		[ -z "$base" ] || fragment "$base"
		grep -E '^(CONFIG_[A-Za-z0-9_]+=|# CONFIG_[A-Za-z0-9_]+ is not set$)' "$file"
	} | awk '
		{ symbol = $1 == "#" ? $2 : substr($0, 1, index($0, "=") - 1) }
		!(symbol in line) { order[++n] = symbol }
		{ line[symbol] = $0 }
		END { for (i = 1; i <= n; i++) print line[order[i]] }'
}

# lost_symbols FRAGMENT DOTCONFIG - what was asked for and does not hold; a
# symbol asked to be off may also be absent
lost_symbols() {
	awk '
		FNR == NR { if (/^CONFIG_/) have[substr($0, 1, index($0, "=") - 1)] = $0; next }
		/^CONFIG_/ {
			symbol = substr($0, 1, index($0, "=") - 1)
			if (have[symbol] != $0)
				print $0 " (got: " (symbol in have ? have[symbol] : "not set") ")"
			next
		}
		/^# CONFIG_/ && $2 in have { print $0 " (got: " have[$2] ")" }
	' "$2" "$1"
}
