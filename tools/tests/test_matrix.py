# SPDX-License-Identifier: GPL-2.0
"""tools/matrix and tools/detectors: what they say, without a guest."""

import contextlib
import io
import re
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True


def load(name):
    """A tool as a module."""
    loader = SourceFileLoader(name, str(TOOLS / name))
    module = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


matrix, detectors, guest = load('matrix'), load('detectors'), load('guest')


class Cells(unittest.TestCase):
    """What is run again, and what is not."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        patch = mock.patch.object(matrix, 'RESULTS', Path(holder.name))
        patch.start()
        self.addCleanup(patch.stop)

    def run_cell(self, cell, passed, failed, digest='one'):
        """Run a cell whose steps have these counts."""
        with mock.patch.object(matrix, 'run', return_value=matrix.Counts(passed, failed, 0)):
            matrix.run_cell(cell, digest)

    def test_configurations_exist(self):
        for cell in matrix.CELLS:
            with self.subTest(cell.name):
                self.assertTrue((TOOLS / 'configs' / f'{cell.config}.config').exists())
                for name in cell.steps.split():
                    matrix.step_named(name, cell)

    def test_states(self):
        cell = matrix.CELLS[0]
        self.assertEqual(matrix.state(cell, 'one'), 'not run')
        self.run_cell(cell, 3, 0)
        self.assertEqual(matrix.state(cell, 'one'), 'green')
        self.assertEqual(matrix.state(cell, 'two'), 'green, stale')
        self.run_cell(cell, 3, 1)
        self.assertEqual(matrix.state(cell, 'one'), 'red')
        self.run_cell(cell, 0, 0)
        self.assertEqual(matrix.state(cell, 'one'), 'red')

    def test_goes_on_where_it_was_cut_off(self):
        cell = matrix.CELLS[0]
        steps = cell.steps.split()
        cut = mock.Mock(side_effect=[matrix.Counts(1), KeyboardInterrupt])
        with mock.patch.object(matrix, 'run', cut), self.assertRaises(KeyboardInterrupt):
            matrix.run_cell(cell, 'one')
        self.assertEqual(matrix.state(cell, 'one'), 'begun')
        with mock.patch.object(matrix, 'run', return_value=matrix.Counts(1)) as run:
            matrix.run_cell(cell, 'one')
        self.assertEqual(run.call_count, len(steps) - 1)
        self.assertEqual(matrix.state(cell, 'one'), 'green')
        # What was begun with other sources is begun again.
        cut = mock.Mock(side_effect=[matrix.Counts(1), KeyboardInterrupt])
        with mock.patch.object(matrix, 'run', cut), self.assertRaises(KeyboardInterrupt):
            matrix.run_cell(cell, 'two')
        with mock.patch.object(matrix, 'run', return_value=matrix.Counts(1)) as run:
            matrix.run_cell(cell, 'three')
        self.assertEqual(run.call_count, len(steps))

    def test_each_series_has_its_result(self):
        here, other = [cell for cell in matrix.CELLS if cell.config == 'uml-up']
        self.run_cell(here, 1, 0)
        self.assertNotEqual(matrix.inputs(here, 'one'), matrix.inputs(other, 'one'))
        self.assertEqual(matrix.state(other, 'one'), 'not run')

    def test_only_what_has_changed_is_run(self):
        cell = matrix.CELLS[0]
        with mock.patch.object(matrix, 'run', return_value=matrix.Counts(1)) as run, \
                mock.patch.object(sys, 'argv', ['matrix', cell.name]), \
                mock.patch.object(matrix, 'sources', return_value='one'), \
                contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(matrix.main(), 0)
            ran = run.call_count
            self.assertGreater(ran, 0)
            self.assertEqual(matrix.main(), 0)
            self.assertEqual(run.call_count, ran)
            with mock.patch.object(matrix, 'sources', return_value='two'):
                self.assertEqual(matrix.main(), 0)
            self.assertEqual(run.call_count, 2 * ran)

    def test_unknown_cell(self):
        done = subprocess.run([TOOLS / 'matrix', 'nowhere'], check=False, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn('no cell nowhere', done.stderr)


class Verdicts(unittest.TestCase):
    """A mistake that is not reported, or not as it should be, is a failure."""

    def prove(self, fault, status, *splats):
        """Counts after a guest that ended like this."""
        prover = detectors.Detectors.__new__(detectors.Detectors)
        prover.config, prover.passed, prover.failed, prover.modules = 'any', 0, 0, Path('/')
        stderr = ''.join(f'log:1: kernel splat: {text}\n' for text in splats)
        done = subprocess.CompletedProcess([], status, '', stderr)
        with mock.patch.object(prover, 'guest', return_value=done), \
                contextlib.redirect_stdout(io.StringIO()):
            prover.caught(next(f for f in detectors.FAULTS if f.name == fault))
        return prover.passed, prover.failed

    def test_caught(self):
        self.assertEqual(self.prove('rcu', 120, 'WARNING: suspicious RCU usage'), (1, 0))

    def test_not_caught(self):
        self.assertEqual(self.prove('rcu', 0), (0, 1))

    def test_caught_for_another_reason(self):
        self.assertEqual(self.prove('rcu', 120, 'BUG: scheduling while atomic'), (0, 1))

    def test_not_only_for_its_reason(self):
        self.assertEqual(self.prove('rcu', 120, 'WARNING: suspicious RCU usage',
                                    'BUG: scheduling while atomic'), (0, 1))

    def test_reported_and_forgiven(self):
        self.assertEqual(self.prove('rcu', 0, 'WARNING: suspicious RCU usage'), (0, 1))

    def test_kasan_reports_more_than_once(self):
        first = 'BUG: KASAN: slab-use-after-free in gs_read_first+0x1/0x2 [gs_faults]'
        second = 'BUG: KASAN: slab-use-after-free in gs_read_second+0x1/0x2 [gs_faults]'
        self.assertEqual(self.prove('kasan', 120, first), (0, 1))
        self.assertEqual(self.prove('kasan', 120, first, second), (1, 0))

    def test_every_mistake_has_its_detector(self):
        source = (TOOLS.parent / 'vm' / 'gs_faults.c').read_text()
        made = set(re.findall(r'\{ "(\w+)", gs_fault_', source))
        self.assertEqual(made, {fault.name for fault in detectors.FAULTS} | detectors.OTHERS)


class OwnOptions(unittest.TestCase):
    """What a fragment asks of every guest of its kernel."""

    def parse(self, *argv):
        """The options of tools/guest run."""
        with mock.patch.object(sys, 'argv', ['guest', 'run', *argv, '--', 'true']):
            return guest.parse()

    def test_fragment_and_command_line(self):
        with tempfile.TemporaryDirectory() as tools:
            (Path(tools) / 'configs').mkdir()
            (Path(tools) / 'configs' / 'many.config').write_text(
                '# arch: um\n# guest: --cpus 64 --slow 2 --append a=1\n#\n# Text.\nCONFIG_A=y\n')
            with mock.patch.object(guest, 'TOOLS', Path(tools)):
                args = self.parse('--kernel', 'many', '--timeout', '10', '--append', 'b=2 c')
                self.assertEqual((args.cpus, args.timeout, args.append),
                                 (64, 20, ['a=1', 'b=2 c']))
                self.assertEqual(self.parse('--kernel', 'many', '--cpus', '1').cpus, 1)
                self.assertEqual(self.parse('--kernel', 'none').cpus, 2)

    def test_nodes(self):
        self.assertEqual(guest.vng.nodes(1, 2, '1G'), [])
        self.assertEqual(guest.vng.nodes(2, 2, '1G'), ['--numa=512M,cpus=0-0', '--numa=512M,cpus=1-1'])
        self.assertEqual(guest.vng.nodes(2, 5, '600M')[1], '--numa=300M,cpus=2-4')


if __name__ == '__main__':
    unittest.main()
