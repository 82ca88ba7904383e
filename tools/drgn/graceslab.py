#!/usr/bin/env drgn
# SPDX-License-Identifier: GPL-2.0
"""graceslab's caches, and the oldest frees that wait, of a live kernel or of a dump.

usage: drgn -s VMLINUX -s graceslab.ko [-k | -c VMCORE] tools/drgn/graceslab.py [OPTIONS]

Both need their debugging information. Nothing is called and no lock is taken, so
that it does not matter what the kernel hangs in; of a cache at work, the figures
are of moments shortly after another, and a list that changes while it is followed
ends where it can no longer be.
"""

import argparse
import sys
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from drgn import FaultError, Language, Object, Program, Type, TypeKind, cast, container_of, sizeof
from drgn.helpers.common.format import print_table
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.stackdepot import stack_depot_fetch

# As rust/cache/core.rs has them.
STATES = ('live', 'dying', 'leaked')
STORE_USER = 1 << 7
# As rust/rcu/domain.rs has them.
CHANNELS = ('kmalloc', 'vmalloc')
# As rust/cache/slab.rs has it: what says more is none any more.
MAX_OBJECTS = 1024
WORD = 64
# What a list may have grown by since its length was read.
MORE = 64


# Rust's values in C's clothes

def rust_type(prog: Program, name: str) -> Type:
    """A type of the module."""
    was, prog.language = prog.language, Language.CPP
    try:
        return prog.type(f'struct graceslab::{name}')
    finally:
        prog.language = was


def plain(obj: Object) -> Object:
    """What is in a cell, an atomic or any other type around one value."""
    while obj.type_.kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
        inner = [m.name for m in obj.type_.members if sizeof(m.type)]
        if len(inner) != 1:
            break
        obj = obj.member_(inner[0])
    return obj


def number(obj: Object) -> int:
    """The same, of a number or an address; an atomic has a signed one inside."""
    return plain(obj).value_() % (1 << 64)


def on_list(items: Object, of: Type, member: str) -> Iterator[Object]:
    """The items of a `List`, linked by a member of theirs."""
    head = items.head.address_of_().value_()
    link = items.head.next
    try:
        # No further than it was long: who follows it may have been led to another one.
        for _ in range(items.len.value_() + MORE):
            if not link or link.value_() == head:
                break
            yield container_of(link, of, member)
            link = link.next.read_()
    except FaultError:
        pass


def on_stack(first: int, of: Type, member: str) -> Iterator[Object]:
    """The items of a `Stack`, or any others that a member of theirs links."""
    item = Object(of.prog, of.prog.pointer_type(of), value=first)
    try:
        while item:
            yield item
            item = cast(item.type_, item.member_(member)).read_()
    except FaultError:
        pass


# What the module has

def caches(prog: Program) -> Iterator[Object]:
    """Every cache: `Core *`, children and destroyed ones with objects left among them."""
    registry = plain(prog['graceslab::cache::registry::REGISTRY'])
    return on_list(registry.caches, rust_type(prog, 'cache::core::Core'), 'link')


def name(core: Object) -> str:
    """A cache's name."""
    return core.name.string_().decode(errors='replace')


def shares(core: Object) -> Iterator[Tuple[int, Object]]:
    """Each CPU's share of a cache."""
    for cpu in for_each_possible_cpu(core.prog_):
        yield cpu, per_cpu_ptr(core.pcpu, cpu)


def nodes(core: Object) -> Iterator[Object]:
    """Its NUMA nodes, with what their locks protect."""
    for n in range(core.nr_nodes):
        yield core.nodes[n]


def slabs(core: Object) -> Iterator[Object]:
    """Its slabs."""
    slab_type = rust_type(core.prog_, 'cache::slab::Slab')
    for node in nodes(core):
        yield from on_list(plain(node.inner.data).all, slab_type, 'all')
        for slab in on_stack(number(node.incoming), slab_type, 'incoming_next'):
            # Of an allocation whose lock was taken, and that no list has seen.
            if not slab.all.next:
                yield slab


def bits(slab: Object) -> List[int]:
    """The three bitmaps that follow a slab's descriptor: free, pending_next, pending_wait."""
    size = -(-min(slab.objects.value_(), MAX_OBJECTS) // WORD) * (WORD // 8)
    where = slab.value_() + sizeof(slab[0])
    return [int.from_bytes(slab.prog_.read(where + i * size, size), 'little') for i in range(3)]


def objects_in(slab: Object, bitmap: int) -> Iterator[int]:
    """The addresses of the objects whose bits are set."""
    base, stride = slab.base.value_(), slab.core.geometry.stride.value_()
    return (base + i * stride for i in range(MAX_OBJECTS) if bitmap >> i & 1)


def objects_of(batch: Object) -> List[int]:
    """The pointers in a sheaf or batch, oldest first."""
    first = batch.value_() + sizeof(batch[0])
    return [batch.prog_.read_word(first + 8 * i) for i in range(batch.size)]


def in_out(domain: Object, queues: List[Object]) -> Tuple[int, int]:
    """Deferred frees in and out."""
    return (number(domain.also_in) + sum(number(q.queued) for q in queues),
            number(domain.also_out) + sum(number(q.done) for q in queues))


def channels(prog: Program) -> Iterator[Tuple[str, Object, Dict[int, Object]]]:
    """Others' pointers by kind: what counts them, and each CPU's queue."""
    queue_type = prog.pointer_type(rust_type(prog, 'rcu::queue::Queue'))
    area = cast(queue_type, plain(prog['graceslab::percpu::CHANNEL_QUEUES']))
    for i, kind in enumerate(CHANNELS):
        yield (kind, prog['graceslab::rcu::domain::FOREIGN'][i],
               {cpu: per_cpu_ptr(area, cpu) + i for cpu in for_each_possible_cpu(prog)})


class Figures(NamedTuple):
    """What is counted of a cache."""
    slabs: int
    objects: int
    live: int
    pending: int


def figures(core: Object) -> Figures:
    """Count it, as /sys/kernel/debug/graceslab/caches does."""
    nr_slabs = objects = free = 0
    for slab in slabs(core):
        nr_slabs += 1
        objects += slab.objects.value_()
        free += bin(bits(slab)[0]).count('1')
    cached = sum(number(plain(node.inner.data).in_full) for node in nodes(core))
    for _, share in shares(core):
        cached += share.main.size.value_() + share.spare.size.value_()
    batch = share.main.type_.type
    cached += sum(s.size.value_() for s in on_stack(number(core.detached), batch, 'next'))
    into, out = in_out(core.domain, [s.queue for _, s in shares(core)])
    return Figures(nr_slabs, objects, max(objects - free - cached - (into - out), 0), into - out)


# What waits

class Waiting(NamedTuple):
    """Deferred frees that wait together."""
    age: Optional[int]      # ms since the first of them came, where that is known
    cache: str
    core: Optional[Object]
    cpu: Optional[int]
    state: str
    objects: List[int]


class Clock:
    """The kernel's idea of time: ticks, and grace periods."""

    def __init__(self, prog: Program) -> None:
        self.jiffies = prog['jiffies'].value_()
        ticks = prog['clocksource_jiffies']
        self.tick_ns = (ticks.mult >> ticks.shift).value_()
        try:
            rcu = prog['rcu_state']
            self.done = [rcu.node[0].gp_seq.value_(), rcu.expedited_sequence.value_()]
        except KeyError:
            # A kernel for one CPU keeps other books.
            self.done = []

    def age(self, since: int) -> int:
        """Milliseconds since then."""
        return max((self.jiffies - since + (1 << 63)) % (1 << 64) - (1 << 63), 0) \
            * self.tick_ns // 1000000

    def over(self, cookie: Object) -> bool:
        """Whether the grace period that a cookie stands for is over, as RCU would say it."""
        return any(word == 1 or (now - word) % (1 << 64) < 1 << 63
                   for now, word in zip(self.done, (w.value_() for w in plain(cookie))))


def cpus(prog: Program) -> Iterator[Object]:
    """What each CPU keeps for the whole module."""
    table = plain(prog['graceslab::percpu::CPUS'])
    return (table[cpu][0] for cpu in for_each_possible_cpu(prog))


def opened(eras: Object, cookie: Object) -> int:
    """When the first object came that waits with a cookie, as rust/rcu/eras.rs has it."""
    kept, count = len(eras.ring), eras.count.value_()
    oldest = max(count - (kept - 1), 1)
    wanted = [w.value_() for w in plain(cookie)]
    for n in range(oldest, count + 1):
        if [w.value_() for w in plain(eras.ring[n % kept].cookie)] == wanted:
            return eras.ring[n % kept].opened.value_()
    return eras.ring[oldest % kept].opened.value_()


def queue_waits(clock: Clock, cpu: Object, queue: Object, cache: str,
                core: Optional[Object]) -> Iterator[Waiting]:
    """A CPU's batches of one cache, or of others' pointers of one kind."""
    number_of = cpu.id.value_()
    if queue.open.size:
        yield Waiting(clock.age(queue.opened.value_()), cache, core, number_of, 'open',
                      objects_of(queue.open))
    batch = queue.fifo.head
    while batch:
        yield Waiting(clock.age(opened(plain(cpu.eras), batch.cookie)), cache, core, number_of,
                      'ripe' if clock.over(batch.cookie) else 'sealed', objects_of(batch))
        batch = batch.next


def bit_waits(clock: Clock, core: Object) -> Iterator[Waiting]:
    """What a cache's slabs keep, of frees that found no sheaf. Since when is not known."""
    for slab in slabs(core):
        _, fresh, waiting = bits(slab)
        for bitmap, state in ((fresh, 'bits'),
                              (waiting, 'bits, ripe' if clock.over(slab.cookie) else
                               'bits, sealed')):
            if bitmap:
                yield Waiting(None, name(core), core, None, state,
                              list(objects_in(slab, bitmap)))


def head_waits(cpu: Object) -> Iterator[Waiting]:
    """Others' pointers that are linked by their own heads, or have one of a CPU's slots."""
    prog, linked = cpu.prog_, []
    word = number(cpu.heads.list)
    while word:
        # Packed: see rust/rcu/packed.rs.
        address = ((word - (word >> 63 << 64)) >> 9 << 3) % (1 << 64)
        linked.append(address)
        word = prog.read_word(address + ((word & 0x1ff) << 3))
    slots = [number(slot) for slot in cpu.heads.slots]
    for state, found in (('linked', linked), ('slots', [p for p in slots if p])):
        if found:
            yield Waiting(None, '(others)', None, cpu.id.value_(), state, found)


def waits(prog: Program) -> List[Waiting]:
    """All that waits, oldest first; last, what has no age."""
    clock, found = Clock(prog), []

    def take(some: Iterator[Waiting]) -> None:
        try:
            found.extend(some)
        except FaultError:
            pass    # it went on while we looked
    for core in caches(prog):
        for (_, share), cpu in zip(shares(core), cpus(prog)):
            take(queue_waits(clock, cpu, share.queue, name(core), core))
        take(bit_waits(clock, core))
    for kind, _, queues in channels(prog):
        for cpu in cpus(prog):
            take(queue_waits(clock, cpu, queues[cpu.id.value_()], f'({kind})', None))
    for cpu in cpus(prog):
        take(head_waits(cpu))
    return sorted(found, key=lambda w: -1 if w.age is None else w.age, reverse=True)


def others(prog: Program) -> Tuple[int, int]:
    """Others' pointers: how many were given, and how many of them are freed."""
    counts = [in_out(domain, list(queues.values())) for _, domain, queues in channels(prog)]
    counts += [in_out(prog[f'graceslab::rcu::head::{domain}'], [])
               for domain in ('LINKED', 'SLOTTED')]
    return sum(into for into, _ in counts), sum(out for _, out in counts)


# What is made of it

def who(wait: Waiting, address: int) -> Optional[Object]:
    """Who freed an object, of a cache that keeps that."""
    if wait.core is None or not number(wait.core.flags) & STORE_USER:
        return None
    tracks = Object(wait.core.prog_, 'struct gs_track [2]',
                    address=address + wait.core.geometry.after.value_())
    return tracks[1] if tracks[1].when else None


def print_caches(prog: Program) -> None:
    """The table of caches."""
    table = [('CACHE', 'SIZE', 'LIVE', 'PENDING', 'OBJECTS', 'SLABS', 'STATE', 'CORE')]
    for core in caches(prog):
        state = number(core.state)
        f = figures(core)
        table.append((name(core), core.geometry.size.value_(), f.live, f.pending, f.objects,
                      f.slabs, STATES[state] if state < len(STATES) else f'{state}?',
                      hex(core.value_())))
    print_table(table)


def print_waits(prog: Program, found: List[Waiting], most: int, stacks: bool) -> None:
    """The oldest objects, one in a line."""
    clock, left = Clock(prog), most
    print(f'{"AGE":>9}  {"CACHE":16}  {"CPU":>3}  {"STATE":12}  OBJECT')
    for wait in found:
        for address in wait.objects[:left]:
            left -= 1
            age = '-' if wait.age is None else f'{wait.age} ms'
            cpu = '-' if wait.cpu is None else wait.cpu
            print(f'{age:>9}  {wait.cache:16}  {cpu:>3}  {wait.state:12}  {address:#x}', end='')
            track = who(wait, address)
            if track is None:
                print()
                continue
            print(f'  freed {clock.age(track.when.value_())} ms ago by '
                  f'{track.comm.string_().decode(errors="replace")} ({track.pid.value_()}) '
                  f'on CPU {track.cpu.value_()}')
            if stacks and track.stack:
                print(stack_depot_fetch(cast('depot_stack_handle_t', track.stack)))
    listed = sum(len(wait.objects) for wait in found)
    if listed > most:
        print(f'... and {listed - most} more')


def main(prog: Program) -> int:
    """Show it."""
    parser = argparse.ArgumentParser(prog='graceslab.py',
                                     description='graceslab\'s caches and what waits to be freed')
    parser.add_argument('--oldest', type=int, default=16, metavar='N',
                        help='how many of the frees that wait are listed (16)')
    parser.add_argument('--stacks', action='store_true',
                        help='with the stack of who freed each, of caches with GS_STORE_USER')
    args = parser.parse_args()
    try:
        prog['graceslab::cache::registry::REGISTRY']
    except KeyError:
        print('error: nothing is known of graceslab: is it loaded, was it built for a kernel '
              'with CONFIG_DEBUG_INFO, and is drgn given -s graceslab.ko?', file=sys.stderr)
        return 1
    found = waits(prog)
    into, out = others(prog)
    pending = into - out + sum(figures(core).pending for core in caches(prog))
    listed = sum(len(wait.objects) for wait in found)
    print(f'graceslab: {len(list(caches(prog)))} caches, {pending} frees pending, '
          f'{max(pending - listed, 0)} of them in the hands of a worker or barrier; '
          f'others\' pointers: {into - out} pending, {into} given')
    print()
    print_caches(prog)
    if found:
        print()
        print_waits(prog, found, max(args.oldest, 0), args.stacks)
    return 0


if __name__ == '__main__':
    sys.exit(main(prog))    # noqa: F821 (drgn's own)
