# SPDX-License-Identifier: GPL-2.0
#
# The commands of this project. What kbuild reads is Kbuild.

help:
	@echo 'make run      the main job: boot a kernel, load graceslab and the gs_kv sample,'
	@echo '              feed it with readers racing writers, unload with frees pending'
	@echo 'make test     everything that CI runs; ends with one line of counts'
	@echo 'make kunit    the KUnit suites, through the kernel'"'"'s kunit.py on UML'
	@echo 'make vm-test  the real .ko files on x86_64 under virtme-ng'
	@echo 'make modules KDIR=/path/to/kernel/build [ARCH=...]'
	@echo '              build the modules against a kernel of yours, into build/'
	@echo 'make modules_install KDIR=... [INSTALL_MOD_PATH=...]'
	@echo 'make clean    remove build/ (kernels stay in the cache: see tools/kernel list)'
	@echo
	@echo 'KERNEL=7.2 or 7.3 picks the kernel series, LINUX_SRC=/path a source tree of yours.'
	@echo 'Not built yet: make bench, make matrix.'

run test kunit:
	@tools/$@

vm-test:
	@tools/test guest-x86 kunit-ko-x86 run-x86 vm

bench matrix:
	@echo 'error: make $@ is not built yet; make test runs all tests there are' >&2; exit 1

modules modules_install: kdir
	@tools/modules $(if $(filter modules,$@),build,install) '$(KDIR)' $(ARCH)

kdir:
	@[ -n '$(KDIR)' ] || { echo 'error: which kernel? make modules KDIR=/path/to/its/build, such as KDIR=$$(tools/kernel dir uml)' >&2; exit 1; }

clean:
	rm -rf build

.PHONY: help run test kunit vm-test bench matrix modules modules_install kdir clean
