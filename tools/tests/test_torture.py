# SPDX-License-Identifier: GPL-2.0
"""tools/torture: what it makes of a log."""

import argparse
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True

LOADER = SourceFileLoader('torture', str(TOOLS / 'torture'))
torture = module_from_spec(spec_from_loader('torture', LOADER))
LOADER.exec_module(torture)

COUNTS = ' '.join(f'{name} 7' for name in torture.ALWAYS)
GOOD = f'''\
[    1.0] graceslab-test: allow splat: graceslab: gst_(misused|innocent): |is no live cache
[    2.0] graceslab: gst_misused: double free of object 0x62192000
[    2.1] graceslab: 0x62192000 is no live cache
[    2.2] graceslab: 0x62192000 is no live cache
[    9.0] gs_torture: 9s: {COUNTS} nmi 0 onoff 0 errors 0
[    9.0] gs_torture: raced: 3 calls
[    9.0] gs_torture: misused: 1 times 'double free of object'
[    9.0] gs_torture: misused: 1 times 'is no live cache'
[    9.0] gs_torture: left behind: 5 objects of 3 caches
[    9.0] gs_torture: 100 pointers were given, 2 of them leaked, 3 waited for
[    9.0] gs_torture: --- End of test: SUCCESS: seed=1 errors=0
[    9.5] graceslab: 3 caches left 5 objects behind; their pages stay allocated
[    9.5] graceslab: unloaded; 95 pointers of others were freed
'''


def log_of(text):
    """What the tool sees of a console that said this."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / 'log'
        path.write_text(text)
        return torture.Log(path)


class Judgement(unittest.TestCase):
    """Each check passes on the good log, and fails when what it looks at is another."""

    ARGS = argparse.Namespace(seconds=60, parameters=[], cpus=None)

    def found(self, text, configured=()):
        log = log_of(text)
        return {check.__name__: found for check, found in (
            (torture.check_verdict, torture.check_verdict(log)),
            (torture.check_misuse, torture.check_misuse(log)),
            (torture.check_left, torture.check_left(log)),
            (torture.check_pointers, torture.check_pointers(log)),
            (torture.check_reached, torture.check_reached(log, list(configured), self.ARGS)),
        ) if found}

    def fails(self, check, old, new, configured=()):
        self.assertIn(old, GOOD)
        self.assertEqual(list(self.found(GOOD.replace(old, new), configured)), [check])

    def test_good(self):
        self.assertEqual(self.found(GOOD), {})

    def test_empty(self):
        self.assertEqual(len(self.found('')), 5)

    def test_verdict(self):
        self.fails('check_verdict', 'SUCCESS', 'FAILURE')

    def test_an_error(self):
        self.fails('check_verdict', '[    2.1]', '[    2.1] gs_torture: !!! early\n[    2.1]')

    def test_misuse_unseen(self):
        self.fails('check_misuse', 'double free of object 0x', 'something else 0x')

    def test_misuse_unmade(self):
        self.fails('check_misuse', "1 times 'double free", "0 times 'double free")

    def test_more_races_than_calls(self):
        self.fails('check_misuse', 'raced: 3', 'raced: 0')

    def test_left(self):
        self.fails('check_left', '3 caches left 5', '3 caches left 6')

    def test_nothing_left(self):
        self.fails('check_left', '3 caches left 5 objects behind', 'nothing')

    def test_pointers(self):
        self.fails('check_pointers', '95 pointers', '94 pointers')

    def test_nothing_proven(self):
        self.fails('check_reached', 'proven 7', 'proven 0')

    def test_no_probe(self):
        self.fails('check_reached', 'raced', 'raced', ['CONFIG_KPROBES'])

    def test_no_cpu_went(self):
        self.fails('check_reached', 'raced', 'raced', ['CONFIG_HOTPLUG_CPU'])


if __name__ == '__main__':
    unittest.main()
