# SPDX-License-Identifier: GPL-2.0
"""Guests on x86_64 under virtme-ng, with the host's root over 9p.

uml.py says what a backend is.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List

TOOLS = Path(__file__).resolve().parent
CACHE = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'graceslab'
KVM_LIMIT = 20  # seconds; a guest under KVM is up after two or three
# An emulated CPU leaks nothing to a guest that is alone on it, and pays dearly for what prevents it;
# and a root that nobody writes to need not be fetched again for each program that is started.
FASTER = ['mitigations=off', 'no_timer_check',
          'rootflags=version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose',
          # A kernel without block devices wants the root to have a name.
          'root=/dev/root']


def command(kernel: Path, run: Path, cpus: str, mem: str, append: List[str]) -> List[str]:
    """The command without the question whether to use KVM."""
    tools = subprocess.run([TOOLS / 'vng-setup'], check=True, stdout=subprocess.PIPE,
                           text=True).stdout.strip()
    options = ['loglevel=8', *FASTER, *append]
    return [
        'env', f'PATH={tools}:/usr/sbin:/usr/bin:/sbin:/bin', 'vng', '--verbose', '--force-9p',
        '--run', str(kernel / 'arch' / 'x86' / 'boot' / 'bzImage'),
        '--user', 'root', '--cpus', cpus, '--memory', mem,
        '--cwd', '/', '--rwdir', f'/run/graceslab={run}',
        *[f'--append={option}' for option in options],
    ]


def kvm_boots(kernel: Path) -> bool:
    """Whether this kernel gets anywhere under KVM: /dev/kvm alone proves nothing.

    Asked once for each boot of the host.
    """
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return False
    boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    note = CACHE / 'kvm'
    if note.exists() and note.read_text().split()[:1] == [boot]:
        return note.read_text().split()[1:] == ['boots']
    print(f'trying whether KVM boots a guest (at most {KVM_LIMIT} s)', file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix='graceslab-kvm-') as run:
        argv = command(kernel, Path(run), '1', '512M', [])
        with subprocess.Popen([*argv, '--', 'touch /run/graceslab/up'], start_new_session=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as guest:
            try:
                guest.wait(KVM_LIMIT)
            except subprocess.TimeoutExpired:
                pass
            finally:
                try:
                    os.killpg(guest.pid, 9)
                except ProcessLookupError:
                    pass
        boots = (Path(run) / 'up').exists()
    note.write_text(f'{boot} {"boots" if boots else "hangs"}\n')
    print(f'  it does{"" if boots else " not"}; guests are {"" if boots else "not "}'
          f'accelerated (noted in {note})', file=sys.stderr, flush=True)
    return boots


def nodes(number: int, cpus: int, mem: str) -> List[str]:
    """Options that give each of some NUMA nodes its share of memory and CPUs."""
    if number == 1:
        return []
    size, unit = re.fullmatch(r'(\d+)([MG])', mem).groups()
    share = int(size) * (1024 if unit == 'G' else 1) // number
    each = cpus // number
    return [f'--numa={share}M,cpus={node * each}'
            f'-{(node + 1) * each - 1 if node < number - 1 else cpus - 1}'
            for node in range(number)]


def argv(kernel: Path, run: Path, options: argparse.Namespace, append: List[str]) -> List[str]:
    """The command that boots the kernel of this build directory."""
    # CPUs of one socket share a cache, and are of one node.
    cpus = f'{options.cpus}' if options.nodes < 2 else f'{options.cpus},sockets={options.nodes}'
    args = command(kernel, run, cpus, options.mem, append)
    args += nodes(options.nodes, options.cpus, options.mem)
    if options.icount:
        args += ['--disable-kvm', '--qemu-opts=-icount shift=0,sleep=off']
    elif not kvm_boots(kernel):
        # What a newer CPU can do takes longer to emulate.
        args += ['--disable-kvm', '--qemu-opts=-cpu Nehalem']
    return [*args, '--', str(TOOLS / 'guest-vng')]
