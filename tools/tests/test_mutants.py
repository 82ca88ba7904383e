# SPDX-License-Identifier: GPL-2.0
"""Mutants: definitions that have rotted are errors, and a console says who noticed."""

import importlib.machinery
import importlib.util
import sys
import tempfile
import time
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
CHECKOUT = TOOLS.parent
sys.path.insert(0, str(TOOLS / 'lib'))

import mutant  # noqa: E402
import scratch  # noqa: E402
import watch  # noqa: E402

SOURCE = '''fn one(a: u32) -> u32 {
    if a > 3 {
        return a + 1;
    }
    a
}

fn one_more(a: u32);
fn two(a: u32) -> u32 {
    a + 1
}
'''

DEFINITION = '''# a comment
file: some.rs

[two-more]
what: two adds two
by: suite other.test
in: fn two
- a + 1
+ a + 2
'''

REPORT = '''[    1.0] mutants: gs_a
[    1.0] KTAP version 1
[    1.0] 1..1
[    1.0]     KTAP version 1
[    1.0]     # Subtest: gs_a
[    1.0]     1..3
[    1.0]     ok 1 gs_a_one
[    1.0]         KTAP version 1
[    1.0]         # Subtest: gs_a_two
[    1.0]         ok 1 plain
[    1.5]         {two} 2 other
'''


def tool():
    """tools/mutants as a module."""
    loader = importlib.machinery.SourceFileLoader('mutants_tool', str(TOOLS / 'mutants'))
    spec = importlib.util.spec_from_loader('mutants_tool', loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def one(text=DEFINITION):
    """The only mutant of a definition."""
    [found] = mutant.parse(text, 'here')
    return found


class Definitions(unittest.TestCase):
    """What a definition says, and what is wrong with one."""

    def test_fields(self):
        found = one(DEFINITION + 'how: host\nsurvives: a reason\n  on two lines\n')
        self.assertEqual(found.by, ('suite', 'other.test'))
        self.assertEqual((found.how, found.survives), ('host', 'a reason on two lines'))

    def test_applied_where_it_says(self):
        self.assertEqual(mutant.apply(SOURCE, one()),
                         SOURCE.replace('    a + 1\n', '    a + 2\n'))

    def test_white_space_does_not_matter(self):
        reformatted = SOURCE.replace('    a + 1\n', '    a\n        + 1\n')
        self.assertIn('a + 2', mutant.apply(reformatted, one()))

    def test_several_changes(self):
        found = one(DEFINITION.replace('in: fn two', 'in: fn one') + '- a > 3\n+ a > 4\n')
        self.assertEqual(mutant.apply(SOURCE, found),
                         SOURCE.replace('a > 3', 'a > 4').replace('return a + 1', 'return a + 2'))

    def test_text_left_out(self):
        found = one(DEFINITION.replace('+ a + 2', '+').replace('- a + 1', '- return a + 1;')
                    .replace('fn two', 'fn one'))
        self.assertNotIn('return', mutant.apply(SOURCE, found))

    def test_rotten_old_text(self):
        for old in ('a + 7', 'a'):
            with self.subTest(old), self.assertRaisesRegex(mutant.Bad, 'times, not once'):
                mutant.apply(SOURCE, one(DEFINITION.replace('- a + 1', f'- {old}')))

    def test_rotten_place(self):
        for place in ('fn three', 'fn one_more', 'fn'):
            with self.subTest(place), self.assertRaisesRegex(mutant.Bad, 'times, not once'):
                mutant.apply(SOURCE, one(DEFINITION.replace('fn two', place)))

    def test_what_makes_no_sense(self):
        for bad, why in ((DEFINITION.replace('by: suite other.test\n', ''), 'no "by:"'),
                         (DEFINITION.replace('+ a + 2', '+ a  +  1'), 'changes nothing'),
                         (DEFINITION.replace('file: some.rs\n', ''), 'no "file:"'),
                         (DEFINITION.replace('- a + 1\n', ''), 'no old text'),
                         (DEFINITION + 'how: magic\n', 'none of'),
                         (DEFINITION + 'limit: soon\n', 'soon'),
                         (DEFINITION + 'hwo: host\n', 'not understood')):
            with self.subTest(why), self.assertRaisesRegex(mutant.Bad, why):
                one(bad)

    def test_names_are_unique(self):
        with tempfile.TemporaryDirectory() as holder:
            for name in ('a', 'b'):
                (Path(holder) / name).write_text(DEFINITION)
            with self.assertRaisesRegex(mutant.Bad, 'two-more'):
                mutant.load(Path(holder))


class Ours(unittest.TestCase):
    """The definitions that there are."""

    @classmethod
    def setUpClass(cls):
        cls.mutants = mutant.load(TOOLS / 'mutants.d')

    def test_each_fits_its_source(self):
        for each in self.mutants:
            with self.subTest(each.name):
                mutant.apply((CHECKOUT / each.file).read_text(encoding='utf-8'), each)

    def test_sample(self):
        sample = [each for each in self.mutants if each.sample]
        self.assertEqual(len(sample), 8)
        self.assertEqual(len({each.file for each in sample}), 8)
        self.assertEqual([each.name for each in sample if each.survives or
                          each.how not in ('kunit', 'host')], [])

    def test_each_is_in_the_documentation(self):
        page = (CHECKOUT / 'Documentation' / 'mutants.rst').read_text(encoding='utf-8')
        self.assertEqual([each.name for each in self.mutants if f'* - {each.name}\n' not in page],
                         [], 'run them, then tools/mutants --table')


class Console(unittest.TestCase):
    """Who noticed."""

    def follow(self, text):
        """Feed a console's text."""
        found = watch.Watch()
        for line in text.splitlines():
            found.feed(line)
        return found

    def test_all_well(self):
        found = self.follow(REPORT.format(two='ok') + '[    3.0] mutants: end\n')
        found.end()
        self.assertIsNone(found.trouble)
        self.assertEqual(found.passed, {'gs_a': 3})
        self.assertEqual(found.spent['gs_a'], 2.0)

    def test_first_failure(self):
        self.assertEqual(self.follow(REPORT.format(two='not ok')).trouble, 'gs_a.gs_a_two.other')

    def test_skipped_is_not_passed(self):
        text = REPORT.format(two='ok').replace('ok 2 other', 'ok 2 other # SKIP why')
        self.assertEqual(self.follow(text).passed, {'gs_a': 2})

    def test_where_it_hangs(self):
        self.assertEqual(self.follow(REPORT.format(two='ok')).where(), ' in gs_a.gs_a_two')

    def test_splat(self):
        found = self.follow(REPORT.format(two='ok') +
                            '[    2.0] ------------[ cut here ]------------\n'
                            '[    2.0] WARNING: rust/shim.c:812 at change+0x166/0x1a0, CPU#1: x/3\n'
                            '[    2.0] ---[ end trace 0000000000000000 ]---\n')
        self.assertEqual(found.trouble, 'splat: WARNING: rust/shim.c in gs_a.gs_a_two')

    def test_crash_without_an_end(self):
        found = self.follow('[    2.0] Oops: #1\n')
        found.end()
        self.assertTrue(found.trouble.startswith('splat: Oops'))


class Copy(unittest.TestCase):
    """The copy that is broken in the checkout's place."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.checkout, self.top = Path(holder.name) / 'checkout', Path(holder.name) / 'copy'
        (self.checkout / 'rust').mkdir(parents=True)
        (self.checkout / 'rust' / 'a.rs').write_text('a')
        (self.checkout / 'rust' / 'b.rs').write_text('b')
        self.copy = scratch.Scratch(self.checkout, self.top)
        self.copy.sync()

    def test_only_what_changed_is_written(self):
        kept = (self.top / 'rust' / 'b.rs').stat().st_mtime_ns
        self.copy.write('rust/a.rs', 'broken')
        self.assertEqual((self.checkout / 'rust' / 'a.rs').read_text(), 'a')
        before = (self.top / 'rust' / 'a.rs').stat().st_mtime_ns
        time.sleep(0.02)
        self.copy.sync()
        self.assertEqual((self.top / 'rust' / 'a.rs').read_text(), 'a')
        # Older than what was built of the broken one, make would not build it again.
        self.assertGreater((self.top / 'rust' / 'a.rs').stat().st_mtime_ns, before)
        self.assertEqual((self.top / 'rust' / 'b.rs').stat().st_mtime_ns, kept)

    def test_what_is_gone_goes(self):
        (self.top / 'build').mkdir()
        (self.top / 'build' / 'object').write_text('')
        (self.checkout / 'rust' / 'b.rs').unlink()
        self.copy.sync()
        self.assertFalse((self.top / 'rust' / 'b.rs').exists())
        self.assertTrue((self.top / 'build' / 'object').exists())


class Runner(unittest.TestCase):
    """tools/mutants itself, its tests replaced by answers."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tool = tool()
        self.said = []
        self.tool.say = self.said.append
        self.tool.RESULTS = Path(holder.name) / 'results.json'
        self.top = Path(holder.name)
        (self.top / 'some.rs').write_text(SOURCE)
        self.scratch = scratch.Scratch(self.top, self.top)

    def judge(self, answer, *mutants):
        """Run mutants; answer says who notices the source as it is."""
        def run(*_):
            return self.tool.Outcome(answer((self.top / 'some.rs').read_text()))
        self.tool.run = run
        return self.tool.judge(list(mutants) or [one()], self.scratch, {})

    def test_caught(self):
        self.assertEqual(self.judge(lambda text: 'gs_a.x' if 'a + 2' in text else None), 0)
        self.assertEqual(self.said[-1], '1 mutants: 1 caught, 0 survived (0 with a reason)')
        self.assertEqual((self.top / 'some.rs').read_text(), SOURCE)

    def test_survivor(self):
        self.assertEqual(self.judge(lambda _: None), 1)
        self.assertEqual(self.said[-1], '1 mutants: 0 caught, 1 survived (0 with a reason)')

    def test_survivor_with_a_reason(self):
        self.assertEqual(self.judge(lambda _: None, one(DEFINITION + 'survives: so\n')), 0)
        self.assertEqual(self.said[-1], '1 mutants: 0 caught, 1 survived (1 with a reason)')

    def test_one_that_does_not_build_is_not_caught(self):
        def broken(_):
            raise mutant.Bad('does not build')
        self.assertEqual(self.judge(broken), 2)
        self.assertEqual(self.said[-1], '1 mutants: 0 caught, 0 survived (0 with a reason)')
        self.assertEqual((self.top / 'some.rs').read_text(), SOURCE)

    def test_failing_baseline(self):
        self.tool.CONFIG = {}
        self.tool.run = lambda *_: self.tool.Outcome('gs_a.x')
        with self.assertRaisesRegex(mutant.Bad, 'without a mutant'):
            self.tool.baseline(self.scratch, [one()])

    def test_baseline_that_fails_once(self):
        self.tool.CONFIG = {}
        answers = [self.tool.Outcome('other.x', {'a': 1}, {'a': 2.0}, 'other.test'),
                   self.tool.Outcome(None, {'other.test': 1, 'suite': 2}, {'suite': 3.0})]
        ran = []

        def run(_scratch, _how, by, *_):
            ran.append(by)
            return answers.pop(0)
        self.tool.run = run
        found = one(DEFINITION.replace('by: suite', 'by: a suite'))
        self.assertEqual(self.tool.baseline(self.scratch, [found]), {'a': 2.0, 'suite': 3.0})
        self.assertEqual(ran, [['a', 'other.test', 'suite'], ['other.test', 'suite']])

    def test_pattern_that_runs_nothing(self):
        self.tool.CONFIG = {}
        self.tool.run = lambda *_: self.tool.Outcome(None, {'suite': 3}, {})
        with self.assertRaisesRegex(mutant.Bad, 'no test is called other.test'):
            self.tool.baseline(self.scratch, [one()])


if __name__ == '__main__':
    unittest.main()
