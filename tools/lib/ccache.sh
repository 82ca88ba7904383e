# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What has been compiled before, in whatever checkout, is not compiled again.

# through_ccache CLANG - from here on that name is ccache's, if there is one. The name
# stays the same, as kbuild compiles anew whatever another one has compiled.
through_ccache() {
	local links=$cache/tools/ccache ccache
	ccache=$(command -v ccache) || return 0
	mkdir -p "$links"
	[ -e "$links/$1" ] || ln -sf "$ccache" "$links/$1"
	export PATH="$links:$PATH"
	export CCACHE_DIR="${CCACHE_DIR:-$cache/ccache}" CCACHE_NOHASHDIR=1
	export CCACHE_BASEDIR="$checkout"
}
