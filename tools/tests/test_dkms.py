# SPDX-License-Identifier: GPL-2.0
"""dkms.conf, as DKMS reads it: a shell script, with the kernel's directory set."""

import subprocess
import tempfile
import unittest
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def setting(name: str) -> str:
    """What dkms.conf sets."""
    done = subprocess.run(
        ['bash', '-euc', f'kernel_source_dir=/the/kernel; . {CHECKOUT}/dkms.conf; echo "${{{name}}}"'],
        stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class Dkms(unittest.TestCase):
    """What it names is there."""

    def test_command(self) -> None:
        """A tool of ours, with the kernel's directory."""
        tool, kernel = setting('MAKE[0]').split()
        self.assertTrue((CHECKOUT / tool).exists())
        self.assertEqual(kernel, '/the/kernel')

    def test_compiler(self) -> None:
        """The compiler that DKMS makes up is left aside, and the module is where it looks."""
        with tempfile.TemporaryDirectory() as top:
            tools = Path(top) / 'tools'
            tools.mkdir()
            (tools / 'dkms').write_text((CHECKOUT / 'tools' / 'dkms').read_text())
            (tools / 'modules').write_text('#!/bin/sh\necho "${CC-} $GS_MODULES_DIR $*"\n')
            (tools / 'modules').chmod(0o755)
            done = subprocess.run(
                ['bash', tools / 'dkms', '/the/kernel', 'CC=clang', 'LD=ld.lld'],
                env={'PATH': '/usr/bin:/bin', 'CC': 'gcc'}, stdout=subprocess.PIPE, text=True,
                check=True)
            self.assertNotIn('CC=', done.stdout)
            self.assertNotIn('gcc', done.stdout)
            self.assertIn(f'{top}/{setting("BUILT_MODULE_LOCATION[0]")} core /the/kernel',
                          done.stdout)
