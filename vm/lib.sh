# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the guest scripts share. Each of their tests prints one line,
# "vm: NAME: ok" or "vm: NAME: FAIL: why", which tools/vm-test counts. A script
# sets $test, its name, and $modules, where the modules are.

: "${test:?}" "${modules:?}"

say() {
	printf '%s\n' "$*"
}

ok() {
	say "vm: $test: ok${1:+ ($1)}"
}

fail() {
	say "vm: $test: FAIL: $*"
	exit 1
}

# The kernel's messages since the last mark, without their time.
mark() {
	marks=$((${marks:-0} + 1))
	marker="vm: mark $test $$ $marks"
	echo "$marker" >/dev/kmsg
}

klog() {
	dmesg | sed 's/^\[[^]]*\] //' | awk -v marker="$marker" '
		found; index($0, marker) { found = 1 }'
}

# last REGEX - the last message since the mark that REGEX (a sed one) matches,
# or rather what it captures
last() {
	klog | sed -n "s/.*$1.*/\\1/p" | tail -n 1
}

loaded() {
	grep -q "^$1 " /proc/modules
}

# load FILE [PARAMETER...] - a module of ours
load() {
	name=$1
	shift
	insmod "$modules/$name" "$@" || fail "insmod $name $*"
}

unload() {
	rmmod "$@" || fail "rmmod $*"
}

# churn_gone - unload gs_churn, then graceslab; both must have given everything
# back. Sets $churned, what was done.
churn_gone() {
	unload gs_churn
	[ "$(last 'gs_churn: exit: \([0-9]*\) pending')" -gt 0 ] ||
		fail "nothing was pending when gs_churn was unloaded"
	said=$(last 'gs_churn: \(destroyed: .*\)')
	# shellcheck disable=SC2046 # numbers
	set -- $(echo "$said" | tr -c '0-9\n-' ' ')
	[ $# = 7 ] || fail "gs_churn did not say what became of its objects"
	if [ "$1" != 0 ] || [ "$2" = 0 ] || [ "$3" = 0 ] || [ "$3" != "$4" ] ||
		[ "$6" != 0 ] || [ "$7" != 0 ]; then
		fail "gs_churn: $said"
	fi
	# shellcheck disable=SC2034 # for the script
	churned="$2 allocations and $3 frees of gs_churn"
	pointers=$5
	unload graceslab
	freed=$(last 'graceslab: unloaded; \([0-9]*\) pointers of others were freed')
	kv_pointers=$(last 'gs_kv: \([0-9]*\) pointers were given')
	[ "$freed" = $((pointers + ${kv_pointers:-0})) ] ||
		fail "$pointers and ${kv_pointers:-0} pointers were given to kvfree_rcu, and $freed freed"
}
