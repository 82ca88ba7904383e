# SPDX-License-Identifier: GPL-2.0
"""tools/ktap fails for what insmod and a glance at the log do not show."""

import subprocess
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]

SUITE = '''[    1.0] KTAP version 1
[    1.0] 1..1
[    1.0]     KTAP version 1
[    1.0]     # Subtest: gs_{name}
[    1.0]     1..{count}
{tests}[    1.0] ok 1 gs_{name}
'''


def suite(name, *tests):
    """The log of a module with one suite of these tests, ok unless said."""
    lines = ''.join(f'[    1.0]     {test if "ok" in test else "ok {n} " + test}\n'
                    .replace('{n}', str(n)) for n, test in enumerate(tests, 1))
    return SUITE.format(name=name, count=len(tests), tests=lines)


class Ktap(unittest.TestCase):
    """The judgement of a log."""

    @classmethod
    def setUpClass(cls):
        cls.source = subprocess.run([TOOLS / 'kernel', 'source'], check=True,
                                    capture_output=True, text=True).stdout.strip()

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = Path(holder.name)

    def judge(self, log, *options):
        """Run tools/ktap on a log."""
        (self.dir / 'log').write_text('[    0.1] KTAP version 1\n[    0.1] 1..0\n' + log)
        done = subprocess.run([TOOLS / 'ktap', '--config', 'x', '--kernel-source', self.source,
                               *options, self.dir / 'log'],
                              check=False, capture_output=True, text=True)
        return done.returncode, done.stdout.strip().splitlines()[-1]

    def test_all_suites_of_all_modules_count(self):
        self.assertEqual(self.judge(suite('a', 'one', 'two') + suite('b', 'one')),
                         (0, 'x: 3 passed, 0 failed, 0 skipped'))

    def test_failure(self):
        self.assertEqual(self.judge(suite('a', 'one', 'not ok 2 two')),
                         (1, 'x: 1 passed, 1 failed, 0 skipped'))

    def test_skip_that_nobody_allowed(self):
        self.assertEqual(self.judge(suite('a', 'one', 'ok 2 two # SKIP no reason')),
                         (1, 'x: 1 passed, 1 failed, 0 skipped'))

    def test_skip_allowed_by_a_pattern(self):
        log = suite('idle', 'one', 'ok 2 two # SKIP one CPU')
        for config, failed in ('uml-up', 0), ('uml-up-lockdep', 0), ('uml', 1):
            with self.subTest(config):
                (self.dir / 'skips').write_text('*-up*: gs_idle.two\n')
                self.assertEqual(self.judge(log, '--config', config, '--skips', self.dir / 'skips'),
                                 (failed, f'{config}: 1 passed, {failed} failed, '
                                          f'{1 - failed} skipped'))

    def test_skip_of_whole_suites(self):
        (self.dir / 'skips').write_text('x: gs_idle*.*\n')
        self.assertEqual(self.judge(suite('idle', 'one', 'ok 2 two # SKIP one CPU'),
                                    '--skips', self.dir / 'skips')[0], 0)
        self.assertEqual(self.judge(suite('late', 'one', 'ok 2 two # SKIP one CPU'),
                                    '--skips', self.dir / 'skips')[0], 1)

    def test_nothing_ran(self):
        self.assertEqual(self.judge('')[0], 1)

    def test_log_that_breaks_off(self):
        log = suite('a', 'one', 'two', 'three')
        self.assertEqual(self.judge(log[:log.index('ok 2')])[0], 1)

    def test_too_few(self):
        self.assertEqual(self.judge(suite('a', 'one'), '--min-tests', '2')[0], 1)

    def test_same_tests(self):
        names = self.dir / 'names'
        self.judge(suite('a', 'one', 'two'), '--names', names)
        self.assertEqual(self.judge(suite('a', 'one', 'two'), '--same-as', names)[0], 0)
        self.assertEqual(self.judge(suite('a', 'one'), '--same-as', names)[0], 1)
        self.assertEqual(self.judge(suite('a', 'one', 'two', 'three'), '--same-as', names)[0], 1)

    def test_tests_that_run_only_here(self):
        names, only = self.dir / 'names', self.dir / 'only'
        names.write_text('gs_a.one\n')
        only.write_text('# a comment\nx: gs_b.*\ny: gs_c.*\n')
        options = ('--same-as', names, '--only', only)
        self.assertEqual(self.judge(suite('a', 'one') + suite('b', 'two'), *options)[0], 0)
        self.assertEqual(self.judge(suite('a', 'one'), *options)[0], 1)
        self.assertEqual(self.judge(suite('a', 'one') + suite('b', 'two') + suite('c', 'one'),
                                    *options)[0], 1)


if __name__ == '__main__':
    unittest.main()
