// SPDX-License-Identifier: GPL-2.0

//! Readers in all threads look at what an [`Rcu`] publishes: it must be [`Sync`].
//!
//! expect: E0277

use core::cell::Cell;
use graceslab::Rcu;
use kernel::prelude::*;

#[cfg(fails)]
type Number = Cell<u32>;
#[cfg(not(fails))]
type Number = u32;

pub fn test(numbers: KVec<Number>) -> Rcu<KVec<Number>> {
    Rcu::new(numbers)
}
