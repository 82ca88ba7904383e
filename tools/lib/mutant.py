# SPDX-License-Identifier: GPL-2.0
"""Definitions of mutants: small breaks of a source, and what has to notice them.

A file of tools/mutants.d is about one source:

    # a comment
    file: rust/cache/bits.rs

    [bits-promote-keeps]
    what: promotion leaves the bits where they were
    by: gs_dtor gs_reader.gs_reader_held
    in: fn promote
    - n.swap(0)
    + n.load()

The lines with - are an old text and those with + after them what replaces it; a
mutant may have several such pairs. The old text has to be there exactly once,
whatever its white space; with `in`, within the braces that follow that text,
which has to be there exactly once as well. Optional are

    how: kunit | kunit-up | kunit-x86 | kunit-numa | host | vm    what runs `by`; kunit if not said
    limit: SECONDS                       a mutant that takes longer has hung
    repeat: N                            run `by` N times: what it breaks is a race
    sample: yes                          one of those that tools/test runs
    survives: REASON                     why no test can be expected to notice

By is KUnit suites or tests ("suite.test", with * and ?), test binaries of
rust/tests/host, or scripts of tools/vm-test.
"""

import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

HOW = ('kunit', 'kunit-up', 'kunit-x86', 'kunit-numa', 'host', 'vm')
FIELDS = ('what', 'by', 'in', 'how', 'limit', 'repeat', 'sample', 'survives')


class Bad(Exception):
    """A definition that cannot be used: says where and why."""


class Mutant(NamedTuple):
    """One break."""
    name: str
    file: str
    what: str
    by: Tuple[str, ...]
    changes: Tuple[Tuple[str, str], ...]
    within: str = ''
    how: str = 'kunit'
    limit: float = 0
    repeat: int = 1
    sample: bool = False
    survives: str = ''


def pairs(lines: List[str]) -> Iterator[Tuple[str, str]]:
    """Old and new texts of lines that begin with - and +."""
    old: List[str] = []
    new: List[str] = []
    for line in lines + ['-']:
        if line[0] == '-' and new:
            yield '\n'.join(old), '\n'.join(new)
            old, new = [], []
        (old if line[0] == '-' else new).append(line[2:])
    if any(old):
        yield '\n'.join(old), ''


def make(where: str, name: str, file: str, fields: Dict[str, str], lines: List[str]) -> Mutant:
    """A mutant of what its section said."""
    changes = tuple(pairs(lines))
    how = fields.get('how', 'kunit')
    if not file:
        raise Bad(f'{where}: no "file:" before [{name}]')
    if not re.fullmatch(r'[a-z0-9-]+', name):
        raise Bad(f'{where}: [{name}]: names are of a-z, 0-9 and -')
    for field in ('what', 'by'):
        if not fields.get(field):
            raise Bad(f'{where}: [{name}] has no "{field}:"')
    if not changes or not all(old.strip() for old, _ in changes):
        raise Bad(f'{where}: [{name}] has no old text: lines that begin with -')
    if how not in HOW:
        raise Bad(f'{where}: [{name}]: how: {how} is none of {", ".join(HOW)}')
    if fields.get('sample', 'yes') != 'yes':
        raise Bad(f'{where}: [{name}]: sample: is "yes" or left out')
    try:
        limit, repeat = float(fields.get('limit', 0)), int(fields.get('repeat', 1))
    except ValueError as error:
        raise Bad(f'{where}: [{name}]: {error}') from None
    if any(old.split() == new.split() for old, new in changes):
        raise Bad(f'{where}: [{name}] changes nothing')
    return Mutant(name, file, fields['what'], tuple(fields['by'].split()), changes,
                  fields.get('in', ''), how, limit, repeat,
                  'sample' in fields, fields.get('survives', ''))


def parse(text: str, where: str) -> List[Mutant]:
    """The mutants of one file of definitions."""
    file, name, last = '', '', ''
    fields: Dict[str, str] = {}
    lines: List[str] = []
    found: List[Mutant] = []

    def end() -> None:
        if name:
            found.append(make(where, name, file, fields, lines))

    for number, line in enumerate(text.splitlines(), 1):
        here = f'{where}:{number}'
        if not line.strip() or line.startswith('#'):
            continue
        section = re.fullmatch(r'\[(.*)\]', line)
        field = re.fullmatch(r'([a-z]+): *(.*)', line)
        if section:
            end()
            name, last, fields, lines = section.group(1), '', {}, []
        elif line[0] in '-+' and name:
            lines.append(line)
        elif line[0] == ' ' and last:
            fields[last] += ' ' + line.strip()
        elif field and field.group(1) == 'file' and not name:
            file = field.group(2)
        elif field and field.group(1) in FIELDS and name and field.group(1) not in fields:
            last = field.group(1)
            fields[last] = field.group(2)
        else:
            raise Bad(f'{here}: not understood: {line}')
    end()
    return found


def load(directory: Path) -> List[Mutant]:
    """Every mutant, in the order of the files' names."""
    mutants: List[Mutant] = []
    for path in sorted(directory.iterdir()):
        mutants += parse(path.read_text(encoding='utf-8'), f'{directory.name}/{path.name}')
    names = [mutant.name for mutant in mutants]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Bad(f'{directory.name}: more than one mutant is called {", ".join(twice)}')
    return mutants


def pattern(text: str) -> 're.Pattern[str]':
    """Finds text, whatever the white space where it has some."""
    return re.compile(r'\s+'.join(re.escape(word) for word in text.split()))


def braces(source: str, start: int) -> Tuple[int, int]:
    """From start to the end of the braces that open next; empty if a ; comes before."""
    depth = 0
    for at in range(start, len(source)):
        char = source[at]
        if char == ';' and not depth:
            break
        depth += (char == '{') - (char == '}')
        if char == '}' and not depth:
            return start, at + 1
    return start, start


def region(source: str, mutant: Mutant) -> Tuple[int, int]:
    """The part of the source that the mutant's old text is looked for in."""
    if not mutant.within:
        return 0, len(source)
    # The end of a word there is the end of one in the source.
    regex = re.compile(pattern(mutant.within).pattern + r'(?:(?<!\w)|(?!\w))')
    spans = [braces(source, match.start()) for match in regex.finditer(source)]
    spans = [(start, end) for start, end in spans if end > start]
    if len(spans) != 1:
        raise Bad(f'{mutant.name}: "{mutant.within}" with braces after it is in {mutant.file} '
                  f'{len(spans)} times, not once: bring the definition up to date')
    return spans[0]


def apply(source: str, mutant: Mutant) -> str:
    """The source with the break in it."""
    for old, new in mutant.changes:
        start, end = region(source, mutant)
        places = list(pattern(old).finditer(source, start, end))
        if len(places) != 1:
            raise Bad(f'{mutant.name}: "{old.strip()}" is in {mutant.file} {len(places)} times, '
                      'not once: bring the definition up to date')
        source = source[:places[0].start()] + new + source[places[0].end():]
    return source
