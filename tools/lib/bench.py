# SPDX-License-Identifier: GPL-2.0
"""What the benchmark's guests print, as results: parsed, checked, summed up.

A guest (bench/guest) prints lines that begin with "gs_bench:"; the comments of
bench/main.c and bench/guest say which. A result is one object for each name
that was sampled:

    ground, kernel, name, unit, ours, peer, ratio, spread

ours and peer are medians, ratio is ours / peer, and spread is the interquartile
range of the ratios of samples taken side by side, relative to their median. Where
the peer's is nothing, so is the ratio.
"""

import re
import statistics
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

SIDES = ('ours', 'peer')
KEYS = ('ground', 'kernel', 'name', 'unit', 'ours', 'peer', 'ratio', 'spread')

# Names that a row samples, as expressions; what is not listed samples its own.
NAMES: Dict[str, List[str]] = {
    'burst': ['burst_alloc', 'burst_free'],
    'dtor': ['dtor', 'dtor_call'],
    'drain': ['drain', 'drain_periods', 'drain_expedited', 'drain_memory'],
    'barrier': ['barrier', 'barrier_period'],
    'barriers': [f'barrier_{which}_{n}' for n in (0, 1, 1000000) for which in ('cache', 'all')],
    'age': ['age_median', 'age_max', 'age_bound'],
    'rcuscale': ['rcuscale', 'rcuscale_drained'],
    'steady': ['steady', 'steady_memory'],
    'test_vmalloc': ['vmalloc_1_arg', 'vmalloc_1_drained', 'vmalloc_2_args', 'vmalloc_2_drained'],
    'latency': ['latency_median', 'latency_p999'],
    'bytes': [f'bytes_{size}' for size in (8, 16, 24, 32, 64, 96, 128, 192, 256, 512, 1024,
                                           2048, 4096, 8192)],
}

# The ratio that a row is to reach, on each ground where there is one.
TARGETS: List[Tuple[str, Dict[str, float]]] = [
    ('pair', {'uml': 0.35, 'x86': 0.40}),
    ('burst_alloc|burst_free|shuffled|bulk16|bulk64', {'uml': 0.60, 'x86': 0.60}),
    ('free_rcu', {'uml': 0.30, 'x86': 0.35}),
    ('kvfree_rcu', {'uml': 0.45, 'x86': 0.50}),
    ('kvfree_rcu_vmalloc', {'uml': 0.90, 'x86': 0.90}),
    ('dtor', {'uml': 0.25}),
    ('drain', {'uml': 0.50}),
    ('drain_periods|drain_memory', {'uml': 1.00}),
    ('steady', {'uml': 2.00}),
    ('insert', {'uml': 1.50}),
    ('steady_memory', {'uml': 0.50}),
    ('age_bound', {'uml': 1.00}),
    ('barrier_period', {'uml': 1.20}),
    ('destroy_idle', {'uml': 0.05}),
    ('create_destroy', {'uml': 0.25}),
]
MORE_IS_BETTER = {'steady', 'insert'}


class Broken(Exception):
    """The guest did not measure what it was asked to."""


class Result(NamedTuple):
    """One object of results.json."""
    ground: str
    kernel: str
    name: str
    unit: str
    ours: float
    peer: float
    ratio: float
    spread: float


class Point(NamedTuple):
    """A point of a curve that is plotted."""
    curve: str
    side: str
    x: int
    y: int


class Output(NamedTuple):
    """All that a guest said."""
    kernel: str
    units: Dict[str, str]
    samples: Dict[str, Dict[str, List[float]]]
    points: List[Point]


def wanted(row: str, cpus: int) -> List[str]:
    """The names that a row has to sample."""
    if row == 'scale':
        counts = [1 << i for i in range(cpus.bit_length()) if 1 << i <= cpus]
        return [f'scale_{work}_{n}' for n in counts for work in ('pair', 'free_rcu')]
    return NAMES.get(row, [row])


def parse(lines: Iterable[str]) -> Tuple[Output, Dict[str, int]]:
    """A guest's output, and the status of each row that came to its end."""
    kernel = ''
    units: Dict[str, str] = {}
    samples: Dict[str, Dict[str, List[float]]] = {}
    points: List[Point] = []
    ends: Dict[str, int] = {}
    for line in lines:
        words = line.split()
        if words[:1] != ['gs_bench:']:
            continue
        try:
            kind, rest = words[1], words[2:]
            if kind == 'kernel':
                kernel, = rest
            elif kind == 'end':
                name, status = rest
                ends[name] = int(status)
            elif kind == 'sample':
                name, unit, side, milli = rest
                if side not in SIDES or units.setdefault(name, unit) != unit:
                    raise ValueError
                sides = samples.setdefault(name, {side: [] for side in SIDES})
                sides[side].append(int(milli) / 1000)
            elif kind == 'point':
                curve, side, x, y = rest
                points.append(Point(curve, side, int(x), int(y)))
        except (ValueError, IndexError):
            raise Broken(f'the guest printed a line that makes no sense: {line.strip()!r}') from None
    return Output(kernel, units, samples, points), ends


def check(output: Output, ends: Dict[str, int], rows: List[str], cpus: int,
          repeats: int) -> None:
    """Every row that was asked for has been measured, on both sides, often enough."""
    if not output.kernel:
        raise Broken('the guest did not say which kernel it runs')
    for row in rows:
        if row not in ends:
            raise Broken(f'row {row} did not come to its end')
        if ends[row]:
            raise Broken(f'row {row} failed in the guest')
        for name in wanted(row, cpus):
            sides = output.samples.get(name, {})
            for side in SIDES:
                got = len(sides.get(side, []))
                if got != repeats:
                    raise Broken(f'row {row}: {got} samples of {name} ({side}), not {repeats}')
                if max(sides[side]) <= 0 and not name.startswith('drain_'):
                    raise Broken(f'row {row}: {name} ({side}) is nothing but zeroes')


def spread_of(ratios: List[float]) -> float:
    """The interquartile range, relative to the median."""
    middle = statistics.median(ratios)
    if len(ratios) < 2 or not middle:
        return 0.0
    low, _, high = statistics.quantiles(ratios, n=4, method='inclusive')
    return (high - low) / middle


def results(output: Output, ground: str) -> List[Result]:
    """A result for each name."""
    found = []
    for name, sides in output.samples.items():
        ours, peer = (statistics.median(sides[side]) for side in SIDES)
        ratios = [a / b for a, b in zip(sides['ours'], sides['peer']) if b]
        found.append(Result(ground, output.kernel, name, output.units[name], round(ours, 3),
                            round(peer, 3), round(ours / peer, 4) if peer else 0.0,
                            round(spread_of(ratios), 4) if ratios else 0.0))
    return found


def target(result: Result) -> Optional[float]:
    """The ratio that this one is to reach, if there is one."""
    size = re.fullmatch(r'bytes_(\d+)', result.name)
    if size:
        return round(1.02 + 3 / 8 / float(size.group(1)), 4)
    for names, grounds in TARGETS:
        if re.fullmatch(names, result.name):
            return grounds.get(result.ground)
    return None


def reached(result: Result) -> Optional[bool]:
    """Whether the target is reached, where there is one."""
    aim = target(result)
    if aim is None:
        return None
    return result.ratio >= aim if result.name in MORE_IS_BETTER else result.ratio <= aim


def number(value: float) -> str:
    """A value with the digits that count."""
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.2f}' if value >= 1 else f'{value:.3f}'


def table(found: List[Result], base: Optional[List[Result]] = None) -> str:
    """All of it, to be read; beside an earlier run where there is one."""
    before = {(r.ground, r.name): r for r in base or []}
    head = ['ground', 'name', 'unit', 'ours', 'peer', 'ratio', 'spread', 'target', '']
    if base is not None:
        head += ['was', 'change']
    lines = [head]
    for r in found:
        aim, good = target(r), reached(r)
        sign = '>=' if r.name in MORE_IS_BETTER else '<='
        line = [r.ground, r.name, r.unit, number(r.ours), number(r.peer),
                number(r.ratio) if r.peer else '-',
                f'{100 * r.spread:.0f} %', f'{sign} {aim:.2f}' if aim else '-',
                '' if good is None else 'ok' if good else 'missed']
        if base is not None:
            old = before.get((r.ground, r.name))
            line += [number(old.ours) if old else '-',
                     f'{100 * (r.ours / old.ours - 1):+.1f} %' if old and old.ours else '-']
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    left = {0, 1, 2, 8}
    return '\n'.join('  '.join(text.ljust(width) if i in left else text.rjust(width)
                               for i, (text, width) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)


def from_json(objects: object) -> List[Result]:
    """The results of a file of ours."""
    if not isinstance(objects, list):
        raise Broken('it is no list')
    found = []
    for o in objects:
        if not isinstance(o, dict) or any(key not in o for key in KEYS):
            raise Broken(f'an object has not all of {", ".join(KEYS)}')
        found.append(Result(*(o[key] for key in KEYS)))
    return found
