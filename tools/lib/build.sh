# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Configuring and building one kernel in the cache. The directory's name holds
# what was asked for (series, configuration, fragment); its stamp holds what it
# was built from, and is written last, so that an interrupted build is continued.

build_dir() {
	local config=$1 name flags source
	source=$(source_key) || return
	name=$(basename "$config" .config)
	flags=$(header "$config" kcflags)

	printf '%s\n' "$cache/build/$source-$name-$(key "$(fragment "$config")" "$(header "$config" tree)" ${flags:+"$flags"})"
}

build_source() {
	case $(header "$1" tree) in
	private | linked) linked_dir ;;
	*) source_dir ;;
	esac
}

kernel_make() {
	local config=$1
	shift
	# Where another checkout is linked in, all its files are new.
	[ "$(header "$config" tree)" != linked ] || through_ccache "clang-$llvm"
	make -C "$(build_source "$config")" O="$(build_dir "$config")" \
		ARCH="$(header "$config" arch)" LLVM="-$llvm" KCFLAGS="$(header "$config" kcflags)" \
		-j"$(nproc)" "$@"
}

# prepare - everything that a configuration step needs
prepare() {
	if [ -n "$(missing_packages "${packages[@]}")" ]; then
		lock packages
		install_packages
		unlock packages
	fi
	start_bindgen
	fetch_source
	finish_bindgen
}

# begin CONFIG DIR - the directory of a build, empty or with what another one has compiled
begin() {
	local config=$1 dir=$2 from
	[ ! -d "$dir" ] || return 0
	from=$(header "$config" from)
	if [ -n "$from" ]; then
		from=$(build_dir "$from")
		rm -rf "$dir.partial"
		cp -a "$from" "$dir.partial"
		rm -f "$dir.partial"/.graceslab-*
		mv "$dir.partial" "$dir"
	fi
	mkdir -p "$dir"
}

configure() {
	local config=$1 dir log lost asked
	dir=$(build_dir "$config")
	log=$cache/logs/$(basename "$dir")-config.log
	asked=$dir/.graceslab-asked

	begin "$config" "$dir"
	case $(header "$config" tree) in
	private) copy_source ;;
	linked)
		link_source
		forget_other_checkout "$dir"
		;;
	esac
	fragment "$config" >"$asked.new"
	if [ -f "$dir/.config" ] && cmp -s "$asked.new" "$asked" &&
		[ -z "$(lost_symbols "$asked" "$dir/.config")" ]; then
		rm "$asked.new"
		return
	fi
	rm -f "$asked"
	cp "$asked.new" "$dir/.config"
	step "$log" "configuring $(basename "$dir")" kernel_make "$config" olddefconfig || {
		errors_of "$log"
		die "could not configure $config: see $log"
	}
	lost=$(lost_symbols "$asked.new" "$dir/.config")
	if [ -n "$lost" ]; then
		rm -f "$dir/.config"
		printf '%s\n' "$lost" >&2
		die "$config: the kernel's configuration lost $(printf '%s\n' "$lost" | sed 's/ (got.*//; s/^# //' | paste -sd,): see their dependencies, or take them out of $(fragment_file "$config")"
	fi
	mv "$asked.new" "$asked"
}

build_stamp() {
	source_version
	fragment "$1"
	toolchain_version
}

# A build from sources that are not ours to freeze is always run through make.
fresh() {
	[ -z "${LINUX_SRC:-}" ] && [ "$(header "$1" tree)" != linked ] &&
		[ -f "$2/.graceslab-stamp" ] &&
		build_stamp "$1" 2>/dev/null | cmp -s - "$2/.graceslab-stamp"
}

build() {
	local config=$1 dir log from
	dir=$(build_dir "$config")
	log=$cache/logs/$(basename "$dir").log

	! fresh "$config" "$dir" || return 0
	prepare
	from=$(header "$config" from)
	[ -z "$from" ] || [ -d "$dir" ] || "$checkout/tools/kernel" build "$from"
	[ "$(header "$config" tree)" != linked ] || hold_linked
	lock "$(basename "$dir")"
	! fresh "$config" "$dir" || return 0
	rm -f "$dir/.graceslab-stamp"
	configure "$config"
	step "$log" "building kernel $(basename "$dir"), minutes the first time" \
		kernel_make "$config" || {
		errors_of "$log"
		die "the kernel build of $config failed: see $log; running the same command again continues it"
	}
	build_stamp "$config" >"$dir/.graceslab-stamp"
}
