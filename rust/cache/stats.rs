// SPDX-License-Identifier: GPL-2.0

//! A cache's counters, taken together.

use super::barn;
use super::core::Core;
use super::registry;
use crate::percpu::{Cpu, Section};
use crate::rcu::request::{self, Ask};
use kernel::sync::atomic::{Atomic, Relaxed};

/// `struct gs_cache_stats` of `include/graceslab.h`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Stats {
    /// Bytes from one object to the next.
    pub object_size: usize,
    /// Slabs held.
    pub slabs: u64,
    /// Objects in those slabs, in use or not.
    pub objects: u64,
    /// Objects in the hands of the cache's users.
    pub live: u64,
    /// Objects in sheaves and barns, ready to be allocated.
    pub cached: u64,
    /// Objects ever given to a deferred free.
    pub queued: u64,
    /// Of those, objects that have come back.
    pub done: u64,
    /// Frees and deferred frees that took the lock-free slab path.
    pub frees_bits: u64,
    /// Ripe sheaves that an allocation took as they were.
    pub swapped: u64,
    /// Batches sealed.
    pub sealed: u64,
    /// Of the deferred frees, those that found no sheaf and took the lock-free slab path.
    pub queued_bits: u64,
}

impl Stats {
    fn add(&mut self, other: &Self) {
        for (sum, &n) in [
            (&mut self.slabs, &other.slabs),
            (&mut self.objects, &other.objects),
            (&mut self.live, &other.live),
            (&mut self.cached, &other.cached),
            (&mut self.queued, &other.queued),
            (&mut self.done, &other.done),
            (&mut self.frees_bits, &other.frees_bits),
            (&mut self.swapped, &other.swapped),
            (&mut self.sealed, &other.sealed),
            (&mut self.queued_bits, &other.queued_bits),
        ] {
            *sum += n;
        }
    }
}

/// Takes the counters of `core`, and of its children: each is exact, but they are of moments
/// shortly after another where the cache is in use.
///
/// Context: Process context, may sleep.
pub(crate) fn take(core: &Core) -> Stats {
    let mut sum = take_one(core);
    if core.is_root() {
        registry::members(core, |child| sum.add(&take_one(child)));
    }
    sum
}

/// Takes the counters of `core` alone.
///
/// Context: Process context, may sleep.
pub(crate) fn take_one(core: &Core) -> Stats {
    let cached = Atomic::<u64>::new(0);
    request::users(core, Ask::Count(core, &cached));
    let mut s = Stats {
        object_size: core.geometry.stride as usize,
        cached: cached.load(Relaxed),
        frees_bits: core.bit_frees.load(Relaxed),
        queued_bits: core.domain.also_in(),
        ..Stats::default()
    };
    for node in core.nodes() {
        let (section, _) = Section::open_task();
        s.cached += node.lock(&section).in_full;
    }
    for cpu in Cpu::possible() {
        // SAFETY: The share lives as long as the core, and only counters are read.
        let share = unsafe { &*core.on_cpu(cpu.id) };
        s.swapped += share.swapped.get();
        s.sealed += share.queue.seals.get();
    }
    (s.queued, s.done) = core.in_out();
    let (slabs, objects, free) = barn::count(core);
    (s.slabs, s.objects) = (slabs as u64, objects as u64);
    let elsewhere = free as u64 + s.cached + s.queued.wrapping_sub(s.done);
    s.live = s.objects.saturating_sub(elsewhere);
    s
}
