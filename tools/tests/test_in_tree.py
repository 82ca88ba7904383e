# SPDX-License-Identifier: GPL-2.0
"""tools/in-tree, on a tree that looks like a kernel's."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Optional

TOOLS = Path(__file__).resolve().parents[1]
SOURCE = 'source "lib/graceslab/Kconfig"'
OBJECTS = 'obj-$(CONFIG_GRACESLAB) += graceslab/'


class InTree(unittest.TestCase):
    """What it writes, and what it refuses."""

    def setUp(self) -> None:
        self.linux = Path(tempfile.mkdtemp(prefix='graceslab-tree-'))
        self.addCleanup(shutil.rmtree, self.linux)
        for name, text in {'Kbuild': '', 'lib/Kconfig': 'menu "Library routines"\n\nendmenu\n\nconfig X\n',
                           'lib/Makefile': 'obj-y += x.o\n', 'rust/kernel/lib.rs': '',
                           'Makefile': 'kernelversion:\n\t@echo 7.2.12\n'}.items():
            (self.linux / name).parent.mkdir(parents=True, exist_ok=True)
            (self.linux / name).write_text(text)

    def run_tool(self, linux: Optional[object] = None) -> str:
        """Its error; none if it was content."""
        done = subprocess.run([TOOLS / 'in-tree', str(self.linux if linux is None else linux)],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode != 0, 'error: ' in done.stderr)
        return done.stderr.partition('error: ')[2]

    def test_twice(self) -> None:
        """The lines are there once, and the copy is what there is now."""
        self.assertEqual(self.run_tool(), '')
        target = self.linux / 'lib' / 'graceslab'
        (target / 'rust' / 'gone.rs').write_text('')
        self.assertEqual(self.run_tool(), '')
        self.assertEqual((self.linux / 'lib/Kconfig').read_text().count(SOURCE), 1)
        self.assertEqual((self.linux / 'lib/Makefile').read_text().count(OBJECTS), 1)
        self.assertEqual((self.linux / 'lib/Kconfig').read_text(),
                         f'menu "Library routines"\n\n{SOURCE}\n\nendmenu\n\nconfig X\n')
        self.assertFalse((target / 'rust' / 'gone.rs').exists())
        self.assertTrue((target / 'include' / 'graceslab.h').exists())
        self.assertTrue((target / 'rust' / 'graceslab_main.rs').exists())
        for line in (target / 'Kconfig').read_text().splitlines():
            if line.startswith('source '):
                self.assertTrue((self.linux / line.split('"')[1]).exists(), line)

    def test_no_kernel(self) -> None:
        """What is no tree to be written to."""
        self.assertIn('which kernel tree', self.run_tool(''))
        self.assertIn('not a directory', self.run_tool(self.linux / 'nowhere'))
        self.assertIn('not a kernel source tree', self.run_tool(self.linux / 'lib'))

    def test_old_kernel(self) -> None:
        """Rust for modules like this one begins with 7.2."""
        (self.linux / 'Makefile').write_text('kernelversion:\n\t@echo 7.1.3\n')
        self.assertIn('take 7.2 or later', self.run_tool())

    def test_theirs(self) -> None:
        """What is there by another's hand stays."""
        target = self.linux / 'lib' / 'graceslab'
        target.mkdir()
        (target / 'precious').write_text('')
        self.assertIn('not ours', self.run_tool())
        self.assertTrue((target / 'precious').exists())
