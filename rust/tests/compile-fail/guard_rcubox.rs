// SPDX-License-Identifier: GPL-2.0

//! What a guard shows of an [`RcuBox`] is there for as long as the guard; the box may go.
//!
//! expect: E0505

use graceslab::RcuBox;
use kernel::{prelude::*, sync::rcu};

pub fn test(number: RcuBox<u32>) -> u32 {
    let guard = rcu::read_lock();
    let seen = number.with_rcu(&guard);
    drop(number);
    #[cfg(fails)]
    drop(guard);
    *seen
}
