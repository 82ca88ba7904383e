// SPDX-License-Identifier: GPL-2.0

//! Which grace periods a CPU's batches wait for, and since when.
//!
//! Batches of one CPU that were sealed with the same cookie ripen together: they are an *era*. Few
//! of them are under way at a time, mostly two: the one of the grace period that runs and the one
//! of the next.

use super::cookie::Cookie;

/// Eras that are remembered.
const KEPT: usize = 8;

#[derive(Clone, Copy)]
struct Era {
    cookie: Cookie,
    /// When its first object came, in jiffies.
    opened: usize,
}

/// The newest eras of a CPU. Belongs to the CPU's sealed lock.
pub(crate) struct Eras {
    ring: [Era; KEPT],
    /// How many there have been.
    count: u64,
}

impl Eras {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            ring: [Era {
                cookie: Cookie::none(),
                opened: 0,
            }; KEPT],
            count: 0,
        }
    }

    fn at(count: u64) -> usize {
        (count % KEPT as u64) as usize
    }

    /// Notes a batch that is sealed with `cookie` and got its first object at `opened`; true if
    /// that begins an era.
    pub(crate) fn note(&mut self, cookie: Cookie, opened: usize) -> bool {
        let newest = &mut self.ring[Self::at(self.count)];
        if newest.cookie == cookie {
            if (opened.wrapping_sub(newest.opened) as isize) < 0 {
                newest.opened = opened;
            }
            return false;
        }
        self.count += 1;
        self.ring[Self::at(self.count)] = Era { cookie, opened };
        true
    }

    /// When the first object came that waits with `cookie`; of an era that is forgotten, that of
    /// the oldest one which is not.
    pub(crate) fn opened(&self, cookie: Cookie) -> usize {
        let oldest = self.count.saturating_sub(KEPT as u64 - 1).max(1);
        (oldest..=self.count)
            .map(|n| &self.ring[Self::at(n)])
            .find(|era| era.cookie == cookie)
            .unwrap_or(&self.ring[Self::at(oldest)])
            .opened
    }

    /// Grace periods that the CPU's batches have waited for, or wait for.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}
