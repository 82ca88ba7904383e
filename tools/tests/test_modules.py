# SPDX-License-Identifier: GPL-2.0
"""tools/modules, on what looks like a kernel's build directory: what it refuses, and how."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
CONFIG = 'CONFIG_UML=y\nCONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT="rustc 9.9.9 (made up)"\n'


class Modules(unittest.TestCase):
    """One line, with what to do."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = Path(holder.name)
        self.kernel = self.top / 'kernel'
        for name, text in {'.config': CONFIG, 'rust/libkernel.rmeta': '', 'Module.symvers': '',
                           'include/config/kernel.release': '9.9.9\n'}.items():
            path = self.kernel / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def compiler(self, name: str, version: str) -> str:
        """A program that says of which version it is."""
        path = self.top / name
        path.write_text(f'#!/bin/sh\necho "{version}"\n')
        path.chmod(0o755)
        return str(path)

    def refused(self, *arguments: str, **env: str) -> str:
        """The one line that it says."""
        done = subprocess.run([TOOLS / 'modules', arguments[0], self.kernel, *arguments[1:]],
                              capture_output=True, text=True, check=False,
                              env={**os.environ, **env})
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_no_kernel(self) -> None:
        """Not configured, without Rust, not built."""
        (self.kernel / 'Module.symvers').unlink()
        self.assertIn('has no Module.symvers: build that kernel', self.refused('dir'))
        (self.kernel / '.config').write_text('CONFIG_UML=y\n')
        self.assertIn('no CONFIG_RUST=y: configure one that has', self.refused('dir'))
        (self.kernel / '.config').unlink()
        self.assertIn('has no .config', self.refused('dir'))

    def test_arch(self) -> None:
        """Another architecture than the kernel's; where it cannot be told, any is taken."""
        self.assertIn('one for ARCH=um: leave ARCH= out', self.refused('dir', 'arm64'))
        (self.kernel / '.config').write_text(CONFIG.replace('UML', 'NEW'))
        self.assertIn('give ARCH=', self.refused('dir'))
        subprocess.run([TOOLS / 'modules', 'dir', self.kernel, 'new'], check=True,
                       stdout=subprocess.DEVNULL)

    def test_clippy(self) -> None:
        """Another clippy than that of the kernel's rustc is as good as none."""
        rustc = self.compiler('rustc', 'rustc 9.9.9 (made up)')
        other = self.compiler('clippy-driver', 'rustc 9.9.8 (made up)')
        said = self.refused('build', '', 'CLIPPY=1', RUSTC=rustc, CLIPPY_DRIVER=other)
        self.assertIn("no clippy-driver of 'rustc 9.9.9 (made up)' is here: install", said)


if __name__ == '__main__':
    unittest.main()
