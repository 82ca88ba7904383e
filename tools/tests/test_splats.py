# SPDX-License-Identifier: GPL-2.0
"""The splat detector finds each kind, and its bracket forgives just one thing."""

import re
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / 'lib'),
                str(Path(__file__).resolve().parent)]

import splats  # noqa: E402
from samples import CLEAN, SPLATS  # noqa: E402


def scan(text):
    """Findings in a log given as text."""
    return splats.scan(text.splitlines(keepends=True))


def bracket(regex, text):
    """The text inside a bracket that expects regex."""
    return (f'[    1.0] graceslab-test: expect splat: {regex}\n{text}'
            '[    1.9] graceslab-test: end expect\n')


class Detector(unittest.TestCase):
    """What is found."""

    def test_clean_log(self):
        self.assertEqual(scan(CLEAN), [])

    def test_the_kernels_own_race(self):
        count = 'kprobes_inc_nmissed_count'
        line = '[    1.0] BUG: KCSAN: data-race in {} / {}\n'
        self.assertEqual(scan(line.format(count, count)), [])
        self.assertEqual(len(scan(line.format(count, 'gs_race [gs_faults]'))), 1)
        self.assertEqual(len(scan(line.format('gs_race [gs_faults]', count))), 1)

    def test_each_kind_is_found(self):
        for name, text in SPLATS.items():
            with self.subTest(name):
                self.assertGreaterEqual(len(scan(CLEAN + text + CLEAN)), 1)

    def test_each_pattern_has_a_sample(self):
        text = '\n'.join(splats.STAMP.sub('', line)
                         for sample in SPLATS.values() for line in sample.splitlines())
        for line in splats.LIST.read_text().splitlines():
            if line and not line.startswith('#'):
                regex = line.split(' ', 1)[1]
                with self.subTest(regex):
                    self.assertTrue(re.search(regex, text, re.M))

    def test_one_report_is_one_finding(self):
        self.assertEqual(len(scan(SPLATS['warn'])), 1)
        self.assertEqual(len(scan(SPLATS['warn'] * 2)), 2)

    def test_finding_names_line_and_title(self):
        finding = scan(CLEAN + SPLATS['warn'])[0]
        self.assertIn('WARNING: rust/cache.c:4', finding.text)
        self.assertIn('cut here', (CLEAN + SPLATS['warn']).splitlines()[finding.line - 1])


class Bracket(unittest.TestCase):
    """What is forgiven."""

    def test_matching_report(self):
        self.assertEqual(scan(CLEAN + bracket('double free', SPLATS['warn']) + CLEAN), [])

    def test_allowed_report_need_not_come(self):
        allow = bracket('some_function', '%s').replace('expect splat', 'allow splat')
        splat = '[    1.1] BUG: unable to handle page fault\n[    1.1] some_function+0x1/0x2\n'
        self.assertEqual(scan(allow % ''), [])
        self.assertEqual(scan(allow % splat), [])
        self.assertEqual(len(scan(allow.replace('some_function', 'another') % splat)), 1)

    def test_matching_on_the_first_line(self):
        self.assertEqual(scan(bracket(r'WARNING: .*gs_cache_free', SPLATS['warn'])), [])

    def test_report_without_end_marker(self):
        self.assertEqual(scan(bracket('KASAN: slab-use-after-free', SPLATS['kasan'])), [])

    def test_other_report_inside(self):
        self.assertEqual(len(scan(bracket('double free', SPLATS['warn'] + SPLATS['null']))), 1)
        self.assertEqual(len(scan(bracket('double free', SPLATS['null'] + SPLATS['warn']))), 1)

    def test_other_report_without_end_marker_inside(self):
        self.assertEqual(len(scan(bracket('KASAN', SPLATS['kasan'] + SPLATS['null']))), 1)

    def test_nothing_came(self):
        self.assertIn('saw none', scan(bracket('double free', CLEAN))[0].text)

    def test_ordinary_line_is_no_report(self):
        self.assertEqual(len(scan(bracket('double free', '[    1.1] a double free is next\n'))), 1)

    def test_before_and_after(self):
        inside = bracket('double free', SPLATS['warn'])
        self.assertEqual(len(scan(SPLATS['warn'] + inside)), 1)
        self.assertEqual(len(scan(inside + SPLATS['warn'])), 1)

    def test_open_report_is_not_carried_in(self):
        self.assertEqual(len(scan(SPLATS['null'] + bracket('double free', SPLATS['warn']))), 1)

    def test_never_closed(self):
        inside = bracket('double free', SPLATS['warn'])
        self.assertEqual(len(scan(inside.rsplit('\n', 2)[0] + '\n')), 1)
        self.assertEqual(len(scan(inside.rsplit('\n', 2)[0] + '\n' + inside)), 1)

    def test_twice(self):
        self.assertEqual(scan(bracket('double free', SPLATS['warn']) * 2), [])
        self.assertEqual(len(scan(bracket('double free', SPLATS['warn'])
                                  + bracket('double free', ''))), 1)


if __name__ == '__main__':
    unittest.main()
