# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The kernel source: the user's own (LINUX_SRC, never written to), or the
# distribution's linux-source-$KERNEL, unpacked in the cache.

KERNEL=${KERNEL:-7.2}

source_dir() {
	if [ -n "${LINUX_SRC:-}" ]; then
		(cd "$LINUX_SRC" 2>/dev/null && pwd -P) ||
			die "LINUX_SRC=$LINUX_SRC is not a directory; point it at a kernel source tree"
	else
		printf '%s\n' "$cache/src/linux-source-$KERNEL"
	fi
}

# A directory under its final name is complete: it got it by a rename.
fetch_source() {
	local dir
	dir=$(source_dir)

	if [ -n "${LINUX_SRC:-}" ]; then
		[ -f "$dir/rust/kernel/lib.rs" ] ||
			die "LINUX_SRC=$dir is not a kernel source tree with Rust support"
		[ ! -e "$dir/.config" ] ||
			die "LINUX_SRC=$dir was built in place, which rules out building elsewhere: run 'make mrproper' there, or give a clean tree"
		return
	fi
	[ ! -d "$dir" ] || return 0
	lock "source-$KERNEL"
	if [ ! -d "$dir" ]; then
		install xz-utils
		download_source
		unpack_source "$dir"
	fi
	unlock "source-$KERNEL"
}

download_source() {
	local package=linux-source-$KERNEL
	mkdir -p "$cache/src/download"
	say "fetching $package (160 MB)"
	(cd "$cache/src/download" && download "$package") ||
		die "no suite has $package: set LINUX_SRC=/path/to/linux to a source tree of your own, or KERNEL= to another series"
}

unpack_source() {
	local dir=$1 deb partial=$1.partial

	deb=$(find "$cache/src/download" -name "linux-source-${KERNEL}_*.deb" | sort -V | tail -n 1)
	rm -rf "$partial"
	mkdir -p "$partial"
	if ! step "$cache/logs/unpack-$KERNEL.log" "unpacking linux-source-$KERNEL" \
		unpack_deb "$deb" "$partial"; then
		rm -rf "$partial" "$deb"
		die "could not unpack $deb (removed): check the free space of $cache and run again"
	fi
	mv "$partial" "$dir"
	rm -f "$deb"
}

unpack_deb() {
	set -o pipefail
	dpkg-deb --fsys-tarfile "$1" |
		tar -xO "./usr/src/linux-source-$KERNEL.tar.xz" |
		tar -xJ --strip-components=1 -C "$2" &&
		[ -f "$2/Makefile" ]
}

source_version() {
	make -s --no-print-directory -C "$(source_dir)" kernelversion
}

# linked_dir - where the private copy with a checkout linked in lives. One serves
# all checkouts, in turn: the kernel's own objects are the same for them all.
# Whoever builds or runs what was built from it holds hold_linked.
linked_dir() {
	printf '%s\n' "$cache/src/linked-$(source_key)"
}


hold_linked() {
	lock "linked-$(source_key)"
}

source_key() {
	local dir

	if [ -n "${LINUX_SRC:-}" ]; then
		dir=$(source_dir) || return
		printf 'own%s' "$(key "$dir")"
	else
		printf '%s' "$KERNEL"
	fi
}

key() {
	printf '%s' "$*" | sha256sum | cut -c 1-10
}

# copy_source - make the private copy, with some checkout linked in: hard links for
# everything but the two files that are changed, each of which is replaced, never
# edited in place. Nobody waits for another lock while holding this one.
copy_source() {
	local from dir partial version
	from=$(source_dir)
	dir=$(linked_dir)
	partial=$dir.partial
	version=$(source_version)

	lock "copy-$(source_key)"
	if [ "$(cat "$dir/.linked" 2>/dev/null)" != "$from $version" ]; then
		say "making a copy of the kernel source for checkouts to be linked into"
		rm -rf "$partial" "$dir"
		mkdir -p "$(dirname "$dir")"
		cp -al "$from" "$partial" 2>/dev/null || {
			rm -rf "$partial"
			cp -a --reflink=auto "$from" "$partial"
		}
		enter_option "$partial"
		printf '%s' "$from $version" >"$partial/.linked"
		mv "$partial" "$dir"
	fi
	[ -f "$dir/lib/graceslab/Kconfig" ] || ln -sfn "$checkout" "$dir/lib/graceslab"
	unlock "copy-$(source_key)"
}

# link_source - let the private copy point to this checkout
link_source() {
	hold_linked
	copy_source
	ln -sfn "$checkout" "$(linked_dir)/lib/graceslab"
}

# forget_other_checkout BUILD - remove what BUILD has of another checkout: its
# objects may be younger than the sources of this one
forget_other_checkout() {
	local this
	this="$checkout $(stat -c %d:%i "$checkout")"

	[ "$(cat "$1/.graceslab-checkout" 2>/dev/null)" != "$this" ] || return 0
	rm -rf "$1/lib/graceslab"
	printf '%s' "$this" >"$1/.graceslab-checkout"
}

# enter_option TREE - make lib/graceslab an option of that kernel's configuration
enter_option() {
	replace "$1/lib/Kconfig" 'source "lib/graceslab/Kconfig"' endmenu
	# shellcheck disable=SC2016
	replace "$1/lib/Makefile" 'obj-$(CONFIG_GRACESLAB) += graceslab/'
}

# replace FILE LINE [BEFORE] - the file with the line at its end, or before the last
# line that is BEFORE, unless it has it
replace() {
	local at=''

	! grep -qxF "$2" "$1" || return 0
	[ -z "${3:-}" ] || at=$(grep -nxF "$3" "$1" | tail -n 1 | cut -d : -f 1)
	if [ -n "$at" ]; then
		{ head -n $((at - 1)) "$1" && printf '%s\n\n' "$2" && tail -n +"$at" "$1"; } >"$1.new"
	else
		{ cat "$1" && printf '\n%s\n' "$2"; } >"$1.new"
	fi
	mv "$1.new" "$1"
}
