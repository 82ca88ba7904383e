#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Find kernel reports (splats) in a console log.

A test that provokes a report on purpose says so in the log, before and after:

    graceslab-test: expect splat: REGEX
    graceslab-test: end expect

In between, a report one of whose lines matches REGEX is tolerated, and at
least one has to come; with 'allow' in the place of 'expect' none need come. Any
other report, anywhere, is a finding.
"""

import re
import sys
from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional, Pattern, Tuple

LIST = Path(__file__).with_name('splats')
STAMP = re.compile(r'^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?')
OPEN = re.compile(r'graceslab-test: (expect|allow) splat: (.*)$')
CLOSE = re.compile(r'graceslab-test: end expect')
CUT = re.compile(r'-+\[ cut here \]-+')
END = re.compile(r'---\[ end trace')


class Finding(NamedTuple):
    """A reason to fail: the number of the line (from 1) and its text."""
    line: int
    text: str


def patterns() -> Tuple[Pattern[str], Pattern[str]]:
    """The list as two expressions: what starts a report, what belongs to one."""
    kinds: dict = {'start': [], 'part': []}
    for line in LIST.read_text().splitlines():
        if line and not line.startswith('#'):
            kind, _, regex = line.partition(' ')
            kinds[kind].append(f'(?:{regex})')
    return re.compile('|'.join(kinds['start'])), re.compile('|'.join(kinds['part']))


class Report:
    """One splat: from its first line to its end marker, or to the next one."""

    def __init__(self, line: int, text: str) -> None:
        self.line = line
        self.title = text
        self.lines: List[str] = []
        self.real = False      # a bare 'cut here' is none yet
        self.started = False   # a line of kind start was seen

    def matches(self, regex: Optional[Pattern[str]]) -> bool:
        """Whether any of its lines is the one expected."""
        return regex is not None and any(regex.search(text) for text in self.lines)


class Scanner:
    """Feed it lines; findings collects what has to fail the run."""

    def __init__(self) -> None:
        self.start, self.part = patterns()
        self.findings: List[Finding] = []
        self.tolerated = 0
        self.number = 0
        self.report: Optional[Report] = None
        self.expected: Optional[Pattern[str]] = None
        self.opened = 0
        self.met = False

    def feed(self, raw: str) -> None:
        """Look at the next line of the log."""
        self.number += 1
        text = STAMP.sub('', raw.rstrip('\r\n'))
        bracket = OPEN.search(text)
        if bracket:
            self.open_bracket(bracket.group(2), bracket.group(1) == 'expect')
        elif CLOSE.search(text):
            self.close_bracket()
        else:
            self.look(text)

    def look(self, text: str) -> None:
        """Add a line to the report it belongs to, or begin one."""
        starts = bool(self.start.search(text))
        cut = bool(CUT.search(text))
        if cut or starts and (self.report is None or self.report.started):
            self.end_report()
            self.report = Report(self.number, text)
        elif self.report is None:
            if not self.part.search(text):
                return
            self.report = Report(self.number, text)
        report = self.report
        assert report is not None
        report.lines.append(text)
        if starts and not report.started:
            report.title, report.started = text, True
        report.real |= starts or bool(self.part.search(text))
        if END.search(text):
            self.end_report()

    def end_report(self) -> None:
        """Judge the report that is open, if any."""
        report, self.report = self.report, None
        if report is None or not report.real:
            return
        if report.matches(self.expected):
            self.met = True
            self.tolerated += 1
        else:
            self.findings.append(Finding(report.line, report.title))

    def open_bracket(self, regex: str, needed: bool) -> None:
        """From here on a report that matches regex is expected, or at least allowed."""
        self.end_report()
        self.unclosed()
        self.opened, self.met = self.number, not needed
        self.expected = re.compile(regex.strip())

    def close_bracket(self) -> None:
        """The expected report must have come by now."""
        self.end_report()
        if self.expected is not None and not self.met:
            self.findings.append(Finding(
                self.opened, f'expected a splat and saw none: {self.expected.pattern}'))
        self.expected = None

    def unclosed(self) -> None:
        """A bracket that is open now will not be closed any more."""
        if self.expected is not None:
            self.findings.append(Finding(
                self.opened, f'a bracket was never closed: {self.expected.pattern}'))
            self.expected = None

    def finish(self) -> List[Finding]:
        """The log has ended: every finding in it."""
        self.end_report()
        self.unclosed()
        return self.findings


def scan(lines: Iterable[str]) -> List[Finding]:
    """Every finding in a log."""
    scanner = Scanner()
    for line in lines:
        scanner.feed(line)
    return scanner.finish()


def main() -> int:
    """Scan the logs named on the command line."""
    status = 0
    for name in sys.argv[1:]:
        with open(name, errors='replace', encoding='utf-8') as log:
            for finding in scan(log):
                print(f'{name}:{finding.line}: kernel splat: {finding.text}', file=sys.stderr)
                status = 1
    return status


if __name__ == '__main__':
    sys.exit(main())
