// SPDX-License-Identifier: GPL-2.0

//! Domains: whose frees a barrier waits for.
//!
//! Every queue of batches belongs to a domain: a cache, or one of the channels for pointers that
//! are not ours. A domain knows how many objects went in and how many have come out, which only
//! answers 'is it idle?', and counts the batches that somebody has taken off a queue and not yet
//! dealt with, which is what a barrier waits for.

use super::epoch::{Claim, Epochs};
use super::queue::Queue;
use crate::percpu::Cpu;
use crate::sys;
use crate::word::{full_barrier, Word};
use kernel::sync::atomic::{Atomic, Relaxed};

/// What the pointers of a domain are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Objects of one of our caches.
    Cache,
    /// Others' slab objects and large kmalloc blocks.
    Kmalloc,
    /// vmalloc areas.
    Vmalloc,
    /// Pointers of others on no queue: see [`super::head`].
    Linked,
}

/// Number of channels for others' pointers.
pub(crate) const CHANNELS: usize = 2;

/// The domains of the channels, by index.
pub(crate) static FOREIGN: [Domain; CHANNELS] =
    [Domain::new(Kind::Kmalloc), Domain::new(Kind::Vmalloc)];

/// One queue for each channel.
pub(crate) fn channel_queues() -> [Queue; CHANNELS] {
    [Queue::new(&FOREIGN[0]), Queue::new(&FOREIGN[1])]
}

/// See the module.
pub(crate) struct Domain {
    /// What its pointers are.
    pub(crate) kind: Kind,
    epochs: Epochs,
    /// Deferred frees that went in other than by a CPU's own queue.
    also_in: Atomic<u64>,
    /// Deferred frees that came out other than by a CPU's own queue.
    also_out: Atomic<u64>,
}

impl Domain {
    /// An idle domain.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            epochs: Epochs::new(),
            also_in: Atomic::new(0),
            also_out: Atomic::new(0),
        }
    }

    /// Counts `n` objects in that a CPU's queue does not count. Before they are published.
    pub(crate) fn count_in(&self, n: u64) {
        self.also_in.fetch_add(n, Relaxed);
    }

    /// What [`Self::count_in`] has counted.
    pub(crate) fn also_in(&self) -> u64 {
        self.also_in.load(Relaxed)
    }

    /// Counts `n` objects out. After their destructors, and after they can be used again.
    pub(crate) fn count_out(&self, n: u64) {
        // Before the objects' reuse is reported, all that was done to them is visible: pairs
        // with the barrier in `pending`.
        full_barrier();
        self.also_out.fetch_add(n, Relaxed);
    }

    /// Objects in and objects out, given the domain's queues.
    ///
    /// The outs are summed first: whatever came out by then had gone in, and the barrier between
    /// the sums makes sure that its going in is counted. So `in == out` is never a false 'idle'.
    pub(crate) fn in_out<'a, I: Iterator<Item = &'a Queue>>(
        &self,
        queues: impl Fn() -> I,
    ) -> (u64, u64) {
        let out = self.also_out.load(Relaxed) + queues().map(|q| q.done.get()).sum::<u64>();
        // Pairs with the one in `count_out`.
        full_barrier();
        let into = self.also_in.load(Relaxed) + queues().map(|q| q.queued.get()).sum::<u64>();
        (into, out)
    }

    /// Claims a batch; the caller holds the lock of the queue that it takes it from.
    pub(crate) fn claim(&self) -> Claim {
        self.epochs.claim()
    }

    /// Ends a claim. The domain may be gone when this returns.
    pub(crate) fn unclaim(&self, claim: Claim) {
        if let Some(word) = self.epochs.end(claim) {
            // SAFETY: Only the word's address is used. Freeing a domain takes a grace period
            // that this caller's section or worker is part of.
            unsafe { sys::gs_sys_wake(word.as_ptr().cast()) };
        }
    }

    /// Waits for the claims that were made before, not for later ones. May sleep.
    ///
    /// The caller holds the domain's barrier mutex and has emptied its queues, which orders the
    /// claims that matter before this call.
    pub(crate) fn wait_claims(&self) {
        let wait = |word: &Word| {
            // SAFETY: The word is a counter of `Epochs`, whose ends wake its waiters.
            unsafe { sys::gs_sys_wait_zero(word.as_ptr().cast()) }
        };
        wait(self.epochs.idle());
        wait(self.epochs.flip());
    }

    /// The channel's queue on each CPU; for the domains of [`FOREIGN`].
    pub(crate) fn channel(index: usize) -> impl Iterator<Item = &'static Queue> {
        // SAFETY: The queue lives as long as the module. Of a queue in use elsewhere, only the
        // counters are read.
        Cpu::possible().map(move |cpu| unsafe { &*cpu.channel(index) })
    }

    /// Objects in and objects out of a domain without queues.
    pub(crate) fn in_out_alone(&self) -> (u64, u64) {
        self.in_out(core::iter::empty)
    }
}
