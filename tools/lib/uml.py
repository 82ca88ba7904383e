# SPDX-License-Identifier: GPL-2.0
"""Guests on User-mode Linux: the kernel is a process, its root the host's.

A backend is a module with these functions: argv() says how to start the guest
so that guest-init (or something that ends in guest-run) runs as root inside,
with the host's file system readable at its own paths and the run directory
writable at /run/graceslab; the console is the process's output.
"""

import argparse
from pathlib import Path
from typing import List

TOOLS = Path(__file__).resolve().parent


def is_smp(kernel: Path) -> bool:
    """Whether the kernel in this build directory has several CPUs."""
    return 'CONFIG_SMP=y' in (kernel / '.config').read_text().splitlines()


def argv(kernel: Path, run: Path, options: argparse.Namespace, append: List[str]) -> List[str]:
    """The command that boots the kernel of this build directory."""
    if options.icount:
        raise SystemExit('error: User-mode Linux runs natively: --icount needs an x86_64 kernel')
    args = [
        str(kernel / 'linux'),
        'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro',
        f'init={TOOLS}/guest-init', f'graceslab_run={run}',
        f'mem={options.mem}', 'seccomp=on',
        'con0=fd:0,fd:1', 'con=null', 'loglevel=8',
        f'uml_dir={run}/', 'umid=uml',
    ]
    if is_smp(kernel):
        args.append(f'ncpus={options.cpus}')
    return args + append
