# SPDX-License-Identifier: GPL-2.0
"""The tests in kunit-rust/doc.rs are the examples of the documentation."""

import subprocess
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]


class DocTests(unittest.TestCase):
    """What tools/doc-tests has made."""

    def test_in_step(self):
        """Nobody has changed an example, or the file, alone."""
        done = subprocess.run([TOOLS / 'doc-tests', '--check'], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
