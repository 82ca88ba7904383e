# SPDX-License-Identifier: GPL-2.0
"""tools/hygiene finds what it is for, in a checkout that has it."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Optional

TOOLS = Path(__file__).resolve().parents[1]
SPDX = 'SPDX-License-Identifier: GPL-2.0\n'


class Hygiene(unittest.TestCase):
    """A file with a fault for each check."""

    def setUp(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix='graceslab-hygiene-'))
        self.addCleanup(shutil.rmtree, self.top)
        (self.top / 'tools').mkdir()
        shutil.copy(TOOLS / 'hygiene', self.top / 'tools')
        subprocess.run(['git', 'init', '-q', self.top], check=True)

    def check(self, name: str, file: str, text: str, path: Optional[Path] = None) -> str:
        """What a check says, with its verdict, of one file."""
        (self.top / file).write_text(text)
        env = {**os.environ, 'PATH': f'{path}:{os.environ["PATH"]}'} if path else None
        done = subprocess.run([self.top / 'tools' / 'hygiene', name], capture_output=True,
                              text=True, check=False, env=env)
        said = done.stdout.partition('\n')
        self.assertEqual(done.returncode, int(said[0].startswith('not ok')), done.stderr)
        self.assertRegex(done.stdout, r'\nhygiene: \d passed, \d failed, \d skipped\n$')
        return f'{said[0].partition(":")[0]} {said[2]}'

    def test_spdx(self) -> None:
        """No licence."""
        self.assertIn('not ok spdx   a.c: no SPDX', self.check('spdx', 'a.c', 'int a;\n'))
        self.assertTrue(self.check('spdx', 'a.c', f'// {SPDX}').startswith('ok'))

    def test_paths(self) -> None:
        """Somebody's directory."""
        for path in ('ro' 'ot/x/y', 'ho' 'me/me/x', 'wo' 'rk/main/x'):
            self.assertIn('a.sh:1: cd /', self.check('paths', 'a.sh', f'cd /{path}\n'))
        self.assertTrue(self.check('paths', 'a.sh', 'cd $HOME/x ~/wo' 'rk/y\n').startswith('ok'))

    def test_python(self) -> None:
        """No Python."""
        self.assertIn('a.py:1', self.check('python', 'a.py', 'def:\n'))
        self.assertTrue(self.check('python', 'a.py', 'x = 1\n').startswith('ok'))

    def test_shell(self) -> None:
        """No shell."""
        self.assertIn('a: line', self.check('shell', 'a', '#!/bin/bash\nif\n'))
        self.assertTrue(self.check('shell', 'a', '#!/bin/bash\n:\n').startswith('ok'))

    def test_clang_format(self) -> None:
        """C that is not formatted, and a machine without the tool."""
        shutil.copy(TOOLS.parent / '.clang-format', self.top)
        (self.top / 'tools' / 'lib').mkdir()
        toolchain = (TOOLS / 'lib' / 'toolchain.sh').read_text()
        (self.top / 'tools' / 'lib' / 'toolchain.sh').write_text(toolchain)
        tidy = 'int f(int a)\n{\n\treturn a;\n}\n'
        if '1 skipped' in self.check('clang-format', 'a.c', tidy):
            self.skipTest('no clang-format')
        self.assertTrue(self.check('clang-format', 'a.c', tidy).startswith('ok'))
        for bad in ('    return a;', '\treturn  a;', '\treturn(a);', '\tif (a) { return a; }'):
            said = self.check('clang-format', 'a.c', tidy.replace('\treturn a;', bad))
            self.assertIn('not ok clang-format   a.c:', said)
            self.assertIn('would change it', said)
        self.assertIn('a.h:1: ', self.check('clang-format', 'a.h', 'int  a;\n'))
        (self.top / 'tools' / 'lib' / 'toolchain.sh').write_text('llvm=0\n')
        self.assertIn('1 skipped', self.check('clang-format', 'a.h', 'int  a;\n'))

    def test_sparse(self) -> None:
        """Files are looked at as they were compiled, and others not at all."""
        tools = Path(tempfile.mkdtemp(prefix='graceslab-sparse-'))
        self.addCleanup(shutil.rmtree, tools)
        # Says what it was called for, unless it is to be content.
        (tools / 'sparse').write_text('#!/bin/sh\nfor f; do :; done\n'
                                      'grep -q content "$f" || echo "$f:1:1: warning: $*"\n')
        (tools / 'sparse').chmod(0o755)
        self.assertIn('skip sparse hygiene: 0 passed, 0 failed, 1 skipped',
                      self.check('sparse', 'a.c', 'int a;\n', tools))
        out = self.top / 'build' / 'k'
        out.mkdir(parents=True)
        (self.top / '.gitignore').write_text('/build/\n')
        (out / 'forced.h').write_text('')
        (out / '.a.o.cmd').write_text('savedcmd_a.o := cc -Wall -Ix/y -DB=\'"c"\' '
                                      '-include forced.h -O2 -c -o a.o a.c ; true\n')
        said = self.check('sparse', 'a.c', 'int a;\n', tools)
        self.assertIn('not ok sparse   a.c:1:1: warning: ', said)
        self.assertIn('-Ix/y -DB="c" -include forced.h a.c', said)
        self.assertNotIn('-Wall', said)
        self.assertTrue(self.check('sparse', 'a.c', 'content\n', tools).startswith('ok'))
        # A kernel that has gone since.
        (out / 'forced.h').unlink()
        self.assertIn('1 skipped', self.check('sparse', 'a.c', 'int a;\n', tools))
