# SPDX-License-Identifier: GPL-2.0
"""Guests on arm64: how they are started, without one."""

import argparse
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS / 'lib'))
sys.dont_write_bytecode = True

import arm64  # noqa: E402

LOADER = SourceFileLoader('guest', str(TOOLS / 'guest'))
guest = module_from_spec(spec_from_loader('guest', LOADER))
LOADER.exec_module(guest)

OPTIONS = argparse.Namespace(cpus=3, mem='2G', icount=False)


class Arm64(unittest.TestCase):
    """What qemu is asked for."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.run_dir = Path(holder.name)

    def test_backend(self):
        for symbol, backend in (('ARM64', 'arm64'), ('X86_64', 'vng'), ('UML', 'uml')):
            (self.run_dir / '.config').write_text(f'CONFIG_{symbol}=y\n')
            self.assertEqual(guest.backend_for(self.run_dir).__name__, backend)

    def test_command(self):
        words = arm64.command(Path('/k'), self.run_dir, Path('/i'), OPTIONS, ['one=1', 'two'])
        pairs = list(zip(words, words[1:]))
        for pair in (('-smp', '3'), ('-m', '2G'), ('-initrd', '/i'),
                     ('-kernel', '/k/arch/arm64/boot/Image')):
            self.assertIn(pair, pairs)
        (arguments,) = [after for before, after in pairs if before == '-append']
        self.assertTrue(arguments.endswith(' one=1 two'), arguments)
        self.assertIn('console=ttyAMA0 ', arguments)

    def test_host_is_read_only(self):
        words = arm64.command(Path('/k'), self.run_dir, Path('/i'), OPTIONS, [])
        shared = {word.split('path=')[1].split(',')[0]: word
                  for word in words if word.startswith('local,')}
        self.assertEqual(set(shared), {'/', str(self.run_dir)})
        self.assertIn(',readonly=on', shared['/'])
        self.assertNotIn('readonly', shared[str(self.run_dir)])

    def test_initrd(self):
        busybox = self.run_dir / 'some-busybox'
        busybox.write_text('machine code')
        run = subprocess.run

        def fake(command, **kwargs):
            if command == [TOOLS / 'lib' / 'arm64-setup']:
                return argparse.Namespace(stdout=f'{busybox}\n')
            return run(command, **kwargs)
        with mock.patch.object(arm64.subprocess, 'run', fake):
            image = arm64.initrd(self.run_dir).read_bytes()
        self.assertIn(b'machine code', image)
        self.assertIn((TOOLS / 'lib' / 'guest-arm64').read_bytes(), image)

    def test_icount(self):
        with self.assertRaises(SystemExit):
            arm64.argv(Path('/k'), self.run_dir, argparse.Namespace(icount=True), [])


if __name__ == '__main__':
    unittest.main()
