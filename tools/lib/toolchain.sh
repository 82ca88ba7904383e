# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What builds kernels and modules: one rustc and one clang that share an LLVM,
# and a bindgen that is new enough.

llvm=22
bindgen_least=0.71.1

packages=(
	rustc-web rust-web-src cargo-web
	"clang-$llvm" "lld-$llvm" "llvm-$llvm" "libclang-$llvm-dev"
	gcc libc6-dev make flex bison bc cpio kmod libelf-dev libdw-dev libssl-dev
	dwarves python3 xz-utils busybox-static ca-certificates ccache
)

export LIBCLANG_PATH=/usr/lib/llvm-$llvm/lib

install_packages() {
	install "${packages[@]}"
}

new_enough_bindgen() {
	local version
	version=$(bindgen --version 2>/dev/null | awk '{ print $2 }') || return 1
	[ -n "$version" ] &&
		[ "$(printf '%s\n' "$bindgen_least" "$version" | sort -V | head -n 1)" = "$bindgen_least" ]
}

# start_bindgen, finish_bindgen - cargo builds it while other things happen
start_bindgen() {
	bindgen_job=""
	! new_enough_bindgen || return 0
	lock bindgen
	! new_enough_bindgen || return 0
	bindgen_log=$cache/logs/bindgen.log
	say "building bindgen with cargo in the background (log: $bindgen_log)"
	start "$bindgen_log" /usr/bin/cargo install bindgen-cli --locked --root "$cache/tools"
	bindgen_job=$started
}

finish_bindgen() {
	[ -n "$bindgen_job" ] || {
		unlock bindgen
		return 0
	}
	step "$cache/logs/bindgen-wait.log" "waiting for cargo to build bindgen" \
		tail --pid="$bindgen_job" -f "$bindgen_log"
	wait "$bindgen_job" || {
		errors_of "$bindgen_log"
		die "could not build bindgen $bindgen_least or newer: see $bindgen_log; is the crate registry reachable?"
	}
	hash -r
	unlock bindgen
}

# What a kernel build depends on besides its source and its configuration.
toolchain_version() {
	"clang-$llvm" --version | head -n 1
	/usr/bin/rustc --version
	bindgen --version
}
