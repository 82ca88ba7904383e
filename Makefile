# SPDX-License-Identifier: GPL-2.0
#
# The commands of this project. What kbuild reads is Kbuild.

help:
	@echo 'make run      the main job: boot a kernel, load graceslab and the gs_kv sample,'
	@echo '              feed it with readers racing writers, unload with frees pending'
	@echo 'make test     everything that CI runs; ends with one line of counts'
	@echo 'make kunit    the KUnit suites, through the kernel'"'"'s kunit.py on UML'
	@echo 'make vm-test  the real .ko files on x86_64 under virtme-ng'
	@echo 'make bench    graceslab and the kernel'"'"'s own functions, side by side; BASE=file.json'
	@echo '              compares with the results of an earlier run'
	@echo 'make torture  everything at once for a minute: SECONDS=, SEED=, CONFIG='
	@echo 'make mutants  break the module in small ways, and see that tests notice (long)'
	@echo 'make matrix   the tests on every kernel configuration, hours; CELL=NAME runs one of'
	@echo '              them, tools/matrix --list shows them'
	@echo 'make modules KDIR=/path/to/kernel/build [ARCH=...]'
	@echo '              build the modules against a kernel of yours, into build/;'
	@echo '              CLIPPY=1 has clippy look at them, and be content'
	@echo 'make modules_install KDIR=... [INSTALL_MOD_PATH=...]'
	@echo '              graceslab.ko and the samples, into /lib/modules'
	@echo 'make docs     the documentation, into build/docs'
	@echo 'make in-tree LINUX=/path/to/linux'
	@echo '              copy the module into a kernel tree, as an option of its configuration'
	@echo 'make rust-analyzer KDIR=...'
	@echo '              write rust-project.json for editors'
	@echo 'make clean    remove build/ (kernels stay in the cache: see tools/kernel list)'
	@echo
	@echo 'KERNEL=7.2 or 7.3 picks the kernel series, LINUX_SRC=/path a source tree of yours.'

run test kunit mutants:
	@tools/$@

vm-test:
	@tools/test guest-x86 kunit-ko-x86 run-x86 vm-all

bench:
	@tools/bench $(if $(BASE),--base '$(BASE)')

torture:
	@tools/torture $(or $(CONFIG),uml) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

matrix:
	@tools/matrix $(CELL)

modules modules_install: kdir
	@tools/modules $(if $(filter modules,$@),build,install) '$(KDIR)' '$(ARCH)' $(if $(CLIPPY),CLIPPY=$(CLIPPY))

rust-analyzer: kdir
	@tools/rust-analyzer '$(KDIR)' $(ARCH)

docs:
	@tools/docs

in-tree:
	@tools/in-tree '$(LINUX)'

kdir:
	@[ -n '$(KDIR)' ] || { echo 'error: which kernel? make $(or $(firstword $(MAKECMDGOALS)),modules) KDIR=/path/to/its/build, such as KDIR=$$(tools/kernel dir uml)' >&2; exit 1; }

clean:
	rm -rf build

.PHONY: help torture run test kunit mutants vm-test bench matrix modules modules_install kdir docs in-tree rust-analyzer clean
