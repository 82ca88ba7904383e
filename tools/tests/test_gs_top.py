# SPDX-License-Identifier: GPL-2.0
"""tools/gs-top, over files as debugfs has them."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import List, Tuple

TOOLS = Path(__file__).resolve().parents[1]

HEADING = ('# name                        live   objects objsize   slabs   pages sheaf   pending'
           '      queued        done state\n')
BATCHER = '''foreign_queued {queued}
foreign_done 268
cached_pages 30
pages 9
reserve_wrappers 0
wrappers 0
waited 3
refused 0
linked 0
slots 0
leaked 0
expedited 2
grace_periods 21
doorbells 17
zombies 1
cpu0 timer 1 bell 1 foreign_batches 24 reserve_pages 2 reserve_wrappers 32 oldest_ms 7 periods 1
cpu1 timer 1 bell 1 foreign_batches 24 reserve_pages 2 reserve_wrappers 32 oldest_ms 18 periods 1
'''


def row(name: str, live: int, pages: int, pending: int, done: int, state: str = 'live') -> str:
    """A line of the table, as rust/debugfs.rs writes it."""
    return (f'{name:<24} {live:>9} {live * 2:>9} {16:>7} {pages // 2:>7} {pages:>7} {60:>5} '
            f'{pending:>9} {done + pending:>11} {done:>11} {state}\n')


class GsTop(unittest.TestCase):
    """What it prints, and what it says when it cannot."""

    def setUp(self) -> None:
        self.debugfs = Path(tempfile.mkdtemp(prefix='graceslab-top-'))
        self.addCleanup(shutil.rmtree, self.debugfs)
        self.top = self.debugfs / 'graceslab'
        self.top.mkdir()
        self.write(341, row('routes', 10, 8, 60, 100), row('two words', 30, 4, 7, 900),
                   row('gone', 1, 2, 0, 5, 'leaked'))
        (self.top / 'routes').mkdir()
        (self.top / 'routes' / 'stats').write_text('object_size 16\nfrees_bits 40\n')

    def write(self, queued: int, *lines: str) -> None:
        """Have debugfs say this. Nobody sees half of it."""
        for name, text in {'caches': HEADING + ''.join(lines),
                           'batcher': BATCHER.format(queued=queued)}.items():
            (self.debugfs / 'new').write_text(text)
            (self.debugfs / 'new').rename(self.top / name)

    def run_tool(self, *args: str) -> Tuple[int, str, str]:
        """Its exit status, its output and its errors."""
        done = subprocess.run([sys.executable, '-B', TOOLS / 'gs-top', '--debugfs', self.debugfs,
                               *args], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def table(self, *args: str) -> List[str]:
        """The lines below the heading."""
        status, out, errors = self.run_tool('--once', *args)
        self.assertEqual((status, errors), (0, ''))
        return re.split(r'^NAME .*\n', out, flags=re.M)[1].splitlines()

    def test_once(self) -> None:
        """A table, with what is summed up above it."""
        status, out, _ = self.run_tool('--once')
        self.assertEqual(status, 0)
        self.assertIn('3 caches, 41 of 82 objects in use', out)
        self.assertIn('67 frees pending, 1 destroyed with objects left', out)
        self.assertIn("others' pointers: 73 pending, 341 given; oldest batch 18 ms; "
                      'grace periods 21, expedited 2\n', out)
        self.assertIn('waited 3, refused 0', out)
        self.assertRegex(out, r'\nroutes +10 +20 +50% +16 +\d+ +60 +- +- +- live\n')
        self.assertRegex(out, r'\ntwo words +30 ')
        self.assertRegex(out, r'\ngone .* leaked\n')

    def test_sort(self) -> None:
        """By each column, both ways; the memory that a cache has comes first."""
        def first(*args: str) -> str:
            return self.table(*args)[0].partition('  ')[0]
        self.assertEqual(first(), 'routes')
        self.assertEqual(first('--sort', 'live'), 'two words')
        self.assertEqual(first('--sort', 'pending', '--reverse'), 'gone')
        self.assertEqual(first('--sort', 'name'), 'gone')
        self.assertEqual(first('--sort', 'name', '--reverse'), 'two words')
        self.assertEqual(len(self.table('--lines', '2')), 2)

    def start(self, *args: str) -> 'subprocess.Popen[str]':
        """The tool, after its first table."""
        process = subprocess.Popen([sys.executable, '-B', TOOLS / 'gs-top', '--debugfs',
                                    self.debugfs, '-d', '2', *args], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith('gone '):
                break
        return process

    def test_rates(self) -> None:
        """What has changed from one table to the next; a counter that began anew has no rate."""
        with self.start('-n', '2') as process:
            (self.top / 'routes' / 'stats').write_text('frees_bits 60\n')
            self.write(1341, row('routes', 10, 8, 50, 950), row('two words', 30, 4, 7, 0))
            out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.assertRegex(out, r'given \([1-9]\d*/s\)')
        # Freed, done, by the bits: 1000 - 160, 950 - 100, 60 - 40 in two seconds or more.
        found = re.search(r'\nroutes .* (\d+) +(\d+) +(\d+) live\n', out)
        assert found, out
        freed, done, bits = map(int, found.groups())
        self.assertTrue(0 < bits < freed < done < 426, found.group())
        self.assertRegex(out, r'\ntwo words .* - +- +- live\n')

    def test_unloaded(self) -> None:
        """The module goes meanwhile."""
        with self.start() as process:
            shutil.rmtree(self.top)
            _, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors),
                         (1, 'error: graceslab has been unloaded\n'))

    def test_not_loaded(self) -> None:
        """No module, or one whose directory is elsewhere."""
        shutil.rmtree(self.top)
        status, out, errors = self.run_tool('--once')
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(errors, r'^error: graceslab is (not )?loaded.*\n$')

    def test_no_permission(self) -> None:
        """Somebody who may not look."""
        os.chmod(self.debugfs, 0o700 if os.getuid() == 0 else 0)
        # Read as root, run as nobody.
        done = subprocess.run([sys.executable, '-B', '-c', """if True:
            import argparse, curses, gettext, locale, os, pathlib, sys, typing
            with open(sys.argv[1], encoding='utf-8') as file:
                source = file.read()
            if os.getuid() == 0:
                os.setgroups([])
                os.setuid(65534)
            del sys.argv[0]
            exec(compile(source, 'gs-top', 'exec'))
            """, TOOLS / 'gs-top', '--once', '--debugfs', self.debugfs],
                              capture_output=True, text=True, check=False)
        os.chmod(self.debugfs, 0o700)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r'^error: \S+ cannot be read: run gs-top as root\n$')

    def test_other_table(self) -> None:
        """A graceslab that writes something else."""
        (self.top / 'caches').write_text('# name live\nroutes 1\n')
        status, _, errors = self.run_tool('--once')
        self.assertEqual(status, 1)
        self.assertIn('no column objects', errors)

    def test_further_column(self) -> None:
        """Columns are found by their names."""
        text = (self.top / 'caches').read_text().splitlines()
        (self.top / 'caches').write_text(
            ''.join(re.sub(r' (state|live|leaked)$', r' 77 \1', line) + '\n'
                    for line in [text[0].replace(' state', ' more state'), *text[1:]])
            .replace('more 77', 'more'))
        self.assertRegex(self.table()[0], r'^routes +10 .* live$')

    def test_terminal(self) -> None:
        """The live view is drawn, sorts by a key, and goes when it is told to."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM='xterm', LINES='24', COLUMNS='120')
            os.execv(sys.executable, [sys.executable, '-B', str(TOOLS / 'gs-top'), '--debugfs',
                                      str(self.debugfs), '-d', '60'])
        seen = b''

        def until(what: bytes) -> None:
            nonlocal seen
            end = time.monotonic() + 30
            while what not in seen and time.monotonic() < end:
                if select.select([terminal], [], [], 1)[0]:
                    seen += os.read(terminal, 65536)
            self.assertIn(what, seen)
            seen = b''

        try:
            until(b'sorted by kib')
            os.write(terminal, b'l')
            until(b'two words')
            os.write(terminal, b'q')
            end = time.monotonic() + 30
            ended, status = 0, None
            while not ended and time.monotonic() < end:
                ended, status = os.waitpid(pid, os.WNOHANG)
                time.sleep(0.05)
            self.assertEqual((ended, status), (pid, 0))
        finally:
            # Whatever is left has lost its terminal.
            os.close(terminal)
