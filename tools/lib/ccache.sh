# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What has been compiled before, in whatever checkout, is not compiled again.

# through_ccache CLANG - set $cc to kbuild's CC= for it, or to nothing without ccache
through_ccache() {
	cc=''
	command -v ccache >/dev/null || return 0
	# shellcheck disable=SC2034 # for the caller
	cc="CC=ccache $1"
	export CCACHE_DIR="${CCACHE_DIR:-$cache/ccache}" CCACHE_NOHASHDIR=1
	export CCACHE_BASEDIR="$checkout"
}
