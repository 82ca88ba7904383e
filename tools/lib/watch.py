# SPDX-License-Identifier: GPL-2.0
"""Follow a guest's console and say, at once, what went wrong first.

KUnit's report is read as it comes: which test is running, which has passed,
which has failed. tools/ktap judges whole logs, and more strictly.
"""

import re
from typing import Dict, List, Optional

import splats

SUBTEST = re.compile(r'^( *)# Subtest: (\S+)')
RESULT = re.compile(r'^( *)(not ok|ok) \d+ (\S+)(.*# SKIP)?')
LOADING = re.compile(r'^mutants: (.*)$')
TIMES = re.compile(r'^\[ *(\d+\.\d+)\]')


class Watch:
    """Feed it lines; trouble is what failed first."""

    def __init__(self) -> None:
        self.scanner = splats.Scanner()
        self.path: Dict[int, str] = {}
        self.trouble: Optional[str] = None
        self.passed: Dict[str, int] = {}    # by what was loaded
        self.spent: Dict[str, float] = {}   # the same, in seconds of the guest
        self.loading = ''
        self.begun = 0.0
        self.now = 0.0

    def feed(self, raw: str) -> None:
        """Look at the next line."""
        stamp = TIMES.match(raw)
        if stamp:
            self.now = float(stamp.group(1))
        line = splats.STAMP.sub('', raw)
        loading = LOADING.match(line)
        if loading:
            self.load(loading.group(1))
        self.test(line)
        self.scanner.feed(raw)
        if self.scanner.findings:
            self.report(self.splat())

    def load(self, what: str) -> None:
        """The guest says which tests come next."""
        if self.loading:
            self.spent[self.loading] = self.spent.get(self.loading, 0) + self.now - self.begun
        self.loading, self.begun, self.path = what, self.now, {}

    def test(self, line: str) -> None:
        """Take a line of KUnit's, if it is one."""
        subtest, result = SUBTEST.match(line), RESULT.match(line)
        match = subtest or result
        if not match:
            return
        depth = len(match.group(1))
        self.path = {d: name for d, name in self.path.items() if d < depth + bool(result)}
        if subtest:
            self.path[depth] = subtest.group(2)
        elif result and not result.group(4):
            name = '.'.join(self.names() + [result.group(3)])
            if result.group(2) == 'not ok':
                self.report(name)
            else:
                self.passed[self.loading] = self.passed.get(self.loading, 0) + 1

    def names(self) -> List[str]:
        """The path to the test that runs now."""
        return [self.path[depth] for depth in sorted(self.path)]

    def splat(self) -> str:
        """The first report of the kernel."""
        text = self.scanner.findings[0].text
        # Neither numbers, mangled names nor expressions say anything to a reader.
        text = re.sub(r'^(expected a splat and saw none): .*', r'\1', text)
        text = re.sub(r'^(WARNING: [^:]*):\d+ at .*| \(Tainted:.*\)', r'\1', text)
        text = re.sub(r'\b(0x)?[0-9a-f]{8,}\b|\b\d+\b', '*', text)
        return f'splat: {text}{self.where()}'

    def where(self) -> str:
        """In which test that was."""
        return f' in {".".join(self.names())}' if self.path else ''

    def report(self, what: str) -> None:
        """Remember what went wrong, if nothing did before."""
        self.trouble = self.trouble or what

    def end(self) -> None:
        """No more lines will come."""
        self.load('')
        if self.scanner.finish():
            self.report(self.splat())
