// SPDX-License-Identifier: GPL-2.0

//! Sheaves that grow with the use of their cache.
//!
//! Most caches are hardly used, so that sheaves are small at first. Where objects come and go in
//! long bursts, a CPU turns to its node for each sheaf's worth of them: to have a sheaf filled or
//! emptied, or for an empty one. Each such turn is a *strain*; [`ENOUGH`] of them, none of which
//! comes more than [`gap`] after the one before, double the memory of the sheaves that are made from
//! then on, up to [`MOST_BYTES`] and [`MOST_OBJECTS`].
//!
//! ```text
//!                 ENOUGH strains in a row           shrinker, gs_cache_shrink(), no strain for 10 s
//!   first ────────────────────────────────► larger, ... ────────────────────────────► first
//!     └───────────────────┬──────────────────────┘
//!                         └─ capacity::set() ─► what was asked for, and no other
//! ```
//!
//! Sheaves of the capacity before are stale, as [`super::capacity`] has it, and are retired where
//! they are met. How much a barn keeps is counted in objects, so that a cache that has grown keeps
//! more on its CPUs alone.

use super::core::Core;
use crate::rcu::queue::Batch;
use crate::sys;
use kernel::sync::atomic::{Atomic, Relaxed};

/// In [`Growth::word`]: the capacity is ours to change.
const GROWS: u32 = 1 << 31;

/// Strains in a row that are worth a larger sheaf.
const ENOUGH: u32 = 64;

/// Gaps after which a burst is forgotten, and what the sheaves grew to with it: 10 s.
const FORGET: usize = 500;

/// Bytes of the largest sheaf that a cache grows to.
const MOST_BYTES: usize = 4096;

/// Bytes of objects in such a sheaf.
const MOST_OBJECTS: usize = 64 << 10;

/// Most full sheaves that a barn keeps, and most empty ones; of those that grew, as many full ones as
/// hold the objects of so many at first.
pub(super) const BARN: u32 = 10;

/// Capacity of a cache's sheaves, with what it goes by.
pub(crate) struct Growth {
    /// The capacity, and [`GROWS`].
    word: Atomic<u32>,
    first: u32,
    may: bool,
    most: u32,
    /// Strains in a row, and when the last one was, in jiffies. Both are guesses where several CPUs
    /// write them.
    strains: Atomic<u32>,
    last: Atomic<usize>,
}

/// How long after a strain another one still is in a row with it: 20 ms, in jiffies.
fn gap() -> usize {
    // SAFETY: May be called in any context.
    unsafe { sys::gs_sys_msecs_to_jiffies(20) as usize }
}

/// The largest capacity that sheaves of objects `stride` bytes apart grow to.
fn most(first: u32, stride: usize) -> u32 {
    let n = Batch::fitting(MOST_BYTES).min((MOST_OBJECTS / stride.max(1)) as u32);
    // What kmalloc() has a size for: the power of two that is not more.
    Batch::fitting(1 << Batch::bytes(n).ilog2()).max(first)
}

impl Growth {
    /// Sheaves for `first` objects, `stride` bytes from one to the next; which may grow, or not.
    pub(super) fn new(first: u32, grows: bool, stride: usize) -> Self {
        Self {
            word: Atomic::new(if grows { first | GROWS } else { first }),
            first,
            may: grows,
            most: most(first, stride),
            strains: Atomic::new(0),
            last: Atomic::new(0),
        }
    }

    /// The capacity of sheaves that are made now.
    #[inline]
    pub(super) fn capacity(&self) -> u32 {
        self.word.load(Relaxed) & !GROWS
    }

    /// Whether a cache that asks for sheaves of `first` objects, which may grow or not, gets this.
    pub(super) fn is_like(&self, first: u32, grows: bool) -> bool {
        self.first == first && self.may == grows
    }

    /// What another cache has to be created with to be like this one is now.
    pub(super) fn again(&self) -> (u32, bool) {
        let word = self.word.load(Relaxed);
        if word & GROWS != 0 {
            (self.first, true)
        } else {
            (word, false)
        }
    }

    /// Makes the capacity `n`, for good; the one it was.
    pub(super) fn fix(&self, n: u32) -> u32 {
        self.word.xchg(n, Relaxed) & !GROWS
    }

    /// Makes the capacity the first again, if it grew.
    pub(super) fn reset(&self) {
        let word = self.word.load(Relaxed);
        if word & GROWS != 0 && word != self.first | GROWS {
            // Lost to whoever fixed it meanwhile, or had it grow, which is as well.
            let _ = self.word.cmpxchg(word, self.first | GROWS, Relaxed);
        }
        self.strains.store(0, Relaxed);
    }

    /// Objects from which on a barn that has two full sheaves takes no other one.
    pub(super) fn barn(&self) -> u64 {
        if self.word.load(Relaxed) & GROWS == 0 {
            return u64::MAX;
        }
        u64::from(BARN * self.first)
    }

    /// Objects for which a sheaf is worth to be kept as it is.
    pub(super) fn worth(&self) -> u32 {
        self.again().0 / 2
    }

    /// Counts a turn to the node; every so many, the capacity grows.
    ///
    /// Context: Any context, NMI included.
    #[inline]
    fn strain(&self) {
        let word = self.word.load(Relaxed);
        if word & GROWS == 0 {
            return;
        }
        // SAFETY: May be called in any context.
        let now = unsafe { sys::gs_sys_jiffies() } as usize;
        let last = self.last.load(Relaxed);
        if last != now {
            self.last.store(now, Relaxed);
        }
        if now.wrapping_sub(last) > FORGET * gap() {
            self.reset();
            return;
        }
        if word & !GROWS >= self.most {
            return;
        }
        if now.wrapping_sub(last) > gap() {
            self.strains.store(0, Relaxed);
        }
        if self.strains.fetch_add(1, Relaxed).wrapping_add(1) < ENOUGH {
            return;
        }
        self.strains.store(0, Relaxed);
        let larger = Batch::fitting(2 * Batch::bytes(word & !GROWS).next_power_of_two());
        // Another CPU may have come first, or whoever fixed it.
        let _ = self
            .word
            .cmpxchg(word, larger.min(self.most) | GROWS, Relaxed);
    }
}

impl Core {
    /// Counts a turn to the node that a larger sheaf would have made later.
    ///
    /// Context: Any context, NMI included.
    #[inline]
    pub(super) fn strained(&self) {
        self.growth.strain();
    }

    /// The capacity that somebody chose, or the first one: what it has grown to comes and goes.
    pub(crate) fn capacity_asked(&self) -> u32 {
        self.growth.again().0
    }
}
