# SPDX-License-Identifier: GPL-2.0
"""The benchmark's driver loses no row, and reports what was measured."""

import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS / 'lib'))

import bench  # noqa: E402


def driver():
    """tools/bench as a module."""
    loader = importlib.machinery.SourceFileLoader('gs_bench_driver', str(TOOLS / 'bench'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def samples(name, ours, peer, unit='ns'):
    """The lines of a name's samples, in thousandths, as they are taken in turn."""
    lines = []
    for a, b in zip(ours, peer):
        lines += [f'gs_bench: sample {name} {unit} ours {a}',
                  f'gs_bench: sample {name} {unit} peer {b}']
    return lines


def guest(*lines, rows=('pair',)):
    """A guest's output in which every row ended well."""
    return ['gs_bench: kernel 7.2.99', *lines, *(f'gs_bench: end {row} 0' for row in rows)]


class Parsing(unittest.TestCase):
    """From a guest's output to results."""

    def summed(self, lines, ground='uml'):
        """The results in it, by name."""
        output, _ = bench.parse(lines)
        return {r.name: r for r in bench.results(output, ground)}

    def test_medians_and_ratio(self):
        found = self.summed(guest(*samples('pair', [4000, 5000, 90000], [20000, 10000, 30000])))
        pair = found['pair']
        self.assertEqual((pair.ground, pair.kernel, pair.unit), ('uml', '7.2.99', 'ns'))
        self.assertEqual((pair.ours, pair.peer, pair.ratio), (5.0, 20.0, 0.25))

    def test_spread_is_that_of_ratios_side_by_side(self):
        # Both get slower together: the ratio does not.
        steady = self.summed(guest(*samples('pair', [1000, 2000, 4000], [2000, 4000, 8000])))
        self.assertEqual(steady['pair'].spread, 0)
        # Ratios of 1, 2 and 3: the quartiles are 1.5 and 2.5.
        wild = self.summed(guest(*samples('pair', [1000, 2000, 3000], [1000, 1000, 1000])))
        self.assertEqual(wild['pair'].spread, 0.5)

    def test_other_lines_do_not_matter(self):
        lines = guest(*samples('pair', [1000], [2000]))
        noise = ['', 'gs_benchmark: sample', '[ 1.0] something else', 'sample pair ns ours 1']
        self.assertEqual(self.summed(noise + lines + noise), self.summed(lines))

    def test_line_that_makes_no_sense(self):
        for line in ('gs_bench: sample pair ns ours', 'gs_bench: sample pair ns ours x',
                     'gs_bench: sample pair ns theirs 1', 'gs_bench: end pair', 'gs_bench:'):
            with self.subTest(line=line), self.assertRaises(bench.Broken):
                bench.parse([line])

    def test_unit_that_changes(self):
        with self.assertRaises(bench.Broken):
            bench.parse(samples('pair', [1], [1]) + samples('pair', [1], [1], unit='insn'))


class Checking(unittest.TestCase):
    """A row that was not measured is an error."""

    def check(self, lines, rows=('pair',), repeats=2, cpus=2):
        """Check these lines."""
        output, ends = bench.parse(lines)
        bench.check(output, ends, list(rows), cpus, repeats)

    def refused(self, text, *args, **kwargs):
        """They are refused, and what is said names the trouble."""
        with self.assertRaisesRegex(bench.Broken, text):
            self.check(*args, **kwargs)

    def test_all_there(self):
        self.check(guest(*samples('pair', [1, 2], [3, 4])))

    def test_no_end(self):
        self.refused('pair did not come to its end',
                     guest(*samples('pair', [1, 2], [3, 4]), rows=()))

    def test_failed(self):
        self.refused('pair failed', ['gs_bench: kernel 7', *samples('pair', [1, 2], [3, 4]),
                                     'gs_bench: end pair 1'])

    def test_no_kernel(self):
        self.refused('which kernel', [*samples('pair', [1, 2], [3, 4]), 'gs_bench: end pair 0'])

    def test_one_side_only(self):
        lines = [line for line in samples('pair', [1, 2], [3, 4]) if 'ours' in line]
        self.refused('0 samples of pair .peer', guest(*lines))

    def test_too_few(self):
        self.refused('1 samples of pair .ours', guest(*samples('pair', [1], [3])))

    def test_too_many(self):
        self.refused('3 samples of pair .ours', guest(*samples('pair', [1, 2, 3], [3, 4, 5])))

    def test_zeroes(self):
        self.refused('zeroes', guest(*samples('pair', [0, 0], [3, 4])))

    def test_every_name_of_a_row(self):
        whole = samples('burst_alloc', [1, 2], [3, 4]) + samples('burst_free', [1, 2], [3, 4])
        self.check(guest(*whole, rows=('burst',)), rows=('burst',))
        self.refused('burst_free', guest(*whole[:4], rows=('burst',)), rows=('burst',))

    def test_scale_goes_up_to_all_cpus(self):
        self.assertEqual(bench.wanted('scale', 1), ['scale_pair_1', 'scale_free_rcu_1'])
        self.assertEqual(bench.wanted('scale', 6)[-1], 'scale_free_rcu_4')
        self.assertEqual(bench.wanted('scale', 8)[-1], 'scale_free_rcu_8')


class Showing(unittest.TestCase):
    """The table, targets and the comparison with an earlier run."""

    PAIR = bench.Result('uml', '7.2.99', 'pair', 'ns', 4.0, 16.0, 0.25, 0.01)

    def test_targets(self):
        for name, ground, ratio, good in (
                ('pair', 'uml', 0.35, True), ('pair', 'uml', 0.36, False),
                ('pair', 'x86', 0.40, True), ('steady', 'uml', 2.0, True),
                ('steady', 'uml', 1.9, False), ('bytes_8', 'uml', 1.06, True),
                ('bytes_8', 'uml', 1.07, False), ('bytes_4096', 'uml', 1.03, False),
                ('free_rcu', 'uml', 0.31, False), ('kvfree_rcu_vmalloc', 'x86', 0.9, True),
                ('dtor_call', 'uml', 9.0, None)):
            with self.subTest(name=name, ground=ground, ratio=ratio):
                result = self.PAIR._replace(ground=ground, name=name, ratio=ratio)
                self.assertIs(bench.reached(result), good)

    def test_table(self):
        head, line = bench.table([self.PAIR]).splitlines()
        self.assertEqual(head.split()[:7],
                         ['ground', 'name', 'unit', 'ours', 'peer', 'ratio', 'spread'])
        self.assertEqual(line.split(), ['uml', 'pair', 'ns', '4.00', '16.00', '0.250', '1', '%',
                                        '<=', '0.35', 'ok'])

    def test_base(self):
        text = bench.table([self.PAIR], [self.PAIR._replace(ours=5.0)])
        self.assertTrue(text.endswith('5.00  -20.0 %'), text)
        # Another ground's row is no base, and neither is none.
        for base in ([self.PAIR._replace(ground='x86')], []):
            self.assertTrue(bench.table([self.PAIR], base).endswith('-       -'))

    def test_json_there_and_back(self):
        objects = json.loads(json.dumps([self.PAIR._asdict()]))
        self.assertEqual(list(objects[0]), list(bench.KEYS))
        self.assertEqual(bench.from_json(objects), [self.PAIR])

    def test_json_of_something_else(self):
        for objects in ({}, [{}], [1], [{'ground': 'uml'}]):
            with self.subTest(objects=objects), self.assertRaises(bench.Broken):
                bench.from_json(objects)


class Driver(unittest.TestCase):
    """The command line."""

    def run_driver(self, *args):
        """What it says when it refuses to begin."""
        done = subprocess.run([TOOLS / 'bench', *args], check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith('error: '), done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        return done.stderr

    def test_what_there_is_not(self):
        self.assertIn('no row such; there are: age ', self.run_driver('--rows', 'such'))
        self.assertIn('no ground moon', self.run_driver('--grounds', 'moon'))
        self.assertIn('BASE=/dev/null', self.run_driver('--base', '/dev/null'))
        self.assertIn('none of the rows', self.run_driver('--rows', 'age', '--grounds', 'x86'))


class Guest(unittest.TestCase):
    """A guest, on the kernel that other tests use: what is measured means nothing there."""

    @classmethod
    def setUpClass(cls):
        subprocess.run([TOOLS / 'kernel', 'build', 'uml'], check=True)
        cls.kernel = cls.tool('kernel', 'dir', 'uml')
        subprocess.run([TOOLS / 'modules', 'build', cls.kernel], check=True, capture_output=True)
        cls.modules = cls.tool('modules', 'dir', cls.kernel)

    @staticmethod
    def tool(*args):
        """What a tool prints."""
        return subprocess.run([TOOLS / args[0], *args[1:]], check=True, capture_output=True,
                              text=True).stdout.strip()

    def boot(self, *command):
        """Run something in it."""
        with tempfile.TemporaryDirectory() as scratch:
            return subprocess.run(
                [TOOLS / 'guest', 'run', '--kernel', self.kernel, '--log', f'{scratch}/log', '--',
                 *command], check=False, capture_output=True, text=True, timeout=300)

    def measure(self, *rows):
        """Measure rows twice."""
        return self.boot(TOOLS.parent / 'bench' / 'guest', self.modules, '2', '0', *rows)

    def test_rows(self):
        done = self.measure('pair', 'free_rcu')
        self.assertEqual(done.returncode, 0, done.stderr)
        output, ends = bench.parse(done.stdout.splitlines())
        bench.check(output, ends, ['pair', 'free_rcu'], 2, 2)

    def test_row_that_cannot_be_measured(self):
        # age needs a kernel that wipes what is freed, and this one does not.
        done = self.measure('pair', 'age', 'such')
        self.assertNotEqual(done.returncode, 0)
        output, ends = bench.parse(done.stdout.splitlines())
        self.assertEqual((ends['pair'], bool(ends['age']), bool(ends['such'])), (0, True, True))
        with self.assertRaisesRegex(bench.Broken, 'age failed'):
            bench.check(output, ends, ['pair', 'age'], 2, 2)

    def test_driver_knows_every_row(self):
        done = self.boot('sh', '-c', f'cd {self.modules} && insmod graceslab.ko && '
                         'insmod bench/gs_bench.ko && sed s/^/row:/ /sys/kernel/debug/gs_bench/rows')
        self.assertEqual(done.returncode, 0, done.stderr)
        every = {row for boot in driver().boots(7, 8) for row in boot.rows}
        self.assertEqual(set(re.findall('^row:(.*)$', done.stdout, re.M)), every)

    def test_instructions_are_for_x86(self):
        done = subprocess.run([TOOLS / 'guest', 'run', '--icount', '--kernel', self.kernel, '--',
                               'true'], check=False, capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('--icount needs an x86_64 kernel', done.stderr)


if __name__ == '__main__':
    unittest.main()
