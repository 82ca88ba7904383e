# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Packages: the machine's own suites first, then later suites through a
# private apt configuration in the cache. The machine's settings stay as they
# are: the private configuration is the machine's own mirror with another
# suite in its place.

apt_dir=${GS_APT_DIR:-/etc/apt}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "need root to run: $*; run it as root, or install sudo"
	fi
}

installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() {
	local p
	for p; do
		installed "$p" || printf '%s\n' "$p"
	done
}

codename() {
	# shellcheck disable=SC1091
	(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-sid}")
}

# own_sources SUITE - the machine's own mirror as deb822 text with its suite
# replaced: the stanza (or classic line) that names a plain suite, not
# something like bookworm-security
own_sources() {
	local suite=$1 files own

	own="^($(codename)|stable|oldstable|testing|unstable|sid)\$"
	files=$(find "$apt_dir/sources.list.d" -name '*.sources' 2>/dev/null | sort) || :
	# shellcheck disable=SC2086
	[ -z "$files" ] || awk -v suite="$suite" -v own="$own" '
		BEGIN { RS = ""; FS = "\n" }
		{
			plain = deb = 0; off = 0; text = ""; skip = 0
			for (i = 1; i <= NF; i++) {
				field = tolower($i)
				if (field ~ /^#/)
					continue
				if (field ~ /^suites:/) {
					n = split(substr($i, 8), s, /[ \t]+/)
					for (k = 1; k <= n; k++)
						if (s[k] ~ own)
							plain = 1
					text = text "Suites: " suite "\n"
					skip = 1
					continue
				}
				if (skip && field ~ /^[ \t]/)
					continue
				skip = 0
				if (field ~ /^types:/ && field ~ /deb([ \t]|$)/) {
					deb = 1
					text = text "Types: deb\n"
					continue
				}
				if (field ~ /^enabled:[ \t]*(no|false|0)/)
					off = 1
				if (field ~ /^(uris|components|signed-by|architectures|trusted|[ \t])/)
					text = text $i "\n"
			}
			if (plain && deb && !off && text ~ /main/) {
				print text
				exit
			}
		}' $files
	{ cat "$apt_dir/sources.list" "$apt_dir"/sources.list.d/*.list 2>/dev/null || :; } |
		awk -v suite="$suite" -v own="$own" '
		$1 == "deb" {
			options = ""
			at = 2
			if ($2 ~ /^\[/) {
				while ($at !~ /\]$/ && at < NF)
					options = options " " $(at++)
				options = options " " $(at++)
				gsub(/[][]/, "", options)
			}
			if ($(at + 1) !~ own || $0 !~ / main/)
				next
			print "Types: deb\nURIs: " $at "\nSuites: " suite
			printf "Components:"
			for (i = at + 2; i <= NF; i++)
				printf " %s", $i
			print ""
			n = split(options, o, " ")
			for (i = 1; i <= n; i++) {
				split(o[i], kv, "=")
				if (kv[1] == "signed-by")
					print "Signed-By: " kv[2]
			}
			exit
		}'
}

# in_suite SUITE COMMAND... - an apt command that sees SUITE of the machine's
# mirror, beside nothing else; its lists and downloads are in the cache. Where
# $foreign names an architecture, so for that one
in_suite() {
	local suite=$1 dir=$cache/apt/$1${foreign:+-$foreign} command=$2
	shift 2

	"$command" -q ${foreign:+-o APT::Architecture="$foreign" -o APT::Architectures="$foreign"} \
		-o Dir::Etc::sourcelist=/dev/null \
		-o Dir::Etc::sourceparts="$dir/sources" \
		-o Dir::State::lists="$dir/lists" \
		-o Dir::Cache="$dir/cache" \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

# open_suite SUITE - fetch its package lists, once a day; false when there is
# no such suite on the mirror
open_suite() {
	local suite=$1 dir=$cache/apt/$1${foreign:+-$foreign}
	local stamp=$dir/fetched

	[ -z "$(find "$stamp" -mmin -1440 2>/dev/null)" ] || return 0
	mkdir -p "$dir/sources" "$dir/lists/partial" "$dir/cache/archives/partial"
	own_sources "$suite" | awk 'NF == 0 && seen { exit } { print; seen = 1 }' \
		>"$dir/sources/suite.sources"
	[ -s "$dir/sources/suite.sources" ] || return 1
	say "looking into suite $suite${foreign:+ for $foreign}"
	in_suite "$suite" apt-get -o APT::Update::Error-Mode=any update \
		>"$dir/update.log" 2>&1 || return 1
	touch "$stamp"
}

candidate() {
	apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# suite_candidate SUITE PACKAGE - the version that SUITE has, if any
suite_candidate() {
	in_suite "$1" apt-cache policy "$2" 2>/dev/null |
		awk '$1 ~ /^[0-9]/ || $1 == "***" { v = $1 == "***" ? $2 : $1 }
		     /Packages$/ && v { print v; exit }'
}

# download PACKAGE - the .deb of PACKAGE into the current directory, from the
# first suite that has it
download() {
	local package=$1 suite tried

	if [ -n "$(candidate "$package")" ] && apt-get -q download "$package" >&2; then
		return
	fi
	tried="the machine's own suites"
	for suite in $(next_suites); do
		tried="$tried, $suite"
		open_suite "$suite" || continue
		[ -n "$(suite_candidate "$suite" "$package")" ] || continue
		say "$package: downloading from $suite"
		in_suite "$suite" apt-get download "$package" >&2 && return
	done
	say "$package was found in none of: $tried"
	return 1
}

# download_foreign ARCH PACKAGE - the same for another architecture, which the
# machine does not become one of
download_foreign() {
	local foreign=$1 package=$2 suite
	for suite in "$(codename)" $(next_suites); do
		open_suite "$suite" || continue
		[ -n "$(suite_candidate "$suite" "$package")" ] || continue
		in_suite "$suite" apt-get download "$package" >&2 && return
	done
	say "$package for $foreign was not found: has the machine's mirror that architecture?"
	return 1
}

# Suites that packages may be read from, not installed: nearest first.
next_suites() {
	local own suite
	own=$(codename)
	for suite in "$own-backports" trixie-backports forky-backports forky sid; do
		printf '%s\n' "$suite"
	done | awk '!seen[$0]++'
}

apt_update() {
	if [ -z "${apt_updated:-}" ]; then
		say "updating the package lists"
		as_root apt-get -q update >&2 || say "apt-get update failed; trying with the lists there are"
		apt_updated=1
	fi
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q install -y --no-install-recommends "$@"
}

# install PACKAGE... - whatever of it is missing
install() {
	local wanted unknown="" p log=$cache/logs/packages.log

	mapfile -t wanted < <(missing_packages "$@")
	[ ${#wanted[@]} != 0 ] || return 0
	as_root true	# a password is asked for here, not in the background
	for p in "${wanted[@]}"; do
		[ -n "$(candidate "$p")" ] || apt_update
	done
	for p in "${wanted[@]}"; do
		[ -n "$(candidate "$p")" ] || unknown="$unknown $p"
	done
	if [ -n "$unknown" ]; then
		install_from_next "${wanted[@]}" ||
			die "neither this machine's suites nor $(codename)-backports have:$unknown; add the security suite to apt's sources, or install it by hand"
		return
	fi
	step "$log" "installing ${wanted[*]}" apt_install "${wanted[@]}" && return
	apt_update	# the lists may be older than the mirror
	step "$log" "installing ${wanted[*]}" apt_install "${wanted[@]}" && return
	install_from_next "${wanted[@]}" && return
	tail -n 15 "$log" >&2
	die "could not install ${wanted[*]}: try 'apt-get install ${wanted[*]}' yourself (log: $log)"
}

# install_from_next PACKAGE... - for what the own suites have, but not in a
# version that fits what is installed: with this release's backports beside
# them
install_from_next() {
	local suite
	suite=$(codename)-backports
	local log=$cache/logs/packages-$suite.log dir=$cache/apt/$suite

	open_suite "$suite" || return 1
	mkdir -p "$dir/both"
	cp "$dir/sources/suite.sources" "$dir/both/next.sources"
	cp "$apt_dir"/sources.list.d/*.sources "$apt_dir"/sources.list.d/*.list "$dir/both/" 2>/dev/null || :
	[ ! -f "$apt_dir/sources.list" ] || cp "$apt_dir/sources.list" "$dir/both/machine.list"
	step "$log" "installing $* with $suite" with_both "$dir" "$suite" "$@"
}

with_both() {
	local dir=$1 suite=$2 o
	shift 2

	o=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/both"
		-o "Dir::State::lists=$dir/both-lists" -o "Dir::Cache=$dir/cache")
	mkdir -p "$dir/both-lists/partial"
	as_root apt-get -q "${o[@]}" update &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "${o[@]}" \
			install -y --no-install-recommends -t "$suite" "$@"
}

# python_env PACKAGE VERSION [NEEDS...] - PACKAGE of the Python index in an
# environment of its own in the cache, after the packages that it NEEDS; its
# directory is in $python_env
python_env() {
	local package=$1 version=$2 dir=$cache/tools/$1-$2
	shift 2

	python_env=$dir
	if [ -f "$dir/.complete" ] && [ -z "$(missing_packages "$@")" ]; then
		return
	fi
	lock "$package"
	install python3-venv "$@"
	[ ! -f "$dir/.complete" ] || return 0
	rm -rf "$dir"
	/usr/bin/python3 -m venv "$dir" ||
		die "could not make a Python environment in $dir: is python3-venv whole?"
	step "$cache/logs/$package.log" "installing $package $version" \
		"$dir/bin/pip" install --disable-pip-version-check "$package==$version" ||
		die "pip could not install $package $version: see $cache/logs/$package.log; is the package index reachable?"
	touch "$dir/.complete"
}
