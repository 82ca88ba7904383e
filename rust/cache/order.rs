// SPDX-License-Identifier: GPL-2.0

//! In which order a slab's objects are handed out: by address, or, where the kernel was configured
//! to do that with its own (`CONFIG_SLAB_FREELIST_RANDOM`), in no order that can be known.
//!
//! What is chosen at random is which of a slab's objects come to a sheaf, and their order there;
//! each node has numbers of its own, under its lock. Neither costs anything on the way of a single
//! object.

use crate::sys;

/// A source of numbers that were seeded by the kernel's: it may not be asked under a raw lock.
pub(super) struct Order(u64);

impl Order {
    /// Whether objects are handed out in any order.
    pub(super) const RANDOM: bool = cfg!(CONFIG_SLAB_FREELIST_RANDOM);

    /// Process context.
    pub(super) fn new() -> Self {
        if Self::RANDOM {
            // SAFETY: Process context.
            Self(unsafe { sys::gs_sys_random() } | 1)
        } else {
            Self(1)
        }
    }

    /// A number below `n`, which is not 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        // xorshift64*, of which the upper half is used.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let x = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        (x as usize).wrapping_mul(n) >> 32
    }
}
