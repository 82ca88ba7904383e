# SPDX-License-Identifier: GPL-2.0
"""Guests on arm64, emulated by qemu, with the host's files over 9p.

uml.py says what a backend is. No program of the host's runs here: what is in the
guest's PATH is a busybox of its own, out of memory.
"""

import argparse
import os
import subprocess
from pathlib import Path
from typing import List

TOOLS = Path(__file__).resolve().parent
MOUNT = 'trans=virtio,version=9p2000.L,access=any,msize=512000'
MACHINE = ['-M', 'virt,gic-version=3', '-cpu', 'neoverse-n1', '-accel', 'tcg,thread=multi']


def initrd(run: Path) -> Path:
    """A root with two files, busybox and what it runs first."""
    busybox = subprocess.run([TOOLS / 'arm64-setup'], check=True, stdout=subprocess.PIPE,
                             text=True).stdout.strip()
    root = run / 'root'
    (root / 'bin').mkdir(parents=True)
    (root / 'bin' / 'busybox').symlink_to(busybox)
    (root / 'init').symlink_to(TOOLS / 'guest-arm64')
    image = run / 'initrd'
    image.write_bytes(subprocess.run(
        ['cpio', '--quiet', '-o', '-L', '-H', 'newc'], check=True, cwd=root,
        input=b'bin\nbin/busybox\ninit\n', stdout=subprocess.PIPE).stdout)
    return image


def shared(tag: str, path: Path, *options: str) -> List[str]:
    """A directory of the host's."""
    return ['-fsdev', ','.join((f'local,id={tag},path={path},security_model=none', *options)),
            '-device', f'virtio-9p-device,fsdev={tag},mount_tag={tag}']


def command(kernel: Path, run: Path, image: Path, options: argparse.Namespace,
            append: List[str]) -> List[str]:
    """The command, once there is an initrd."""
    return [
        'env', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'qemu-system-aarch64', *MACHINE,
        '-smp', str(options.cpus), '-m', options.mem,
        '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio',
        '-global', 'virtio-mmio.force-legacy=false',
        *shared('host', Path('/'), 'readonly=on', 'multidevs=remap'),
        *shared('run', run, 'multidevs=remap'),
        '-kernel', str(kernel / 'arch' / 'arm64' / 'boot' / 'Image'), '-initrd', str(image),
        '-append', ' '.join((
            'console=ttyAMA0', 'loglevel=8', 'panic=-1', 'mitigations=off',
            f'graceslab_init={TOOLS}/guest-init', f'graceslab_mount={MOUNT}', *append)),
    ]


def argv(kernel: Path, run: Path, options: argparse.Namespace, append: List[str]) -> List[str]:
    """The command that boots the kernel of this build directory."""
    if options.icount:
        raise SystemExit('error: --icount needs an x86_64 kernel')
    return command(kernel, run, initrd(run), options, append)
